"""`dlc-mmseg estimate-noise`: points from every place once, T of known noise, and one line for every mistake."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest
import torch
import toy
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead, Mask2FormerHead
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image
from rasters import write_raster
from tiny_domains import AUGMENT, CLASSES, PACK, PALETTE, dataset_config, write_domain
from torch import nn

from dlc_mmseg.cli import main
from dlc_mmseg.commands.estimate_noise import configure
from dlc_mmseg.deploy.noise import estimation as noise_estimation
from dlc_mmseg.deploy.noise.estimation import Observations, collect_points, estimate_noise
from dlc_mmseg.deploy.noise.feature_points import segment_with_points
from dlc_mmseg.deploy.noise.report import describe, summarise
from dlc_mmseg.errors import UserError
from dlc_mmseg.models.stored_scores import stored_scores

LOADER = {'batch_size': 1, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler'}}


def plain_model(channels=3, **changes):
    preprocessor = {**toy.preprocessor(channels), **changes}
    return {**toy.segmentor(in_channels=channels), 'data_preprocessor': preprocessor}


def write_config(root, model, dataset):
    path = root / 'config.py'
    loader = {**LOADER, 'dataset': dataset}
    Config({'model': model, 'default_scope': 'mmseg', 'test_dataloader': loader}).dump(str(path))
    return path


def write_checkpoint(root, model, **changes):
    torch.manual_seed(0)
    built = MODELS.build(model)
    path = root / 'model.pth'
    torch.save({'state_dict': built.state_dict(), **changes}, path)
    return path


def predicted_probs(config, checkpoint):
    """Probabilities of every image, (pixels, classes)."""
    from mmseg.registry import DATASETS

    content = Config.fromfile(config)
    model = MODELS.build(content.model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    for item in DATASETS.build({**content.test_dataloader.dataset, 'test_mode': True}):
        sample = model.test_step({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0]
        yield sample.seg_logits.data.detach().softmax(0).flatten(1).t().double().numpy()


def estimate(*arguments):
    return main(['estimate-noise', *map(str, arguments)])


@pytest.fixture
def domain(tmp_path):
    """Labelled tiles, a config that tests on them, and a checkpoint of its plain model."""
    write_domain(tmp_path / 'tiles', [{1: 60, 2: 40}, {1: 100, 2: 30}, {1: 30, 2: 20}])
    config = write_config(tmp_path, plain_model(), dataset_config(tmp_path / 'tiles'))
    return tmp_path, config, write_checkpoint(tmp_path, plain_model())


def counted(config, checkpoint):
    """Confusion of a model, pixel by pixel, by `test_step` on a dataset of its own making."""
    from mmseg.registry import DATASETS

    content = Config.fromfile(config)
    model = MODELS.build(content.model).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    dataset = DATASETS.build({**content.test_dataloader.dataset, 'test_mode': True})
    counts = np.zeros((3, 3), int)
    for item in dataset:
        sample = model.test_step({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0]
        for true, predicted in zip(sample.gt_sem_seg.data.flatten(), sample.pred_sem_seg.data.flatten(), strict=True):
            counts[true, predicted] += 1
    return counts


# ---- the command -----------------------------------------------------------------------------------


def test_a_plain_segmentor_on_its_own_test_data(domain, capsys):
    root, config, checkpoint = domain
    assert estimate(config, checkpoint, '--out_dir', root / 'out') == 0
    content = json.loads((root / 'out' / 'noise.json').read_text())
    assert content['confusion_counts'] == counted(config, checkpoint).tolist()
    assert content['images'] == 3
    assert content['points'] == 0  # probabilities need none
    np.testing.assert_allclose(np.sum(content['transition'], axis=1), 1, atol=1e-5)
    assert content['classes'] == list(CLASSES)
    assert np.asarray(Image.open(root / 'out' / 'noise.png')).std() > 10
    out = capsys.readouterr().out
    for words in (*CLASSES, 'T[i, j] = P(predicted class j', 'counted with labels', 'a mean probability of'):
        assert words in out


def test_the_models_own_probabilities_are_counted_over_all_pixels(domain, capsys):
    root, config, checkpoint = domain
    assert estimate(config, checkpoint, '--out_dir', root / 'out') == 0
    found = json.loads((root / 'out' / 'noise.json').read_text())
    probs = np.concatenate(list(predicted_probs(config, checkpoint)))
    expected = np.stack([probs[probs.argmax(1) == label].sum(0) for label in range(3)], axis=1)
    np.testing.assert_allclose(found['prior'], expected.sum(1) / len(probs), atol=1e-5)
    np.testing.assert_allclose(found['transition'], expected / expected.sum(1, keepdims=True), atol=1e-5)
    assert found['mean_probability'] == pytest.approx(probs.max(1).mean(), abs=1e-5)
    assert found['accuracy'] == pytest.approx(np.trace(counted(config, checkpoint)) / counted(config, checkpoint).sum())
    assert found['residual'] is found['neighbours_with_the_same_prediction'] is None
    assert f'{found["accuracy"]:.0%} of them are right' in capsys.readouterr().out


@pytest.mark.parametrize('estimator', ['likelihood', 'consensus'])
def test_neighbours_are_asked_when_wanted(domain, capsys, estimator):
    root, config, checkpoint = domain
    assert estimate(config, checkpoint, '--estimator', estimator, '--out_dir', root / 'out') == 0
    assert 'both their neighbours' in capsys.readouterr().out
    content = json.loads((root / 'out' / 'noise.json').read_text())
    assert content['points'] == 3 * 4 * 4  # a cell for 4 x 4 pixels
    assert content['confusion_counts'] == counted(config, checkpoint).tolist()
    assert 0 <= content['neighbours_with_the_same_prediction'] <= 1
    assert content['residual'] >= 0
    assert content['options']['estimator'] == estimator


def test_an_unlabelled_folder_of_several_channels(tmp_path, capsys):
    write_domain(tmp_path / 'tiles', [{1: 9}], channels=4)
    write_domain(tmp_path / 'city/north', 2, channels=4)
    pipeline = [{'type': 'LoadImageFromFile', 'color_type': 'unchanged'}, {'type': 'LoadAnnotations'},
                {'type': 'PackSegInputs'}]  # fmt: skip
    dataset = dataset_config(tmp_path / 'tiles', pipeline=pipeline)
    config = write_config(tmp_path, plain_model(4), dataset)
    checkpoint = write_checkpoint(tmp_path, plain_model(4))
    assert estimate(config, checkpoint, '--images', tmp_path / 'city', '--out_dir', tmp_path / 'out') == 0
    content = json.loads((tmp_path / 'out' / 'noise.json').read_text())
    assert content['images'] == 2
    assert content['true_transition'] is content['mean_error'] is content['confusion_counts'] is None
    assert 'counted' not in capsys.readouterr().out


def test_labels_of_a_folder_are_compared(domain, tmp_path):
    root, config, checkpoint = domain
    folders = ['--images', root / 'tiles' / 'img', '--labels', root / 'tiles' / 'lbl', '--suffix', '.png']
    assert estimate(config, checkpoint, *folders, '--out_dir', root / 'out') == 0
    content = json.loads((root / 'out' / 'noise.json').read_text())
    assert content['confusion_counts'] == counted(config, checkpoint).tolist()


@pytest.mark.parametrize('labels', [[], ['--labels', 'city/lbl']])
def test_a_folder_for_a_config_that_only_trains(tmp_path, monkeypatch, labels):
    monkeypatch.chdir(tmp_path)
    write_domain(tmp_path / 'city', [{0: 9, 1: 100, 3: 47}, {2: 256}], channels=4)  # 0 is no class here, 3 is class 2
    load = {'type': 'LoadImageFromFile', 'color_type': 'unchanged'}
    steps = {
        'source': [load, {'type': 'LoadAnnotations', 'imdecode_backend': 'pillow'}, *AUGMENT, PACK],
        'target': [load, {'type': 'LoadAnnotations'}, *AUGMENT, PACK],  # of a target it is left out
    }
    domains = {name: dataset_config(tmp_path / 'elsewhere', pipeline=steps[name], indices=1) for name in steps}
    domains['source'].update(reduce_zero_label=True, img_suffix='.tif')
    del domains['target']['seg_map_suffix']
    config = tmp_path / 'config.py'
    loader = {**LOADER, 'dataset': {'type': 'PairedDomainDataset', **domains}}
    Config({'model': plain_model(4), 'train_dataloader': loader}).dump(str(config))
    checkpoint = write_checkpoint(tmp_path, plain_model(4))
    assert estimate(config, checkpoint, '--images', 'city/img', *labels) == 0
    content = json.loads((tmp_path / 'noise' / 'noise.json').read_text())
    assert content['images'] == 2
    assert sum(content['predicted_pixels']) == 2 * 256  # nothing is cropped
    if labels:
        assert np.sum(content['confusion_counts'], axis=1).tolist() == [100, 256, 47]
    else:
        assert content['confusion_counts'] is None


def test_test_data_without_a_label_folder(domain):
    root, config, checkpoint = domain
    (root / 'tiles' / 'lbl').rename(root / 'elsewhere')
    assert estimate(config, checkpoint, '--out_dir', root / 'out') == 0
    assert json.loads((root / 'out' / 'noise.json').read_text())['true_transition'] is None


def test_all_parts_of_concatenated_test_data(domain):
    root, _, checkpoint = domain
    write_domain(root / 'more', [{1: 10}] * 2)
    parts = [dataset_config(root / 'tiles'), dataset_config(root / 'more')]
    repeated = {'type': 'RepeatDataset', 'times': 3, 'dataset': parts[1]}
    config = write_config(root, plain_model(), {'type': 'ConcatDataset', 'datasets': [parts[0], repeated]})
    assert estimate(config, checkpoint, '--out_dir', root / 'out') == 0
    content = json.loads((root / 'out' / 'noise.json').read_text())
    assert content['images'] == 3 + 2
    assert np.sum(content['confusion_counts']) == 5 * 256
    (root / 'more' / 'lbl').rename(root / 'elsewhere')
    assert estimate(config, checkpoint, '--out_dir', root / 'out') == 0
    assert np.sum(json.loads((root / 'out' / 'noise.json').read_text())['confusion_counts']) == 3 * 256


def test_our_own_model_shows_what_it_learnt(tmp_path):
    write_domain(tmp_path / 'tiles', [{1: 60, 2: 40}])
    config = write_config(tmp_path, toy.dlc(), dataset_config(tmp_path / 'tiles'))
    checkpoint = write_checkpoint(tmp_path, toy.dlc())
    assert estimate(config, checkpoint, '--out_dir', tmp_path / 'out', '--estimator', 'consensus') == 0
    content = json.loads((tmp_path / 'out' / 'noise.json').read_text())
    learnt = MODELS.build(toy.dlc()).transition()
    np.testing.assert_allclose(content['learnt_transition'], learnt, atol=1e-6)
    assert content['options']['estimator'] == 'consensus'


def test_the_same_seed_gives_the_same_file(domain):
    root, config, checkpoint = domain
    texts = []
    for seed in (3, 3, 4):
        options = ('--estimator', 'likelihood', '--seed', seed, '--num-points', 20)
        assert estimate(config, checkpoint, *options, '--out_dir', root / 'out') == 0
        texts.append((root / 'out' / 'noise.json').read_text())
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--images', 'none'], 'none: no such folder'),
        (['--images', 'tiles/img', '--suffix', '.tif'], "no images that end in '.tif'"),
        (['--suffix', '.tif'], 'belong to --images'),
        (['--estimator', 'likelihood', '--feature-level', '2'], 'feature level 2: the backbone has 2, 0 to 1'),
        (['--images', 'tiles/img', '--labels', 'wrong'], 'wrong: no such folder'),
        (['--images', 'tiles/img', '--labels', 'tiles/img', '--label-suffix', '.gif'], 't00.png: cannot be read'),
        (['--cfg-options', 'test_dataloader=None'], 'val_dataloader, whose images to take: give --images'),
        (['--images', 'tiles/img', '--cfg-options', 'test_dataloader=None'], 'or PairedDomainDataset, whose classes'),
        (['--cfg-options', 'model.decode_head.num_classes=4'], 'does not fit the model'),
        (['--out_dir', 'model.pth'], 'give a folder that can be written'),
    ],
)
def test_a_mistake_is_one_line(domain, monkeypatch, capsys, arguments, words):
    root, config, checkpoint = domain
    monkeypatch.chdir(root)
    assert estimate(config, checkpoint, *arguments) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count('\n') == 1


@pytest.mark.parametrize(
    'name', ['label_suffix', 'max_images', 'feature_level', 'num_points', 'out_dir', 'cfg_options']
)
def test_options_of_two_words_take_both_spellings(name):
    parser = argparse.ArgumentParser()
    configure(parser)
    value = 'model.a=1' if name == 'cfg_options' else '3'
    read = [parser.parse_args(['c', 'm', f'--{spelt}', value]) for spelt in (name, name.replace('_', '-'))]
    assert read[0] == read[1] != parser.parse_args(['c', 'm'])


def test_a_folder_without_images(domain, capsys):
    root, _, checkpoint = domain
    config = write_config(root, plain_model(), dataset_config(root / 'tiles', serialize_data=True))  # the default
    (root / 'empty').mkdir()
    assert estimate(config, checkpoint, '--images', root / 'empty') == 2
    assert f"{root / 'empty'}: no images that end in '.png'" in capsys.readouterr().err


def test_a_type_that_lists_no_folder(domain, capsys):
    root, _, checkpoint = domain
    dataset = dataset_config(root / 'tiles', type='PascalVOCDataset', metainfo=None, ann_file='val.txt')
    assert estimate(write_config(root, plain_model(), dataset), checkpoint, '--images', root / 'tiles' / 'img') == 2
    error = capsys.readouterr().err
    assert 'cannot be read as a PascalVOCDataset (AssertionError): take a config whose' in error
    assert '--images' not in error


def test_files_that_are_missing_or_broken(domain, monkeypatch, capsys):
    root, config, checkpoint = domain
    monkeypatch.chdir(root)
    (root / 'tiles/img/t01.png').write_bytes(b'no image')
    assert estimate(root / 'none.py', checkpoint) == 2
    assert estimate(config, root / 'none.pth') == 2
    assert estimate(config, checkpoint) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    for line, words in zip(lines, ('none.py: no such config', 'none.pth: no such', 't01.png: cannot'), strict=True):
        assert words in line


@pytest.mark.parametrize('shape', [(16, 8), (16, 16, 3)])
@pytest.mark.parametrize('estimator', ['confusion', 'probabilities', 'likelihood'])
def test_labels_of_another_size_or_of_several_channels(domain, capsys, shape, estimator):
    root, config, checkpoint = domain
    Image.fromarray(np.zeros(shape, np.uint8)).save(root / 'tiles/lbl/t01.png')
    assert estimate(config, checkpoint, '--estimator', estimator, '--out_dir', root / 'out') == 2
    error = capsys.readouterr().err
    assert f'{root / "tiles/lbl/t01.png"}: labels of shape' in error
    assert error.count('\n') == 1


def test_a_folder_that_cannot_be_written_is_found_first(domain, capsys):
    root, config, checkpoint = domain
    (root / 'tiles/img/t00.png').write_bytes(b'no image')
    assert estimate(config, checkpoint, '--out_dir', root / 'model.pth') == 2
    assert 'model.pth: File exists: give a folder that can be written' in capsys.readouterr().err


def test_a_model_whose_classes_are_not_those_of_the_data(domain, monkeypatch, capsys):
    root, _, checkpoint = domain
    monkeypatch.chdir(root)
    (root / 'tiles/img/t01.png').write_bytes(b'no image')  # the first one shows it
    wrong = dataset_config(root / 'tiles', metainfo={'classes': CLASSES[:2], 'palette': PALETTE[:2]})
    assert estimate(write_config(root, plain_model(), wrong), checkpoint) == 2
    assert 'the model has 3 classes, its test data name 2' in capsys.readouterr().err


# ---- points ----------------------------------------------------------------------------------------


def sample_of(size, labels=None, **meta):
    sample = SegDataSample(metainfo={'img_shape': size, 'ori_shape': size, **meta})
    if labels is not None:
        sample.gt_sem_seg = PixelData(data=labels)
    return sample


@pytest.mark.parametrize('padding', [{}, {'pad_shape': (36, 28)}])  # as `data_preprocessor.test_cfg` makes it
@pytest.mark.parametrize('slides', [False, True])
def test_segments_as_the_model_does_and_takes_every_place_once(slides, padding):
    torch.manual_seed(0)
    config = toy.segmentor()
    if slides:
        config.test_cfg = {'mode': 'slide', 'crop_size': (16, 16), 'stride': (12, 8)}
    network = MODELS.build(config).eval()
    image = torch.randn(1, 3, 36, 28)
    expected = network.predict(image.clone(), [sample_of((36, 28), **padding)])[0]
    rows, columns = torch.meshgrid(torch.arange(36), torch.arange(28), indexing='ij')
    labels = (rows * 28 + columns)[None]  # "true labels" that say where a point is
    sample, points = segment_with_points(
        network, image, sample_of((36, 28), labels, **padding), feature_level=1, num_points=999,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    torch.testing.assert_close(sample.seg_logits.data, expected.seg_logits.data, atol=1e-5, rtol=1e-5)
    places = points.places[:, 1]
    assert len(places) == len(set(places.tolist())) == 9 * 7
    assert torch.equal(points.places[:, 0], sample.pred_sem_seg.data.flatten()[places])
    near = [(index // 28 // 4, index % 28 // 4) for index in places.tolist()]
    assert len(set(near)) == 9 * 7  # one in each 4 x 4 block
    assert points.keys.diff().min() > 0


def test_features_are_those_of_the_place():
    network = MODELS.build(toy.segmentor()).eval()
    image = torch.randn(1, 3, 16, 24)
    index = torch.arange(16 * 24).view(1, 16, 24)
    _, points = segment_with_points(
        network, image, sample_of((16, 24), index), feature_level=0, num_points=10,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    expected = network.backbone(image)[0][0]
    assert len(points.keys) == 10
    for feature, place in zip(points.features, points.places[:, 1].tolist(), strict=True):
        torch.testing.assert_close(feature, expected[:, place // 24 // 2, place % 24 // 2])


def test_padding_is_left_out_and_resized_images_keep_their_labels():
    network = MODELS.build(toy.segmentor()).eval()
    labels = torch.zeros(1, 24, 32, dtype=torch.long)
    labels[:, 12:] = 1
    labels[:, :, 16:] += 1
    sample = sample_of((24, 32), labels, img_padding_size=(0, 8, 0, 4))  # left, right, top, bottom
    _, points = segment_with_points(
        network, torch.randn(1, 3, 16, 24), sample, feature_level=1, num_points=99,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert torch.bincount(points.places[:, 1]).tolist() == [2, 6, 4]  # of 3 x 4 cells; one row is above the middle


class TwoImages:
    """A small and a large image, labelled 0 and 1."""

    sizes = ((16, 16), (64, 48))

    def __len__(self):
        return 2

    def __getitem__(self, index):
        size = self.sizes[index]
        image = torch.randint(0, 255, (3, *size), generator=torch.Generator().manual_seed(index), dtype=torch.uint8)
        return {'inputs': image, 'data_samples': sample_of(size, torch.full((1, *size), index))}


def test_points_are_drawn_evenly_over_all_images():
    model = MODELS.build(plain_model()).eval()
    everything = collect_points(model, TwoImages(), num_points=999)
    assert torch.bincount(everything.true).tolist() == [16, 192]
    assert int(everything.counts.sum()) == int(everything.pixels.sum()) == 16 * 16 + 64 * 48
    shares = []
    for seed in range(200):
        drawn = collect_points(model, TwoImages(), num_points=26, seed=seed)
        assert len(drawn.labels) == 26
        shares.append(int((drawn.true == 0).sum()))
    assert np.mean(shares) == pytest.approx(26 * 16 / 208, abs=0.35)  # 2 of 26; standard error 0.09
    assert collect_points(model, TwoImages(), max_images=1).images == 1


class Painter(BaseSegmentor):
    """A segmentor without a backbone: surer of class 2 where red is stronger."""

    def predict(self, inputs, data_samples):
        logits = torch.stack([0 * inputs[:, 0], -inputs[:, 0], inputs[:, 0]], dim=1)
        return self.postprocess_result(logits, data_samples)

    align_corners = False
    extract_feat = encode_decode = _forward = loss = None


def test_probabilities_need_no_backbone(monkeypatch):
    model = Painter(data_preprocessor=toy.preprocessor())
    points = collect_points(model, TwoImages(), num_points=0)
    reds = torch.cat([item['inputs'][0].flatten() for item in TwoImages()])
    preprocessor = toy.preprocessor()
    reds = (reds - preprocessor['mean'][0]) / preprocessor['std'][0]
    assert points.pixels.tolist() == [0, int((reds < 0).sum()), int((reds > 0).sum())]
    assert len(points.labels) == 0
    monkeypatch.setattr(noise_estimation, '_STRIP', 5)  # taken in strips, an image gives the same
    torch.testing.assert_close(
        collect_points(model, TwoImages(), num_points=0).expected, points.expected, rtol=1e-5, atol=0
    )
    with pytest.raises(UserError, match='Painter is no EncoderDecoder'):
        collect_points(model, TwoImages(), num_points=5)


# ---- the estimate ----------------------------------------------------------------------------------


def known_points(transition, seed=0, count=6000):
    """Tight clusters of one class each, mislabelled independently."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(count // 20, 16, generator=generator)
    true = torch.randint(0, 3, (count // 20,), generator=generator).repeat_interleave(20)
    features = centres.repeat_interleave(20, 0) + 0.01 * torch.randn(count, 16, generator=generator)
    labels = torch.multinomial(transition[true], 1, generator=generator).squeeze(1)
    counts = torch.bincount(true * 3 + labels, minlength=9).view(3, 3)
    return Observations(features, labels, true, counts, counts.double(), torch.bincount(labels, minlength=3), 7)


def test_known_noise_is_found_and_reported():
    transition = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.4, 0.6]])
    points = known_points(transition)
    noise = estimate_noise(points, estimator='likelihood')
    assert (noise.transition - transition).abs().mean() < 0.02
    assert noise.agreement.true == pytest.approx(1, abs=0.01)
    neighbours_agree = (transition**3).sum(1).mean()  # all three labels equal
    assert noise.agreement.predicted == pytest.approx(float(neighbours_agree), abs=0.04)
    lines = describe(points, noise, CLASSES)
    first = lines.index(next(line for line in lines if line.startswith('largest confusions'))) + 1
    assert lines[first].startswith('  car -> roof: 0.4')
    content = summarise(points, noise, CLASSES)
    assert content['mean_error'] < 0.02 < content['mean_error_of_the_identity']
    json.dumps(content)


def test_a_class_that_nothing_speaks_for_keeps_its_row():
    points = known_points(torch.eye(3))
    noise = estimate_noise(points._replace(expected=torch.tensor([[6.0, 2, 0], [1, 3, 0], [0, 0, 0]]).double()))
    assert noise.transition.tolist() == [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0, 1]]
    torch.testing.assert_close(noise.prior, torch.tensor([8, 4, 0]) / 12)


@pytest.mark.parametrize('num_points', [0, 50])
def test_one_channel_of_logits_means_two_classes(num_points):
    torch.manual_seed(0)
    config = plain_model()
    config['decode_head'].update(num_classes=2, out_channels=1, threshold=0.5)
    config['decode_head']['loss_decode'] = {'type': 'CrossEntropyLoss', 'use_sigmoid': True}
    model = MODELS.build(config).eval()
    points = collect_points(model, TwoImages(), num_points=num_points)
    expected = torch.zeros(2, 2, dtype=torch.float64)
    for item in TwoImages():
        batch = model.data_preprocessor({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})
        prob = model.encode_decode(batch['inputs'], [{'img_shape': item['inputs'].shape[1:]}]).detach().sigmoid()
        for label, labelled in enumerate((prob <= 0.5, prob > 0.5)):
            expected[:, label] += torch.stack([1 - prob[labelled], prob[labelled]]).double().sum(dim=1)
    torch.testing.assert_close(points.expected, expected, rtol=1e-5, atol=1e-3)
    assert points.pixels.sum() == 16 * 16 + 64 * 48


@MODELS.register_module()
class ToyMaskHead(Mask2FormerHead):
    """Mask classification of a few queries, without MMDetection's layers."""

    def __init__(self):
        BaseModule.__init__(self)
        self.num_classes, self.align_corners, self.out_channels = 3, False, 3
        self.masks, self.classes = nn.Conv2d(8, 6, 1), nn.Parameter(3 * torch.randn(6, 4))

    def forward(self, features, samples):
        return [self.classes.expand(len(samples), -1, -1)], [5 * self.masks(features[-1])]


@MODELS.register_module()
class ToyFlippedHead(FCNHead):
    """A head that stores something of its own."""

    def predict_by_feat(self, seg_logits, metas):
        return -super().predict_by_feat(seg_logits, metas)


DICE = {'type': 'DiceLoss'}  # of sigmoids by default
SIGMOID = {'type': 'CrossEntropyLoss', 'use_sigmoid': True}
SOFTMAX = {'type': 'CrossEntropyLoss'}


@pytest.mark.parametrize(
    ('head', 'probs'),
    [
        ({'type': 'ToyMaskHead'}, lambda scores: scores / scores.sum(1, keepdim=True)),
        (
            {'loss_decode': [SIGMOID, DICE]},
            lambda scores: scores.sigmoid() / scores.sigmoid().sum(1, keepdim=True),
        ),
        ({'loss_decode': [SOFTMAX, DICE]}, lambda scores: scores.softmax(1)),
        ({'loss_decode': {'type': 'TverskyLoss'}}, lambda scores: scores.softmax(1)),
    ],
)
def test_probabilities_are_those_that_the_head_is_trained_for(head, probs):
    torch.manual_seed(0)
    config = plain_model()
    config['decode_head'] = head if 'type' in head else {**config['decode_head'], **head}
    model = MODELS.build(config).eval()
    points = collect_points(model, TwoImages(), num_points=0)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for item in TwoImages():
        batch = model.data_preprocessor({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})
        scores = model.encode_decode(batch['inputs'], [{'img_shape': item['inputs'].shape[1:]}]).detach()
        for label in range(3):
            labelled = scores.argmax(1) == label
            expected[:, label] += probs(scores).movedim(1, -1)[labelled].double().sum(0)
    torch.testing.assert_close(points.expected, expected, rtol=1e-5, atol=1e-3)
    assert int(points.pixels.sum()) == pytest.approx(float(points.expected.sum()))


def test_several_resolutions_give_logits_of_a_softmax():
    part = {'type': 'DAFormerHead', 'num_classes': 3, 'in_channels': [8, 8], 'in_index': [0, 1], 'channels': 8,
            'embed_dims': 8}  # fmt: skip
    head = {'type': 'HRDAHead', 'head': part, 'scale_attention': {**part, 'fusion': 'conv'}}
    network = {**toy.segmentor(), 'type': 'HRDAEncoderDecoder', 'decode_head': head, 'crop_size': (16, 16)}
    assert stored_scores(MODELS.build(network)) == 'softmax'
    assert stored_scores(MODELS.build(toy.dlc(segmentor=network))) == 'softmax'


@pytest.mark.parametrize('head', [{'type': 'ToyFlippedHead'}, {'loss_decode': [SIGMOID, SOFTMAX]}])
def test_scores_of_unknown_meaning_leave_the_neighbours(domain, capsys, head):
    root, _, _ = domain
    model = plain_model()
    model['decode_head'].update(head)
    config, checkpoint = write_config(root, model, dataset_config(root / 'tiles')), write_checkpoint(root, model)
    assert estimate(config, checkpoint, '--out_dir', root / 'out') == 2
    assert 'take --estimator likelihood' in capsys.readouterr().err
    assert estimate(config, checkpoint, '--out_dir', root / 'out', '--estimator', 'likelihood') == 0
    assert json.loads((root / 'out' / 'noise.json').read_text())['mean_probability'] is None
    points = collect_points(MODELS.build(model).eval(), TwoImages())
    with pytest.raises(UserError, match='estimator likelihood'):
        estimate_noise(points)


def test_hopeless_points_are_reported_as_such():
    points = known_points(torch.eye(3))._replace(labels=torch.zeros(6000, dtype=torch.long))
    noise = estimate_noise(points, estimator='likelihood')
    assert any('one class' in note for note in noise.notes)
    assert any('one class' in line for line in describe(points, noise, CLASSES))


def test_many_classes_leave_the_table_to_the_picture():
    points = known_points(torch.eye(3))
    many = points._replace(
        counts=torch.zeros(20, 20, dtype=torch.long),
        expected=torch.eye(20, dtype=torch.float64),
        pixels=torch.zeros(20, dtype=torch.long),
    )
    lines = describe(many, estimate_noise(many), [f'class {index}' for index in range(20)])
    assert any('20 classes: see the picture' in line for line in lines)
    assert max(map(len, lines)) < 120


@pytest.mark.parametrize('wrapped', [False, True])
@pytest.mark.parametrize('num_points', [0, 50])
def test_pixels_without_data_are_left_out(tmp_path, wrapped, num_points):
    from mmseg.registry import DATASETS

    image = np.random.default_rng(0).integers(1, 255, (16, 16, 3)).astype(np.uint8)
    image[:10] = 0
    write_raster(tmp_path / 'img/a.tif', image, nodata=0, photometric='RGB')
    (tmp_path / 'lbl').mkdir()
    Image.fromarray(np.ones((16, 16), np.uint8)).save(tmp_path / 'lbl/a.png')
    steps = [{'type': 'LoadRasterFromFile'}, {'type': 'LoadAnnotations'}, {'type': 'PackRasterInputs'}]
    dataset = DATASETS.build(dataset_config(tmp_path, img_suffix='.tif', pipeline=steps, test_mode=True))
    model = MODELS.build(toy.dlc() if wrapped else plain_model()).eval()
    points = collect_points(model, dataset, num_points=num_points)
    assert int(points.pixels.sum()) == 96
    assert int(points.counts.sum()) == 96
    assert float(points.expected.sum()) == pytest.approx(96, rel=1e-4)
    assert len(points.labels) <= 6 * 8  # cells of a grid of stride 2 or coarser
