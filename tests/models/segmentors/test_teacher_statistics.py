"""Statistics of the teacher's batch norms."""

import copy

import pytest
import torch
import toy
from adaptation_run import differing, in_group
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import nn

from dlc_mmseg.functional.norm_statistics import class_share_weights, weighted_moments
from dlc_mmseg.models.processes import average_statistics
from dlc_mmseg.models.segmentors import class_matched_statistics
from dlc_mmseg.models.segmentors.batch_statistics import matching_norms
from dlc_mmseg.models.segmentors.head_logits import training_logits
from dlc_mmseg.models.segmentors.teacher_statistics import chosen_statistics

MATCHED = {'type': 'ClassMatchedStatistics'}


def build(**changes):
    torch.manual_seed(0)
    changes = {'teacher_statistics': dict(MATCHED), **changes}
    model = MODELS.build(toy.dlc(**changes))
    model.init_weights()
    return model.train()


def trained(steps=3, **changes):
    model = build(**changes)
    wrapper = toy.optim_wrapper(model)
    for seed in range(steps):
        model.train_step(toy.paired_batch(seed), wrapper)
    return model


def target_images(model, seed=0, **changes):
    data = {'source': toy.domain_batch(labelled=True, **changes)}
    data['target'] = toy.domain_batch(labelled=False, seed=seed, **changes)
    return model.data_preprocessor(data, True)['inputs']['target']


def norm_values(network):
    return torch.cat([part.flatten() for norm in norms(network) for part in (norm.running_mean, norm.running_var)])


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize('em_steps', [0, 3])
def test_the_first_batch_gives_the_statistics_of_the_weighted_target(em_steps):
    """By hand: probabilities with the student's statistics, weights, and one layer after the other."""
    model = build(teacher_statistics={**MATCHED, 'em_steps': em_steps, 'max_ratio': 5})
    source_shares = torch.tensor([0.6, 0.3, 0.1])
    model.teacher_statistics.source_shares.copy_(source_shares)
    model.student.backbone.first[1].running_mean.fill_(0.3)
    images = target_images(model)
    hand = copy.deepcopy(model.student).eval()
    metas = [{'img_shape': images.shape[-2:], 'ori_shape': images.shape[-2:], 'pad_shape': images.shape[-2:]}] * 2
    with torch.no_grad():
        posterior = probs = hand.encode_decode(images, metas).softmax(1)
        for _ in range(em_steps):
            posterior = probs * (posterior.mean((0, 2, 3)) / source_shares).view(1, 3, 1, 1)
            posterior = posterior / posterior.sum(1, keepdim=True)
        weights = class_share_weights(posterior, source_shares, posterior.mean((0, 2, 3)), max_ratio=5)
        for norm in norms(hand):
            seen = []
            handle = norm.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
            hand.encode_decode(images, metas)
            handle.remove()
            grid = nn.functional.interpolate(weights[:, None], seen[0].shape[-2:], mode='area')
            mean, var = weighted_moments(seen[0], grid)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
        expected = hand.encode_decode(images, metas)
    output = model.label_target(images)
    torch.testing.assert_close(norm_values(model.teacher), norm_values(hand), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(output.logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.features[0], hand.backbone(images)[0], rtol=1e-4, atol=1e-4)


def test_equal_shares_are_batch_statistics():
    """With a ratio of 1 nothing is weighted: labels are those of batch norms on the statistics of the batch."""
    matched, batch = (
        build(teacher_statistics={**MATCHED, 'max_ratio': 1}),
        build(teacher_statistics={'type': 'BatchStatistics'}),
    )
    images = target_images(matched)
    torch.testing.assert_close(
        matched.label_target(images).logits, batch.label_target(images).logits, rtol=1e-4, atol=1e-4
    )


def test_running_statistics_are_those_of_all_images_that_were_seen():
    """Batches that count evenly and are equally weighted: one large batch of the first layer's features."""
    model = build(teacher_statistics={**MATCHED, 'max_ratio': 1, 'momentum': 1e-6})
    batches = [target_images(model, seed) for seed in range(4)]
    for images in batches:
        model.label_target(images)
    with torch.no_grad():
        features = model.teacher.backbone.first[0](torch.cat(batches))
    norm = model.teacher.backbone.first[1]
    torch.testing.assert_close(norm.running_mean, features.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, features.var((0, 2, 3), unbiased=False), rtol=1e-4, atol=1e-5)


def test_a_batch_of_rare_classes_counts_more():
    model = build(teacher_statistics={**MATCHED, 'momentum': 0.5})
    statistics = model.teacher_statistics
    statistics.target_batches.fill_(10)
    before = model.teacher.backbone.first[1].running_mean.clone()
    moved = []
    for weight in (0.5, 1.0):
        statistics.mass.fill_(1.0)
        model.teacher.backbone.first[1].running_mean.copy_(before)
        images = target_images(model)
        with statistics.labelling(model.teacher, model.student, torch.full(images[:, 0].shape, weight)):
            model.teacher.backbone(images)
        moved.append((model.teacher.backbone.first[1].running_mean - before).abs().sum())
    torch.testing.assert_close(moved[0], moved[1] * 0.5 / 0.75)


def test_student_keeps_the_statistics_of_the_source_alone():
    model = trained(1)
    alone = build(class_mix=None, masked_consistency=None)
    alone.train_step(toy.paired_batch(), toy.optim_wrapper(alone))
    torch.testing.assert_close(norm_values(model.student), norm_values(alone.student))


def target_logits(model):
    """Logits of the student for the first target batch of an iteration, and the teacher's statistics it was left."""
    batch = model.data_preprocessor(toy.paired_batch(), True)
    inputs, data_samples = batch['inputs'], batch['data_samples']
    teacher = model.label_target(inputs['target'], data_samples['target'])
    batch = next(model.target_batches(inputs, data_samples, teacher))
    with model.target_statistics(batch):
        (head,) = training_logits(model.student, batch.images)
    return batch.images, head.logits


def test_student_learns_from_target_images_as_the_teacher_predicts():
    model = trained()
    before = norm_values(model.student)
    images, logits = target_logits(model)
    hand = copy.deepcopy(model.student).eval()
    for norm, own in zip(norms(hand), norms(model.teacher), strict=True):
        norm.load_state_dict({**norm.state_dict(), 'running_mean': own.running_mean, 'running_var': own.running_var})
    torch.testing.assert_close(logits, hand._forward(images))
    assert torch.equal(norm_values(model.student), before)
    assert all(norm.training for norm in norms(model.student))


def test_student_may_learn_with_the_statistics_of_each_batch():
    model = trained(teacher_statistics={**MATCHED, 'student_on_target': 'batch'})
    before = norm_values(model.student)
    images, logits = target_logits(model)
    torch.testing.assert_close(logits, copy.deepcopy(model.student)._forward(images))
    assert torch.equal(norm_values(model.student), before)


def test_statistics_are_put_back_when_a_branch_fails():
    model = build()
    before = [norm.running_mean for norm in norms(model.student)]
    model.target_branch = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert all(
        norm.running_mean is own and norm.training for norm, own in zip(norms(model.student), before, strict=True)
    )


def test_frozen_norms_of_the_student_stay_frozen_on_target_images():
    model = build()
    frozen = model.student.backbone.first[1].eval()
    mean = frozen.running_mean
    with model.teacher_statistics.learning(model.teacher, model.student, update=True):
        assert frozen.running_mean is mean
    assert not frozen.training


def test_statistics_adapt_without_self_training():
    model = trained(class_mix=None, masked_consistency=None, predict_with='teacher')
    assert not torch.equal(norm_values(model.teacher), norm_values(model.student))
    assert model.teacher_statistics.target_batches == 3
    source = trained(class_mix=None, masked_consistency=None, teacher_statistics={'type': 'StudentStatistics'})
    for ours, theirs in zip(model.student.parameters(), source.student.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_warm_up_learns_from_the_source_alone():
    model = build(warmup_iterations=2)
    wrapper = toy.optim_wrapper(model)
    logs = [model.train_step(toy.paired_batch(seed), wrapper) for seed in range(3)]
    assert [any(name.startswith('mix') for name in log) for log in logs] == [False, False, True]
    assert model.teacher_statistics.target_batches == 3


def test_the_counter_is_read_until_the_warm_up_is_over(monkeypatch):
    """To read a tensor is to wait for its device; what is read is the counter of the checkpoint in any case."""
    model, reads = build(warmup_iterations=2), []
    start = {name: value.clone() for name, value in model.state_dict().items()}
    as_int = torch.Tensor.__int__
    monkeypatch.setattr(
        torch.Tensor, '__int__', lambda value: (reads.append(value is model.iteration), as_int(value))[1]
    )

    def step():
        reads.clear()
        log = model.train_step(toy.paired_batch(), wrapper)
        return sum(reads), any(name.startswith('mix') for name in log)

    wrapper = toy.optim_wrapper(model)
    assert [step() for _ in range(5)] == [(1, False), (1, False), (1, True), (0, True), (0, True)]
    model.load_state_dict(start)
    assert [step() for _ in range(4)] == [(1, False), (1, False), (1, True), (0, True)]


def test_checkpoint_carries_the_statistics():
    model, other = trained(), build()
    other.load_state_dict(model.state_dict())
    for name, value in model.teacher_statistics.state_dict().items():
        assert torch.equal(other.teacher_statistics.state_dict()[name], value), name
    assert model.teacher_statistics.source_shares.sum() == pytest.approx(1, abs=1e-5)


def test_labelling_without_an_update_changes_nothing():
    model = trained()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.label_target(target_images(model), update_statistics=False)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_frozen_norms_are_left_alone():
    model = build()
    model.student.backbone.first.eval()
    before = copy.deepcopy(model.teacher.backbone.first[1].state_dict())
    model.label_target(target_images(model))
    for name, value in model.teacher.backbone.first[1].state_dict().items():
        assert torch.equal(value, before[name])
    assert len(matching_norms(model.teacher, model.student)) == len(norms(model.teacher)) - 1


def test_a_network_without_batch_norms_says_so_once(monkeypatch):
    said = []
    monkeypatch.setattr(class_matched_statistics, 'print_log', lambda message, **_: said.append(message))
    network = toy.segmentor()
    network['decode_head']['norm_cfg'] = {'type': 'GN', 'num_groups': 2}
    model = build(segmentor=ConfigDict(network))
    for part in (model.student, model.teacher):
        part.backbone.first[1] = part.backbone.second[1] = nn.GroupNorm(2, 8)
    images = target_images(model)
    for _ in range(2):
        assert model.label_target(images).logits.isfinite().all()
    assert len(said) == 1
    assert 'no batch norms' in said[0]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_mixed_precision_counts_as_single_precision_does(dtype):
    """Pixels of a batch are more than half precision can count."""
    models = [build(), build()]
    images = target_images(models[0], size=(192, 192))
    models[0].label_target(images)
    with torch.autocast('cpu', dtype=dtype):
        models[1].label_target(images)
    for ours, theirs in zip(*(model.teacher_statistics.buffers() for model in models), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.02)
    torch.testing.assert_close(*(norm_values(model.teacher) for model in models), rtol=0.1, atol=0.05)


def test_padding_does_not_count():
    model = build()
    data = toy.domain_batch(labelled=False)
    data['inputs'][1] = data['inputs'][1][:, :10, :20]
    batch = model.data_preprocessor({'source': toy.domain_batch(labelled=True), 'target': data}, True)
    seen = []
    statistics = model.teacher_statistics
    labelling = statistics.labelling
    statistics.labelling = lambda *arguments: seen.append(arguments[2]) or labelling(*arguments)
    model.label_target(batch['inputs']['target'], batch['data_samples']['target'])
    assert seen[0][1, 10:].eq(0).all()
    assert seen[0][1, :10, :20].gt(0).all()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'momentum': 0}, 'momentum'),
        ({'em_steps': -1}, 'em_steps'),
        ({'max_ratio': 0.5}, 'max_ratio'),
        ({'student_on_target': 'teacher'}, 'student_on_target'),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(teacher_statistics={**MATCHED, **changes})


def test_a_negative_warm_up_is_refused():
    with pytest.raises(ValueError, match='warmup_iterations'):
        build(warmup_iterations=-1)


@pytest.mark.parametrize(
    ('statistics', 'batch', 'expected'),
    [
        (None, None, 'BatchStatistics'),
        (None, False, 'StudentStatistics'),
        (MATCHED, None, 'ClassMatchedStatistics'),
    ],
)
def test_either_form_of_the_argument_chooses(statistics, batch, expected):
    assert chosen_statistics(statistics, batch)['type'] == expected
    model = build(teacher_statistics=statistics, teacher_batch_statistics=batch)
    assert type(model.teacher_statistics).__name__ == expected
    assert model.teacher_batch_statistics == (expected == 'BatchStatistics')


def labelled_by(rank):
    model = build(teacher_statistics={**MATCHED, 'max_ratio': 1})
    model.teacher_statistics.see_source(torch.full((1, 4, 4), rank))
    model.label_target(target_images(model, seed=rank))
    average_statistics(model.teacher)
    return {
        'shares': dict(model.teacher_statistics.named_buffers()),
        'mean': model.teacher.backbone.first[1].running_mean,
    }


def test_processes_share_what_they_saw(tmp_path):
    first, second = in_group(labelled_by, tmp_path / 'group')
    assert not differing(first, second)
    torch.testing.assert_close(first['shares']['source_shares'], torch.tensor([0.5, 0.5, 0.0]))
    model = build(teacher_statistics={**MATCHED, 'max_ratio': 1})
    images = torch.cat([target_images(model, seed=seed) for seed in range(2)])
    model.label_target(images)
    torch.testing.assert_close(first['mean'], model.teacher.backbone.first[1].running_mean, rtol=1e-4, atol=1e-5)
    shares = model.teacher_statistics.target_shares[0]
    torch.testing.assert_close(first['shares']['target_shares'][0], shares, rtol=1e-4, atol=1e-5)


def test_the_earlier_form_beside_the_new_one_is_refused_with_what_replaces_it():
    with pytest.raises(ValueError, match=r"set teacher_statistics=dict\(_delete_=True, type='StudentStatistics'"):
        MODELS.build(toy.dlc(teacher_batch_statistics=False, teacher_statistics={'type': 'ClassMatchedStatistics'}))
