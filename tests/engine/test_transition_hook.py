"""T is logged, measured and drawn, and training does not notice."""

from __future__ import annotations

import json
from types import SimpleNamespace

import adaptation_run
import numpy as np
import pytest
import torch
import toy
from mmengine.logging import MessageHub
from mmseg.registry import HOOKS, MODELS
from tiny_domains import CLASSES, dataset_config, global_states
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.engine import transition_hook
from dlc_mmseg.errors import UserError

MATRIX = torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 3.0]])


class Recorder:
    """A visualizer and a logger that remember."""

    def __init__(self):
        self.images, self.scalars, self.lines = [], [], []

    def add_image(self, name, image, step):
        self.images.append((name, image, step))

    def add_scalars(self, scalars, step):
        self.scalars.append((scalars, step))

    def info(self, line):
        self.lines.append(line)


class Labelled:
    """Labelled images, of which the number read is counted; reading draws from every generator."""

    def __init__(self, count):
        batch = toy.domain_batch(labelled=True, batch_size=count)
        self.items = list(zip(batch['inputs'], batch['data_samples'], strict=True))
        self.read = []

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        import random

        random.random(), np.random.rand(), torch.rand(1)
        self.read.append(index)
        image, sample = self.items[index]
        return {'inputs': image, 'data_samples': sample.clone()}


def fake_runner(model, dataset=None, name='hook', **changes):
    recorder = Recorder()
    loop = None if dataset is None else SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    train = SimpleNamespace(dataset=SimpleNamespace(metainfo={'classes': CLASSES}))
    attributes = {
        'model': model, 'iter': 0, 'rank': 0, 'world_size': 1, 'visualizer': recorder, 'logger': recorder,
        'train_dataloader': train, 'val_loop': loop, 'message_hub': MessageHub(name),
    }  # fmt: skip
    return SimpleNamespace(**{**attributes, **changes})


def built(**changes):
    torch.manual_seed(0)
    model = MODELS.build(toy.dlc(**changes)).train()
    if model.transition is not None:
        model.transition.logits.copy_(MATRIX)
    return model


def hook(**arguments):
    return HOOKS.build({'type': 'TransitionMatrixHook', **arguments})


def logged(runner):
    """Last value of everything logged."""
    prefix = 'train/transition.'
    return {name.removeprefix(prefix): buffer.current() for name, buffer in runner.message_hub.log_scalars.items()}


def brute_force(model, dataset, indices):
    """Confusion of the teacher's labels, pixel by pixel."""
    counts = np.zeros((3, 3))
    model.eval()
    for index in indices:
        image, sample = dataset.items[index]
        normal = (image.float() - 127.5) / 60
        with torch.no_grad():
            logits = model.teacher.encode_decode(normal[None], [sample.metainfo])
        logits = torch.nn.functional.interpolate(logits, image.shape[1:], mode='bilinear')
        labels, predicted = sample.gt_sem_seg.data[0].numpy(), logits[0].argmax(0).numpy()
        for true, pseudo in zip(labels.ravel(), predicted.ravel(), strict=True):
            if true != 255:
                counts[true, pseudo] += 1
    return counts / counts.sum(1, keepdims=True)


def test_what_is_logged_each_iteration_and_drawn_on_the_interval():
    ours, runner = hook(interval=2), fake_runner(built())
    ours.before_train(runner)
    matrix = MATRIX.double().softmax(dim=1)
    for runner.iter in range(4):
        ours.after_train_iter(runner, runner.iter, None, {'transition.residual': torch.tensor(0.1)})
        assert logged(runner)['diagonal'] == pytest.approx(float(matrix.diagonal().mean()), abs=1e-6)
        assert logged(runner)['log_volume'] == pytest.approx(float(torch.linalg.det(matrix).log()), abs=1e-5)
    assert len(runner.message_hub.get_scalar('train/transition.log_volume').data[0]) == 4
    assert [(name, step) for name, _, step in runner.visualizer.images] == [('transition', 2), ('transition', 4)]
    scalars, step = runner.visualizer.scalars[0]
    assert step == 2
    assert scalars == {
        f'transition.diagonal.{name}': pytest.approx(float(matrix[i, i]), abs=1e-6) for i, name in enumerate(CLASSES)
    }
    assert 'error' not in logged(runner)
    assert 'roof 0.51' in runner.logger.lines[0]


def test_what_the_step_reports_is_not_logged_twice():
    runner = fake_runner(built())
    hook().after_train_iter(runner, 0, None, {'transition.diagonal': torch.tensor(0.5)})
    assert set(logged(runner)) == {'log_volume'}


@pytest.mark.parametrize('batch_statistics', [False, True])
def test_the_error_is_that_of_the_teacher_on_the_validation_set(batch_statistics):
    model, dataset = built(teacher_batch_statistics=batch_statistics), Labelled(7)
    ours, runner = hook(interval=1, num_images=4), fake_runner(model, dataset)
    ours.before_train(runner)
    ours.after_train_iter(runner, 0)
    assert dataset.read == [0, 2, 4, 6]
    true = brute_force(model, dataset, [0, 2, 4, 6])
    estimate = MATRIX.double().softmax(dim=1).numpy()
    assert logged(runner)['error'] == pytest.approx(np.abs(estimate - true).mean(), abs=1e-6)
    assert logged(runner)['identity_error'] == pytest.approx(np.abs(np.eye(3) - true).mean(), abs=1e-6)
    scalars = runner.visualizer.scalars[0][0]
    assert scalars['transition.true_diagonal.car'] == pytest.approx(true[2, 2], abs=1e-6)
    alone = fake_runner(model)
    single = hook(interval=1)
    single.before_train(alone)
    single.after_train_iter(alone, 0)
    widths = [each.visualizer.images[0][1].shape[1] for each in (runner, alone)]
    assert widths[0] == pytest.approx(2 * widths[1], abs=2)  # the true confusion stands beside T


def test_processes_share_the_images(monkeypatch):
    model, dataset = built(), Labelled(5)
    parts = []
    monkeypatch.setattr(transition_hook, 'all_reduce', lambda counts: parts.append(counts.clone()))
    for rank in range(2):
        runner = fake_runner(model, dataset, rank=rank, world_size=2)
        ours = hook(interval=1)
        ours.before_train(runner)
        ours.after_train_iter(runner, 0)
    assert dataset.read == [0, 2, 4, 1, 3]
    total = sum(parts).double()
    expected = brute_force(model, dataset, range(5))
    np.testing.assert_allclose((total / total.sum(1, keepdim=True)).numpy(), expected, atol=1e-9)


@pytest.mark.parametrize('batch_statistics', [False, True])
def test_training_does_not_notice(batch_statistics):
    model = built(teacher_batch_statistics=batch_statistics)
    model.student.backbone.first.eval()  # a mode of its own, which `model.train()` would lose
    ours, runner = hook(interval=1), fake_runner(model, Labelled(3))
    ours.before_train(runner)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = global_states()
    ours.after_train_iter(runner, 0)
    assert 'error' in logged(runner)
    assert global_states() == random
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_models_without_a_matrix_are_left_alone():
    for model in (built(transition=None, volume_loss=None, convexity_loss=None), torch.nn.Identity()):
        runner = fake_runner(model, Labelled(1))
        ours = hook(interval=1)
        ours.before_train(runner)
        ours.after_train_iter(runner, 0)
        assert not runner.visualizer.images
        assert not logged(runner)


def test_numbers_out_of_range():
    for arguments in ({'interval': 0}, {'num_images': -1}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            hook(**arguments)


# ---- in a run --------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def domains(tmp_path_factory):
    root = tmp_path_factory.mktemp('domains')
    write_pair(root)
    return root


def measured_run(root, work_dir, **arguments):
    """Two iterations with the local backend; the scalars it wrote."""
    config = run_config(root, work_dir=str(work_dir))
    config.custom_hooks = [{'type': 'TransitionMatrixHook', 'interval': 1, **arguments}]
    config.visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
    runner_of(config).train()
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_log_of_a_run_holds_everything(domains, tmp_path):
    lines = measured_run(domains, tmp_path)
    logs = [line for line in lines if 'loss' in line]
    for line in logs:
        assert {f'transition.{name}' for name in ('diagonal', 'log_volume', 'error', 'identity_error')} <= set(line)
        assert 'transition.residual' in line  # what the step itself reports
        assert 0 <= line['transition.error'] <= 2 / 3
    diagonals = [line for line in lines if 'transition.diagonal.roof' in line]
    assert len(diagonals) == len(logs) == adaptation_run.ITERATIONS // 4
    assert len(list(tmp_path.glob('*/vis_data/vis_image/transition_*.png'))) == 2


def test_labels_of_another_folder_can_be_named(domains, tmp_path):
    other = dataset_config(domains / 'source', test_mode=True)
    here = measured_run(domains, tmp_path / 'a', labelled_target=other, num_images=2)
    there = measured_run(domains, tmp_path / 'b')
    none = measured_run(domains, tmp_path / 'c', num_images=0)
    errors = [[line['transition.error'] for line in lines if 'transition.error' in line] for lines in (here, there)]
    assert errors[0] != errors[1]
    assert not any('transition.error' in line for line in none)


def test_a_folder_without_labels_is_refused_at_the_start(domains, tmp_path):
    unlabelled = dataset_config(domains / 'target', labelled=False, test_mode=True)
    with pytest.raises(UserError, match=r'labelled_target: gives no labelled images'):
        measured_run(domains, tmp_path, labelled_target=unlabelled)


@pytest.mark.slow
def test_a_measured_run_ends_in_the_weights_of_one_that_was_not(tmp_path):
    """Not even without the hook that seeds each iteration anew."""
    folder = adaptation_run.write_domains(tmp_path / 'domains')
    hooks = {'with': [{'type': 'TransitionMatrixHook', 'interval': 3}], 'without': []}

    def train(name):
        runner = adaptation_run.runner_of(folder, tmp_path / name, hooks=hooks[name])
        runner._hooks = [each for each in runner.hooks if type(each).__name__ != 'ExactResumeHook']
        runner.train()

    assert adaptation_run.forked(*(lambda name=name: train(name) for name in hooks)) == [0, 0]
    ends = [torch.load(tmp_path / name / f'iter_{adaptation_run.ITERATIONS}.pth', weights_only=False) for name in hooks]
    for part in ('state_dict', 'optimizer'):
        assert adaptation_run.differing(ends[0][part], ends[1][part], part) == []
