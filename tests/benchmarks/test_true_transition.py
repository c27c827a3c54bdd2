"""The measured confusion of pseudo-labels, the T that is set to it, and the per-class metric."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
import toy
from adaptation_study.true_transition import COURSE_FILE, TransitionErrorHook, TrueTransitionMatrix
from mmseg.registry import DATASETS, MODELS
from tiny_domains import AUGMENT, LABELS, LOAD, PACK, dataset_config, global_states, write_domain


@pytest.fixture
def target(tmp_path):
    write_domain(tmp_path / 'target', [{1: 60, 2: 40}, {1: 100, 2: 30}, {1: 30, 2: 20}, {255: 200, 1: 5, 2: 5}])
    return {**dataset_config(tmp_path / 'target'), 'pipeline': [LOAD, LABELS, AUGMENT[0], PACK]}


@pytest.fixture
def model():
    torch.manual_seed(0)
    built = MODELS.build(toy.dlc(transition={'type': 'TrueTransitionMatrix'}, teacher_batch_statistics=True))
    return built.train()


def runner_of(model, folder, iteration=0):
    return SimpleNamespace(model=model, iter=iteration, work_dir=str(folder))


def course(folder):
    return [json.loads(line) for line in (folder / COURSE_FILE).read_text().splitlines()]


def test_measures_what_the_teacher_says_of_labelled_crops(target, model):
    hook = TransitionErrorHook(target, batch_size=3, crops=7, interval=8)
    counts = hook.counts(model)
    items = list(hook._batches())
    assert [len(batch['inputs']) for batch in items] == [3, 3, 1]
    expected = torch.zeros(3, 3, dtype=torch.long)
    for batch in items:
        images = model.data_preprocessor(batch, True)['inputs']
        labels = model.label_target(images).pseudo.labels
        for sample, made in zip(batch['data_samples'], labels, strict=True):
            for true, pseudo in zip(sample.gt_sem_seg.data.flatten().tolist(), made.flatten().tolist(), strict=True):
                if true != 255:
                    expected[true, pseudo] += 1
    assert torch.equal(counts, expected)
    assert counts.sum() < 7 * 64  # ignored pixels are left out
    assert torch.equal(counts, hook.counts(model))  # the same crops each time


def test_measuring_leaves_no_trace(target, model):
    hook = TransitionErrorHook(target, batch_size=2, crops=4, interval=8)
    before = global_states(), {name: value.clone() for name, value in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    hook.counts(model)
    assert global_states() == before[0]
    assert all(torch.equal(value, before[1][name]) for name, value in model.state_dict().items())
    assert [part.training for part in model.modules()] == modes


def test_true_matrix_is_set_and_nothing_else_moves_it(target, model, tmp_path):
    hook = TransitionErrorHook(target, batch_size=2, crops=4, interval=8)
    hook.before_train_iter(runner_of(model, tmp_path), 0)
    counts = hook.counts(model).double()
    truth = (counts / counts.sum(dim=1, keepdim=True)).float()
    assert torch.allclose(model.transition.correction(), truth, atol=1e-5)
    logits = model.transition.logits.clone()
    log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert torch.equal(model.transition.logits, logits)
    assert torch.isfinite(torch.as_tensor(log['loss']))


def test_measures_when_due_and_at_the_end(target, model, tmp_path):
    hook = TransitionErrorHook(target, batch_size=2, crops=2, interval=8)
    for iteration in range(20):
        hook.before_train_iter(runner_of(model, tmp_path, iteration), iteration)
    hook.after_train(runner_of(model, tmp_path, 20))
    lines = course(tmp_path)
    assert [line['iteration'] for line in lines] == [0, 1, 2, 4, 8, 16, 20]
    assert lines[-1]['error'] == pytest.approx(0.0, abs=1e-5)  # a teacher that stands still
    assert lines[-1]['identity_error'] > 0.1


def test_without_a_matrix_the_error_is_that_of_the_identity(target, tmp_path):
    plain = MODELS.build(toy.dlc(transition=None, volume_loss=None, convexity_loss=None))
    TransitionErrorHook(target, batch_size=2, crops=2, interval=8).measure(runner_of(plain, tmp_path))
    (line,) = course(tmp_path)
    assert line['error'] == line['identity_error']
    assert line['diagonal'] == [1.0, 1.0, 1.0]


def test_learnt_matrix_is_compared_and_left_alone(target, tmp_path):
    learnt = MODELS.build(toy.dlc())
    logits = learnt.transition.logits.clone()
    TransitionErrorHook(target, batch_size=2, crops=2, interval=8).measure(runner_of(learnt, tmp_path))
    (line,) = course(tmp_path)
    assert torch.equal(learnt.transition.logits, logits)
    assert line['diagonal'] == pytest.approx(logits.softmax(1).diagonal().tolist(), abs=1e-4)


def test_unknown_rows_become_the_identity():
    matrix = TrueTransitionMatrix(3)
    matrix.fix(torch.tensor([[0.5, 0.5, 0.0], [torch.nan] * 3, [0.0, 0.2, 0.8]]))
    expected = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.2, 0.8]])
    assert torch.allclose(matrix.correction(), expected, atol=1e-5)
    assert matrix.update('anything', regularise=None) == {}


def test_dataset_places_are_spread(target):
    hook = TransitionErrorHook(target, batch_size=4, crops=8, interval=8)
    names = [sample.img_path for batch in hook._batches() for sample in batch['data_samples']]
    assert sorted(names.count(name) for name in set(names)) == [2, 2, 2, 2]
    assert len(DATASETS.build(target)) == 4
