"""Two processes (gloo) train one model: the same weights, teacher and T on both, and the right ones."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
import toy
from adaptation_run import differing, in_group
from mmengine.model import MMDistributedDataParallel
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.registry import MODEL_WRAPPERS
from mmseg.registry import MODELS

from dlc_mmseg.models.segmentors import branchwise
from dlc_mmseg.models.segmentors.finite_check import NonFiniteLossError

RATE = 0.5


def build(seed=0, **changes):
    torch.manual_seed(seed)
    model = MODELS.build(toy.dlc(train_transition_through_loss=True, **changes))
    model.init_weights()
    return model.train()


def wrap(model):
    return MODEL_WRAPPERS.build({'type': 'BranchwiseDistributedDataParallel'}, default_args={'module': model})


def batch_of(rank, iteration=0):
    return toy.paired_batch(10 * iteration + rank)


def trained(model, rank, iterations=1, **settings):
    wrapper = toy.optim_wrapper(model, rate=RATE, **settings)
    for iteration in range(iterations):
        torch.manual_seed(100 * iteration + rank)
        model.train_step(batch_of(rank, iteration), wrapper)
    return (model.module if hasattr(model, 'module') else model).state_dict()


def in_both_wrappers(rank):
    ours = wrap(build(seed=rank))  # other weights on each process: rank 0's are to win
    start = copy.deepcopy(ours.module)
    default = MMDistributedDataParallel(copy.deepcopy(start), device_ids=None, broadcast_buffers=False)
    return {
        'start': start.state_dict(),
        'ours': trained(ours, rank, iterations=2),
        'default': trained(default, rank, iterations=2),
        'one step': trained(wrap(copy.deepcopy(start)), rank),
    }


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    return in_group(in_both_wrappers, tmp_path_factory.mktemp('group') / 'a')


@pytest.mark.parametrize('part', ['start', 'ours', 'default'])
def test_weights_teacher_and_matrix_are_the_same_in_all_processes(results, part):
    assert differing(results[0][part], results[1][part]) == []
    assert differing(results[0]['start'], build(seed=0).state_dict()) == []


def test_training_moves_everything(results):
    moved = set(differing(results[0]['start'], results[0]['ours']))
    assert {'.transition.logits', '.transition.prior_logits', '.iteration'} <= moved
    assert any(name.startswith('.teacher.') for name in moved)


def test_default_wrapper_takes_the_same_steps(results):
    for name, value in results[0]['ours'].items():
        torch.testing.assert_close(results[0]['default'][name], value, atol=1e-5, rtol=1e-4, msg=name)


def test_a_step_is_the_mean_of_the_processes_steps(results):
    """Weights and running statistics against two lone runs from the same start, with the same draws."""
    start = results[0]['start']
    lone = []
    for rank in (0, 1):
        model = build()
        model.load_state_dict(start)
        lone.append(trained(model, rank))
    for name, value in results[0]['one step'].items():
        if name.startswith('student.') and value.is_floating_point():
            mean = (lone[0][name] + lone[1][name]) / 2
            torch.testing.assert_close(value, mean, atol=1e-5, rtol=1e-4, msg=name)
    assert differing(lone[0], lone[1])
    counts = 'transition.estimator.counts'
    torch.testing.assert_close(results[0]['one step'][counts], (lone[0][counts] + lone[1][counts]) / 2)
    assert not torch.equal(results[0]['one step']['transition.moments'], lone[0]['transition.moments'])


def with_equal_batches(_rank):
    return trained(wrap(build()), 0)


def test_equal_batches_are_one_batch(tmp_path):
    states = in_group(with_equal_batches, tmp_path / 'group')
    alone = trained(build(), 0)
    for name, value in states[0].items():
        torch.testing.assert_close(value, alone[name], atol=1e-6, rtol=1e-5, msg=name)


def accumulating(rank):
    calls = []
    average = branchwise.average_gradients
    branchwise.average_gradients = lambda parameters: calls.append(1) or average(parameters)
    return trained(wrap(build()), rank, iterations=4, accumulative_counts=2), len(calls)


def test_accumulated_gradients_are_averaged_once_a_step(tmp_path):
    (ours, calls), (theirs, _) = in_group(accumulating, tmp_path / 'group')
    assert calls == 2
    assert differing(ours, theirs) == []


def in_mixed_precision(rank):
    """MMEngine's own wrapper with its scaler; the first of two steps overflows, in one process only."""
    amp_optimizer_wrapper.is_cuda_available = lambda: True  # it refuses to run on a CPU, where it works as well
    amp_optimizer_wrapper.GradScaler = partial(torch.amp.GradScaler, device='cpu')
    model = wrap(build())
    scaling = {'type': 'AmpOptimWrapper', 'loss_scale': {'init_scale': 1024.0, 'growth_interval': 1}}
    wrapper = toy.optim_wrapper(model, rate=RATE, accumulative_counts=2, **scaling)
    weight = model.module.student.decode_head.conv_seg.weight
    overflow = weight.register_hook(lambda gradient: gradient * math.inf) if rank == 1 else None
    states, scales = [], []
    for iteration in range(4):
        torch.manual_seed(100 * iteration + rank)
        model.train_step(batch_of(rank, iteration), wrapper)
        if iteration % 2:
            states.append(copy.deepcopy(model.module.state_dict()))
            scales.append(wrapper.state_dict()['loss_scaler']['scale'])
            if overflow is not None:
                overflow.remove()
    return states, scales


def test_mixed_precision_with_accumulation_skips_and_steps_alike(tmp_path):
    (ours, scales), (theirs, others) = in_group(in_mixed_precision, tmp_path / 'group')
    assert scales == others == [512.0, 1024.0]
    assert differing(ours, theirs) == []
    start = dict(build().named_parameters())
    student = [name for name in start if name.startswith('student.')]
    assert all(torch.equal(ours[0][name], start[name]) for name in student)
    assert any(not torch.equal(ours[1][name], start[name]) for name in student)
    assert all(value.isfinite().all() for value in ours[1].values())


def with_a_spoilt_batch(rank):
    outcome = {}
    for choice in ('skip', 'stop'):
        model = wrap(build(non_finite_loss=choice))
        wrapper = toy.optim_wrapper(model, rate=RATE)
        batch = batch_of(rank)
        if rank == 1:
            batch['source']['inputs'] = [image.float() for image in batch['source']['inputs']]
            batch['source']['inputs'][0][0, 0, 0] = math.nan
        try:
            log = model.train_step(batch, wrapper)
            outcome[choice] = sorted(log)
        except NonFiniteLossError as error:
            outcome[choice] = str(error)
        outcome[f'{choice} state'] = model.module.state_dict()
    return outcome


def test_processes_skip_and_stop_together(tmp_path):
    ours, theirs = in_group(with_a_spoilt_batch, tmp_path / 'group')
    assert ours['skip'] == theirs['skip'] == ['skipped']
    assert differing(ours['skip state'], theirs['skip state']) == []
    assert 'source.decode.loss_ce is not finite in another process' in ours['stop']
    assert 'source.decode.loss_ce is nan' in theirs['stop']


def test_other_models_are_refused_with_a_remedy():
    model = wrap(MODELS.build({**toy.segmentor(), 'data_preprocessor': toy.preprocessor()}))
    with pytest.raises(TypeError, match='model_wrapper_cfg=None'):
        model.train_step(toy.domain_batch(labelled=True), None)
    model.eval()
    assert len(model.test_step(toy.domain_batch(labelled=False))) == 2
    assert len(model.val_step(toy.domain_batch(labelled=False))) == 2
