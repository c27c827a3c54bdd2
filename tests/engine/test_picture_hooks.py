"""Pictures of pseudo-labels and of predictions come when due and leave training alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy
from mmengine.structures import PixelData
from mmseg.registry import HOOKS, MODELS
from mmseg.structures import SegDataSample
from tiny_domains import LABELS, LOAD, PACK, dataset_config, global_states
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.engine import prediction_picture_hook, pseudo_label_hook
from dlc_mmseg.errors import UserError

META = {'classes': ('ground', 'roof', 'car'), 'palette': [[0, 0, 0], [255, 0, 0], [0, 0, 255]]}
RESIZE = {'type': 'Resize', 'scale': (24, 24), 'keep_ratio': True}


class Visualizer:
    """Remembers what it was given."""

    def __init__(self):
        self.images = []
        self.windows = []
        self.dataset_meta = META

    def add_image(self, name, image, step):
        self.images.append((name, image, step))

    def show(self, image, win_name, wait_time):
        self.windows.append((win_name, wait_time))


class Images:
    """Target images, with labels or without; reading draws from the global generators."""

    def __init__(self, count, *, labelled, size=(16, 24)):
        batch = toy.domain_batch(labelled=labelled, batch_size=count, size=size)
        self.items = list(zip(batch['inputs'], batch['data_samples'], strict=True))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        image, sample = self.items[index]
        sample = sample.clone()
        sample.set_metainfo({'img_path': f'some/folder/tile_{index}.png'})
        return {'inputs': image + torch.randint(0, 9, (1,)).byte(), 'data_samples': sample}


def fake_runner(model, *, labelled=None, target=None):
    loop = None if labelled is None else SimpleNamespace(dataloader=SimpleNamespace(dataset=labelled))
    train = SimpleNamespace(dataset=SimpleNamespace(metainfo=META, target=target or Images(5, labelled=False)))
    return SimpleNamespace(model=model, iter=0, visualizer=Visualizer(), train_dataloader=train, val_loop=loop)


def built(**changes):
    torch.manual_seed(0)
    return MODELS.build(toy.dlc(**changes)).train()


def started(runner, **arguments):
    hook = HOOKS.build({'type': 'PseudoLabelHook', **arguments})
    hook.before_train(runner)
    return hook


@pytest.fixture
def drawn(monkeypatch):
    """Rows of panels of every picture."""
    pictures = []

    def remember(rows, legend):
        pictures.append(rows)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(pseudo_label_hook, 'draw_panels', remember)
    monkeypatch.setattr(prediction_picture_hook, 'draw_panels', remember)
    return pictures


# ---- pseudo-labels ---------------------------------------------------------------------------------


def test_draws_on_its_interval():
    runner = fake_runner(built())
    hook = started(runner, interval=3)
    for runner.iter in range(7):
        hook.after_train_iter(runner, runner.iter)
    assert [(name, step) for name, _, step in runner.visualizer.images] == [('pseudo_labels', 3), ('pseudo_labels', 6)]
    assert all(image.dtype == np.uint8 for _, image, _ in runner.visualizer.images)


def test_the_same_crops_are_drawn_throughout_and_in_every_run(drawn):
    for _ in range(2):
        runner = fake_runner(built())
        hook = started(runner, interval=1)
        for runner.iter in range(2):
            torch.rand(7)
            hook.after_train_iter(runner, runner.iter)
    images = [[row[0].image for row in rows] for rows in drawn]
    assert [row[0].title for row in drawn[0]] == ['tile_0.png', 'tile_2.png', 'tile_4.png']
    for others in images[1:]:
        assert all(map(np.array_equal, images[0], others))
    assert [panel.title.partition(',')[0] for panel in drawn[0][0]] == ['tile_0.png', 'pseudo-labels', 'confidence']


def test_truth_stands_beside_where_there_are_labels(drawn):
    model, labelled = built(), Images(4, labelled=True)
    started(runner := fake_runner(model, labelled=labelled), interval=1, num_images=1).after_train_iter(runner, 0)
    ((row,),) = drawn
    assert [panel.title.partition(',')[0] for panel in row] == ['tile_0.png', 'label', 'pseudo-labels', 'confidence']
    labels = labelled.items[0][1].gt_sem_seg.data[0].numpy()
    for index, colour in enumerate(META['palette']):
        assert np.array_equal((row[1].image == colour).all(axis=2) & (labels != 255), labels == index)
    pseudo = np.zeros_like(labels)
    for index, colour in enumerate(META['palette']):
        pseudo[(row[2].image == colour).all(axis=2)] = index
    right = (pseudo == labels)[labels != 255].mean()
    assert row[2].title == f'pseudo-labels, {right:.0%} right'


def test_of_large_images_the_middle_is_shown(drawn):
    labelled = Images(1, labelled=True, size=(40, 24))
    started(runner := fake_runner(built(), labelled=labelled), interval=1, size=16).after_train_iter(runner, 0)
    assert [panel.image.shape[:2] for panel in drawn[0][0]] == [(16, 16)] * 4
    labels = labelled.items[0][1].gt_sem_seg.data[0, 12:28, 4:20].numpy()
    assert np.array_equal((drawn[0][0][1].image == META['palette'][1]).all(axis=2), labels == 1)


def test_labels_of_another_size_than_a_resized_image(drawn, tmp_path):
    write_pair(tmp_path)
    config = dataset_config(tmp_path / 'source', test_mode=True, pipeline=[LOAD, RESIZE, LABELS, PACK])
    started(runner := fake_runner(built()), interval=1, labelled_target=config).after_train_iter(runner, 0)
    assert {panel.image.shape[:2] for row in drawn[0] for panel in row} == {(24, 24)}


@pytest.mark.parametrize('batch_statistics', [False, True])
def test_training_does_not_notice(batch_statistics):
    model = built(teacher_batch_statistics=batch_statistics)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = global_states()
    runner = fake_runner(model, labelled=Images(3, labelled=True))
    started(runner, interval=1).after_train_iter(runner, 0)
    assert runner.visualizer.images
    assert global_states() == random
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_a_model_without_a_teacher_is_left_alone():
    """The shared runtime has the hook, and plain segmentors train on it too."""
    runner = fake_runner(MODELS.build(toy.segmentor()))
    started(runner, interval=1).after_train_iter(runner, 0)
    assert runner.visualizer.images == []


def test_what_the_preprocessor_pads_at_test_time_is_not_drawn(drawn):
    preprocessor = {**toy.preprocessor(), 'test_cfg': {'size_divisor': 32}}
    started(runner := fake_runner(built(data_preprocessor=preprocessor)), interval=1).after_train_iter(runner, 0)
    assert [panel.image.shape for panel in drawn[0][0]] == [(16, 24, 3)] * 3


def test_a_folder_without_labels_is_refused_at_the_start(tmp_path):
    write_pair(tmp_path)
    unlabelled = dataset_config(tmp_path / 'target', labelled=False, test_mode=True)
    with pytest.raises(UserError, match=r'PseudoLabelHook.labelled_target: gives no labelled images'):
        started(fake_runner(built()), labelled_target=unlabelled)


@pytest.mark.parametrize('name', ['PseudoLabelHook', 'TransitionMatrixHook'])
def test_interval_must_be_positive(name):
    with pytest.raises(ValueError, match='interval'):
        HOOKS.build({'type': name, 'interval': 0})


def test_numbers_out_of_range():
    for arguments in ({'num_images': 0}, {'size': 0}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            HOOKS.build({'type': 'PseudoLabelHook', **arguments})


# ---- predictions -----------------------------------------------------------------------------------


def predicted(size=(16, 24), *, labelled=True, name='some/folder/tile.tif', scores=True):
    """An image and its predicted sample; logits are 3 for the predicted class and 0 for the others."""
    batch = toy.domain_batch(labelled=labelled, batch_size=1, size=size)
    image, sample = batch['inputs'][0], batch['data_samples'][0]
    sample.set_metainfo({'img_path': name})
    labels = torch.arange(size[0] * size[1]).reshape(1, *size) % 3
    sample.pred_sem_seg = PixelData(data=labels)
    if scores:
        sample.seg_logits = PixelData(data=3 * torch.nn.functional.one_hot(labels[0], 3).permute(2, 0, 1).float())
    return image, sample


def after_test(image, sample, model=None, **arguments):
    runner = fake_runner(model or MODELS.build(toy.segmentor()))
    hook = HOOKS.build({'type': 'PredictionPictureHook', 'draw': True, **arguments})
    hook.before_test(runner)
    hook.after_test_iter(runner, 0, {'inputs': [image]}, [sample])
    return runner.visualizer


def test_image_label_prediction_and_confidence(drawn):
    image, sample = predicted()
    visualizer = after_test(image, sample)
    assert [(name, step) for name, _, step in visualizer.images] == [('test_tile', 1)]
    ((row,),) = drawn
    assert [panel.title.partition(',')[0] for panel in row] == [
        'tile.tif', 'label', 'prediction', 'confidence from 0 (black) to 1',
    ]  # fmt: skip
    assert np.array_equal(row[0].image, image.flip(0).permute(1, 2, 0).numpy())
    labels = sample.gt_sem_seg.data[0]
    right = (sample.pred_sem_seg.data[0] == labels)[labels != 255].float().mean()
    assert row[2].title == f'prediction, {float(right):.0%} of pixels right'
    share = float(np.exp(3) / (np.exp(3) + 2))
    assert row[3].title.endswith(f'mean {share:.2f}')
    assert (row[3].image == int(share * 255)).all()


def test_without_labels_and_without_probabilities_these_panels_are_left_out(drawn):
    after_test(*predicted(labelled=False))
    after_test(*predicted(scores=False))
    head = toy.head(loss_decode={'type': 'DiceLoss'})
    model = MODELS.build({**toy.segmentor(), 'decode_head': head})
    after_test(*predicted(), model=model)
    titles = [[panel.title.partition(',')[0].partition(' ')[0] for panel in rows[0]] for rows in drawn]
    assert titles[0] == ['tile.tif', 'prediction', 'confidence']
    assert titles[1] == ['tile.tif', 'label', 'prediction']
    assert titles[2][:3] == ['tile.tif', 'label', 'prediction']


@pytest.mark.parametrize('image', [torch.rand(5, 8, 12) * 3000, torch.randint(0, 4000, (1, 8, 12)).to(torch.uint16)])
def test_bands_and_types_of_any_kind_at_the_size_of_the_prediction(drawn, image):
    _, sample = predicted()
    after_test(image, sample)
    assert {panel.image.shape for panel in drawn[0][0]} == {(16, 24, 3)}
    assert drawn[0][0][0].image.max() == 255


def test_only_when_asked_for_and_on_the_interval():
    pair = predicted()
    assert after_test(*pair, draw=False).images == []
    runner = fake_runner(MODELS.build(toy.segmentor()))
    hook = HOOKS.build({'type': 'PredictionPictureHook', 'draw': True, 'interval': 2})
    hook.before_test(runner)
    for batch in range(4):
        hook.after_test_iter(runner, batch, {'inputs': [pair[0]]}, [pair[1]])
    assert [step for _, _, step in runner.visualizer.images] == [2, 4]
    for batch in range(4):
        hook.after_val_iter(runner, batch, {'inputs': [pair[0]] * 2}, [pair[1]] * 2)
    assert [name for name, _, _ in runner.visualizer.images[2:]] == ['val_tile'] * 2
    with pytest.raises(ValueError, match='interval'):
        HOOKS.build({'type': 'PredictionPictureHook', 'interval': 0})
    with pytest.raises(ValueError, match='wait_time'):
        HOOKS.build({'type': 'PredictionPictureHook', 'wait_time': -1.0})


def test_a_window_instead_of_files():
    visualizer = after_test(*predicted(), show=True, wait_time=2.0)
    assert (visualizer.images, visualizer.windows) == ([], [('test_tile', 2.0)])


def test_a_test_run_writes_a_picture_of_every_image(tmp_path):
    """As MMSegmentation's test script asks for it with `--show-dir`."""
    write_pair(tmp_path)
    config = run_config(tmp_path)
    config.default_hooks.visualization = {'type': 'PredictionPictureHook', 'draw': True}
    config.visualizer.update(save_dir=str(tmp_path / 'shown'), vis_backends=[{'type': 'LocalVisBackend'}])
    runner_of(config).test()
    names = sorted(path.name for path in (tmp_path / 'shown').rglob('*.png'))
    assert names == ['test_t00_1.png', 'test_t01_2.png']


def test_samples_that_name_no_file_are_drawn_too(drawn):
    image, sample = predicted(labelled=False)
    nameless = SegDataSample(pred_sem_seg=sample.pred_sem_seg)
    after_test(image, nameless)
    assert drawn[0][0][0].title == 'image'
