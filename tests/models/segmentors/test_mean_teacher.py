"""The mean-teacher step: teacher update, branches, gradients, loading, prediction."""

from __future__ import annotations

import copy

import pytest
import torch
import toy
from mmseg.registry import MODELS

PARTS = ('class_mix', 'masked_consistency', 'strong_augmentation')


def build(**changes):
    torch.manual_seed(0)
    config = toy.dlc(transition=None, volume_loss=None, convexity_loss=None, **changes)
    config['type'] = 'MeanTeacherSegmentor'
    for name in ('transition', 'volume_loss', 'convexity_loss'):
        del config[name]
    model = MODELS.build(config)
    model.init_weights()
    return model.train()


def weights(network):
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_step_trains_student_only():
    model = build()
    student, teacher = weights(model.student), weights(model.teacher)
    log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert not torch.equal(weights(model.student), student)
    torch.testing.assert_close(weights(model.teacher), teacher)  # t = 0 copies the student as it was
    assert set(log) >= {'loss', 'source.decode.loss_ce', 'mix.decode.loss_forward_corrected'}
    assert all(parameter.grad is None for parameter in model.teacher.parameters())


def test_logged_loss_is_the_sum_of_the_branches():
    model = build()
    log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    parts = [value for name, value in log.items() if 'loss' in name and name != 'loss']
    torch.testing.assert_close(log['loss'], torch.stack([part.detach() for part in parts]).sum())


def test_teacher_follows_the_annealed_average():
    model = build(teacher_momentum=0.25)
    wrapper = toy.optim_wrapper(model, rate=0.1)
    expected = weights(model.student)
    for iteration in range(6):
        share = max(1 / (iteration + 1), 0.25)
        expected = (1 - share) * expected + share * weights(model.student)
        model.train_step(toy.paired_batch(iteration), wrapper)
        torch.testing.assert_close(weights(model.teacher), expected)
    assert int(model.iteration) == 6


def test_branchwise_gradients_equal_the_summed_loss():
    model = build()
    other = copy.deepcopy(model)
    torch.manual_seed(7)
    model.train_step(toy.paired_batch(), toy.optim_wrapper(model, rate=0.5))
    torch.manual_seed(7)
    wrapper = toy.optim_wrapper(other, rate=0.5)
    batch = other.data_preprocessor(toy.paired_batch(), True)
    loss, _ = other.parse_losses(other.loss(**batch))
    wrapper.update_params(loss)
    torch.testing.assert_close(weights(model.student), weights(other.student))


def test_accumulated_gradients_step_once():
    model = build()
    before = weights(model.student)
    wrapper = toy.optim_wrapper(model, accumulative_counts=2)
    model.train_step(toy.paired_batch(0), wrapper)
    torch.testing.assert_close(weights(model.student), before)
    assert wrapper.inner_count == 1
    model.train_step(toy.paired_batch(1), wrapper)
    assert not torch.equal(weights(model.student), before)
    assert wrapper.inner_count == 2


def test_source_only_never_asks_the_teacher(monkeypatch):
    model = build(class_mix=None, masked_consistency=None)

    def fail(*_):
        raise AssertionError('the teacher was asked')

    monkeypatch.setattr(model.teacher, 'encode_decode', fail)
    log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert {name.split('.')[0] for name in log} == {'loss', 'source'}


def test_auxiliary_heads_learn_from_the_target_with_their_weight():
    model = build(segmentor=toy.segmentor(auxiliary=True), class_mix=None)
    log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert 'masked.aux.loss_forward_corrected' in log
    head = dlc_head(model, 'aux')
    assert head.loss_weight == pytest.approx(0.4)


def dlc_head(model, name):
    from dlc_mmseg.models.segmentors.head_logits import training_logits

    heads = training_logits(model.student, torch.randn(2, 3, 16, 16))
    return next(head for head in heads if head.name == name)


def test_padded_target_pixels_weigh_nothing():
    model = build(pseudo_label_threshold=0.0)
    data = toy.domain_batch(labelled=False)
    data['inputs'][1] = data['inputs'][1][:, :10, :20]
    batch = model.data_preprocessor({'source': toy.domain_batch(labelled=True), 'target': data}, True)
    output = model.label_target(batch['inputs']['target'], batch['data_samples']['target'])
    assert output.pseudo.weight[1, 10:].eq(0).all()
    assert output.pseudo.weight[1, :, 20:].eq(0).all()
    assert output.pseudo.weight[1, :10, :20].gt(0).all()
    assert output.valid[0].all()


def test_teacher_mode():
    model = build(teacher_batch_statistics=False)
    assert not any(module.training for module in model.teacher.modules())
    model = build(teacher_batch_statistics=True)
    before = model.teacher.backbone.first[1].running_mean.clone()
    model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert model.teacher.backbone.first[1].training
    assert not torch.equal(model.teacher.backbone.first[1].running_mean, before)
    model.eval()
    assert not model.teacher.backbone.first[1].training


def test_teacher_buffers_are_the_students_without_batch_statistics():
    model = build(teacher_batch_statistics=False)
    model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    model.follow_student()
    for teacher, student in zip(model.teacher.buffers(), model.student.buffers(), strict=True):
        torch.testing.assert_close(teacher, student)


@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_predicts_with_the_chosen_network(network):
    model = build(predict_with=network).eval()
    with torch.no_grad():
        for parameter in getattr(model, network).decode_head.conv_seg.parameters():
            parameter.zero_()
        getattr(model, network).decode_head.conv_seg.bias[2] = 1.0
    data = toy.domain_batch(labelled=False)
    predictions = model.val_step(data)
    assert all(prediction.pred_sem_seg.data.eq(2).all() for prediction in predictions)


def test_plain_checkpoint_starts_student_and_teacher():
    plain = MODELS.build(toy.segmentor())
    model = build()
    model.load_state_dict(plain.state_dict())
    torch.testing.assert_close(weights(model.student), weights(plain))
    torch.testing.assert_close(weights(model.teacher), weights(plain))


def test_checkpoint_carries_everything():
    model = build()
    wrapper = toy.optim_wrapper(model)
    for seed in range(3):
        model.train_step(toy.paired_batch(seed), wrapper)
    other = build()
    other.load_state_dict(model.state_dict())
    assert int(other.iteration) == 3
    torch.testing.assert_close(weights(other.teacher), weights(model.teacher))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'teacher_momentum': 0.0}, 'teacher_momentum'),
        ({'pseudo_label_threshold': 1.5}, 'pseudo_label_threshold'),
        ({'pseudo_label_margins': (1, 2)}, 'pseudo_label_margins'),
        ({'quality_weight': 'tile'}, 'quality_weight'),
        ({'predict_with': 'both'}, 'predict_with'),
        (
            {
                'predict_with': 'teacher',
                'teacher_batch_statistics': True,
                'class_mix': None,
                'masked_consistency': None,
            },
            'class_mix or masked_consistency',
        ),
        ({'feature_distance': {'type': 'FeatureDistance', 'classes': [0, 3]}}, r'\[3\].*3 classes, 0 to 2'),
    ],
)
def test_bad_arguments_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def sigmoid_head():
    loss = {'type': 'CrossEntropyLoss', 'use_sigmoid': True}
    return toy.head(num_classes=2, out_channels=1, threshold=0.3, loss_decode=loss)


@pytest.mark.parametrize(
    ('config', 'reason'),
    [
        ({**toy.segmentor(), 'decode_head': sigmoid_head()}, 'sigmoid'),
        ({**toy.segmentor(), 'auxiliary_head': toy.head(in_index=0, num_classes=4)}, '4 classes'),
        (
            {
                **toy.segmentor(),
                'auxiliary_head': {**toy.head(in_index=0), 'type': 'STDCHead', 'boundary_threshold': 0.1},
            },
            'loss of its own',
        ),
    ],
)
def test_heads_without_dense_softmax_logits_are_refused(config, reason):
    with pytest.raises(ValueError, match=reason):
        build(segmentor=config)


def test_four_channels():
    model = build(segmentor=toy.segmentor(in_channels=4), data_preprocessor=toy.preprocessor(4))
    log = model.train_step(toy.paired_batch(channels=4), toy.optim_wrapper(model))
    assert torch.isfinite(log['loss'])


def test_shapes_that_differ_are_refused_with_a_remedy():
    model = build()
    data = {'source': toy.domain_batch(labelled=True), 'target': toy.domain_batch(labelled=False, size=(16, 16))}
    with pytest.raises(ValueError, match='crop_size'):
        model.train_step(data, toy.optim_wrapper(model))
    data = {'source': toy.domain_batch(labelled=True), 'target': toy.domain_batch(labelled=False, channels=4)}
    with pytest.raises(ValueError, match=r'\[4\] channels'):
        model.train_step(data, toy.optim_wrapper(model))


@pytest.mark.parametrize('update', [False, True])
def test_masked_images_enter_running_statistics_only_on_request(update):
    consistency = {'type': 'MaskedImageConsistency', 'block_size': 4, 'update_statistics': update}
    models = [build(class_mix=None, masked_consistency=part) for part in (consistency, None)]
    for model in models:
        torch.manual_seed(1)
        model.train_step(toy.paired_batch(), toy.optim_wrapper(model, rate=0.0))
    masked, plain = (model.student.backbone.first[1] for model in models)
    assert torch.equal(masked.running_mean, plain.running_mean) != update
    assert int(masked.num_batches_tracked) == 1 + update
    assert masked.momentum == plain.momentum
