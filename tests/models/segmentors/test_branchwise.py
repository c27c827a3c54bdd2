"""Losses and gradients that are not finite: found by name, and nothing they touch is kept."""

from __future__ import annotations

import math

import pytest
import torch
import toy
from mmseg.registry import MODELS

from dlc_mmseg.models.segmentors.finite_check import NonFinite, NonFiniteLossError, find_non_finite, non_finite_line


def build(**changes):
    torch.manual_seed(0)
    model = MODELS.build(toy.dlc(**changes))
    model.init_weights()
    return model.train()


def named(batch):
    """The batch with file names."""
    for domain in ('source', 'target'):
        for index, sample in enumerate(batch[domain]['data_samples']):
            sample.set_metainfo({'img_path': f'{domain}/tile {index}.tif'})
    return batch


def spoilt(domain, seed=5):
    """A batch with one image that is not finite, as float tiles with unmarked no-data values are."""
    batch = named(toy.paired_batch(seed))
    for half in batch.values():
        half['inputs'] = [image.float() for image in half['inputs']]
    batch[domain]['inputs'][1][0, 3, 4] = math.nan
    return batch


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def differing(before, after):
    return [name for name, value in before.items() if not torch.equal(value, after[name])]


# ---- finding -------------------------------------------------------------------------------------


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_the_branch_is_named_before_the_sum(value):
    log = {'source.loss_ce': torch.tensor(1.0), 'mix.loss_x': torch.tensor(value), 'loss': torch.tensor(value)}
    problem = find_non_finite(log)
    assert problem.name == 'mix.loss_x'
    assert str(problem.value) == str(value)


def test_terms_of_the_matrix_count_and_other_figures_do_not():
    assert find_non_finite({'a.acc_seg': torch.tensor(math.nan), 'loss': torch.tensor(0.0)}) is None
    log = {'transition.volume': torch.tensor(math.nan), 'loss': torch.tensor(0.0)}
    assert find_non_finite(log).name == 'transition.volume'


def test_a_sum_that_overflows():
    log = {'a.loss': torch.tensor(3e38), 'b.loss': torch.tensor(3e38), 'loss': torch.tensor(math.inf)}
    assert find_non_finite(log).name == 'loss'


def test_gradients_count_when_asked_for():
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    log = {'loss': torch.tensor(1.0)}
    assert find_non_finite(log, parameters) is None
    parameters[1].grad = torch.tensor([1.0, math.nan])
    assert find_non_finite(log, parameters).name == 'gradient'
    assert find_non_finite(log) is None


def test_the_message_names_iteration_value_and_the_branchs_images():
    samples = {domain: half['data_samples'] for domain, half in named(toy.paired_batch()).items()}
    line = non_finite_line(NonFinite('source.decode.loss_ce', math.nan), 17, samples)
    assert line == 'iteration 17: source.decode.loss_ce is nan (source images source/tile 0.tif, source/tile 1.tif)'
    line = non_finite_line(NonFinite('masked.decode.loss_x', math.inf), 17, samples)
    assert 'target/tile 0.tif' in line
    assert 'source/' not in line
    line = non_finite_line(NonFinite('gradient', 0.5), 17, {domain: part[:1] for domain, part in samples.items()})
    assert 'the gradient is not finite in another process' in line
    assert 'source/tile 0.tif' in line
    assert 'target/tile 0.tif' in line
    unnamed = {'source': [toy.SegDataSample()], 'target': []}
    assert 'of unknown name' in non_finite_line(NonFinite('mix.loss', math.nan), 1, unnamed)


# ---- stopping and skipping -----------------------------------------------------------------------


@pytest.mark.parametrize(('domain', 'branch'), [('source', 'source.decode.loss_ce'), ('target', r'(mix|masked)\.')])
def test_stops_before_anything_is_written(domain, branch):
    model = build()
    wrapper = toy.optim_wrapper(model, rate=0.1)
    model.train_step(toy.paired_batch(0), wrapper)
    expected = build()
    expected.load_state_dict(model.state_dict())
    expected.follow_student()  # the teacher takes the last good student, whatever comes after
    with pytest.raises(NonFiniteLossError, match=rf'iteration 2: {branch}.* is nan .*{domain}/tile 1\.tif.*skip'):
        model.train_step(spoilt(domain), wrapper)
    assert differing(state(expected), state(model)) == []
    assert all(parameter.grad is None for parameter in model.student.parameters())


@pytest.mark.parametrize('domain', ['source', 'target'])
@pytest.mark.parametrize('batch_statistics', [False, True])
def test_skips_without_a_trace(domain, batch_statistics, monkeypatch):
    model = build(non_finite_loss='skip', teacher_batch_statistics=batch_statistics)
    wrapper = toy.optim_wrapper(model, rate=0.1)
    log = model.train_step(toy.paired_batch(0), wrapper)
    assert float(log['skipped']) == 0
    expected = build(non_finite_loss='skip', teacher_batch_statistics=batch_statistics)
    expected.load_state_dict(model.state_dict())
    expected.follow_student()  # the teacher takes the last good student, whatever comes after
    log = model.train_step(spoilt(domain), wrapper)
    assert {name: float(value) for name, value in log.items()} == {'skipped': 1.0}
    assert differing(state(expected), state(model)) == []
    assert all(parameter.grad is None for parameter in model.student.parameters())
    assert wrapper.inner_count == 2
    log = model.train_step(toy.paired_batch(1), wrapper)
    assert float(log['skipped']) == 0
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_skipped_iteration_is_reported(monkeypatch):
    from dlc_mmseg.models.segmentors import branchwise

    lines = []
    monkeypatch.setattr(branchwise, 'print_log', lambda line, **_: lines.append(line))
    model = build(non_finite_loss='skip')
    model.train_step(spoilt('source'), toy.optim_wrapper(model))
    (line,) = lines
    assert line.startswith('skipped iteration 1: source.decode.loss_ce is nan (source images source/tile 0.tif')


def test_accumulated_gradients_are_dropped_as_well():
    model = build(non_finite_loss='skip')
    wrapper = toy.optim_wrapper(model, rate=0.1, accumulative_counts=2)
    before = [parameter.clone() for parameter in model.student.parameters()]
    model.train_step(toy.paired_batch(0), wrapper)
    model.train_step(spoilt('source'), wrapper)
    for old, new in zip(before, model.student.parameters(), strict=True):
        assert torch.equal(old, new)
    assert wrapper.inner_count == 2
    model.train_step(toy.paired_batch(1), wrapper)
    model.train_step(toy.paired_batch(2), wrapper)
    assert not torch.equal(before[0], next(model.student.parameters()))


def test_a_gradient_alone_stops_too():
    model = build()
    wrapper = toy.optim_wrapper(model)
    weight = model.student.decode_head.conv_seg.weight
    handle = weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(NonFiniteLossError, match='the gradient is'):
        model.train_step(named(toy.paired_batch()), wrapper)
    handle.remove()
    assert weight.isfinite().all()


def test_overflows_under_loss_scaling_are_left_to_the_scaler():
    model = build()
    wrapper = toy.optim_wrapper(model)
    wrapper.loss_scaler = object()
    weight = model.student.decode_head.conv_seg.weight
    weight.register_hook(lambda gradient: gradient * math.inf)
    model.train_step(toy.paired_batch(), wrapper)


@pytest.mark.parametrize('choice', ['stop', 'skip'])
def test_the_summed_loss_always_stops(choice):
    model = build(non_finite_loss=choice)
    batch = model.data_preprocessor(spoilt('source'), True)
    with pytest.raises(NonFiniteLossError, match=r'source/tile 1\.tif'):
        model.loss(**batch)


def test_the_choice_is_checked():
    with pytest.raises(ValueError, match='non_finite_loss'):
        build(non_finite_loss='ignore')
