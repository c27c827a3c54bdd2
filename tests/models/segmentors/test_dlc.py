"""The corrected step: what T touches, what trains T, and what is saved."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import toy
from mmseg.registry import MODELS

from dlc_mmseg.functional import PseudoLabels
from dlc_mmseg.functional.windows import Box
from dlc_mmseg.models.segmentors.dlc import pasted_views, predicts, teacher_view
from dlc_mmseg.models.segmentors.head_logits import HeadLogits, training_logits
from dlc_mmseg.models.segmentors.target_batch import TargetBatch, TeacherOutput


def build(**changes):
    torch.manual_seed(0)
    model = MODELS.build(toy.dlc(**changes))
    model.init_weights()
    return model.train()


def test_step_reports_and_updates_the_matrix():
    model = build()
    before = model.transition().clone()
    log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert {'transition.residual', 'transition.volume', 'transition.convexity'} <= set(log)
    assert not torch.equal(model.transition(), before)
    torch.testing.assert_close(model.transition().sum(dim=1), torch.ones(3))


def test_terms_of_the_matrix_are_no_part_of_the_networks_loss():
    model = build()
    log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    parts = [value.detach() for name, value in log.items() if 'loss' in name and name != 'loss']
    torch.testing.assert_close(log['loss'], torch.stack(parts).sum())
    assert not any('transition' in name for name in log if 'loss' in name)


def test_no_optimizer_touches_the_matrix():
    model = build()
    names = {name for name, _ in model.named_parameters()}
    assert not any(name.startswith('transition') for name in names)


def test_correction_applies_to_pseudo_labels_only():
    model = build(target_loss={'type': 'ForwardCorrectedCrossEntropyLoss'})
    model.transition.logits.copy_(torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 0.5], [0.3, 0.0, 1.0]]))
    matrix = model.transition()
    data = model.data_preprocessor(toy.paired_batch(), True)
    teacher = model.label_target(data['inputs']['target'])
    torch.manual_seed(1)
    batch = next(model.target_batches(data['inputs'], data['data_samples'], teacher))
    assert batch.name == 'mix'
    assert batch.pseudo_labelled.any()
    assert (~batch.pseudo_labelled).any()
    heads = [toy_logits(model, batch.images)]
    (loss,) = model.target_branch(batch, heads).values()

    probs = F.interpolate(heads[0].logits, batch.images.shape[-2:], mode='bilinear').double().softmax(dim=1)
    noisy = torch.einsum('bihw,ij->bjhw', probs, matrix.double())
    chosen = torch.where(batch.pseudo_labelled[:, None], noisy, probs)
    expected = -chosen.gather(1, batch.labels[:, None])[:, 0].log() * batch.weight
    torch.testing.assert_close(loss.double(), expected.mean(), atol=1e-6, rtol=1e-5)


def toy_logits(model, images):
    from dlc_mmseg.models.segmentors.head_logits import training_logits

    (head,) = training_logits(model.student, images)
    return head


def test_without_transition_the_loss_is_plain_cross_entropy():
    model = build(transition=None, volume_loss=None, convexity_loss=None)
    assert model.correction() is None
    log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert not any(name.startswith('transition') for name in log)


@pytest.mark.parametrize('through', [False, True])
def test_gradient_through_the_corrected_loss(through):
    """T's only term is the corrected loss: its first Adam step goes against the loss's gradient, sign by sign."""
    estimator = {'type': 'ConfusionEstimator', 'loss_weight': 0.0, 'learning_rate': 0.01}
    transition = {'type': 'NoiseTransitionMatrix', 'estimator': estimator}
    model = build(transition=transition, train_transition_through_loss=through, volume_loss=None, convexity_loss=None)
    start, seen = model.transition.logits.clone(), []
    target_branches = model.target_branches

    def noting(inputs, data_samples, teacher):
        torch.manual_seed(2)
        state = torch.get_rng_state()
        for batch in model.target_batches(inputs, data_samples, teacher):
            with model.target_statistics(batch):
                seen.append((batch, training_logits(model.student, batch.images)))
        torch.set_rng_state(state)
        yield from target_branches(inputs, data_samples, teacher)

    model.target_branches = noting
    model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    moved = model.transition.logits - start
    if not through:
        assert not moved.any()
        return
    logits = start.double().requires_grad_()
    loss = torch.zeros((), dtype=torch.float64)
    for batch, heads in seen:
        for head in heads:
            probs = F.interpolate(head.logits, batch.images.shape[-2:], mode='bilinear').double().softmax(dim=1)
            noisy = torch.einsum('bihw,ij->bjhw', probs, logits.softmax(dim=1))
            if batch.pseudo_labelled is not None:
                noisy = torch.where(batch.pseudo_labelled[:, None], noisy, probs)
            nll = -noisy.log().gather(1, batch.labels[:, None])[:, 0]
            smoothed = 0.02 * -noisy.log().mean(dim=1) + 0.98 * nll
            loss = loss + head.loss_weight * batch.loss_weight * (batch.weight * (0.8 * nll + 0.2 * smoothed)).mean()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().min() > 1e-6
    assert torch.equal(moved.sign(), -gradient.sign().float())


def test_a_level_of_features_that_is_not_there():
    estimator = {'type': 'ConsensusEstimator', 'feature_level': 9}
    model = build(transition={'type': 'NoiseTransitionMatrix', 'estimator': estimator})
    with pytest.raises(ValueError, match='feature level 9: the backbone has 2, 0 to 1'):
        model.train_step(toy.paired_batch(), toy.optim_wrapper(model))


def test_regulariser_without_transition_is_refused():
    with pytest.raises(ValueError, match='volume_loss'):
        build(transition=None)


def test_checkpoint_carries_the_matrix_and_its_optimizer():
    model = build()
    wrapper = toy.optim_wrapper(model)
    for seed in range(3):
        model.train_step(toy.paired_batch(seed), wrapper)
    state = model.state_dict()
    other = build()
    other.load_state_dict(state)
    assert torch.equal(other.transition(), model.transition())
    assert torch.equal(other.transition.moments, model.transition.moments)
    assert float(other.transition.steps) == 3


def test_plain_checkpoint_leaves_the_matrix_at_its_start():
    plain = MODELS.build(toy.segmentor())
    model = build()
    model.load_state_dict(plain.state_dict())
    assert torch.equal(model.transition(), build().transition())


def test_bf16_autocast_step_is_finite():
    model = build()
    batch = model.data_preprocessor(toy.paired_batch(), True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss, log = model.parse_losses(model.loss(**batch))
    loss.backward()
    assert all(torch.isfinite(value).all() for value in log.values())
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.student.parameters())
    assert model.transition().dtype == torch.float32


def test_every_pseudo_label_counts_however_unsure_but_no_padding():
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    valid[:, :, 3] = False
    labels, unsure = torch.randint(3, (1, 4, 4)), torch.zeros(1, 4, 4)
    logits = torch.randn(1, 3, 4, 4)
    view = teacher_view(TeacherOutput(PseudoLabels(labels, unsure, unsure), logits, (), valid))
    assert view.logits is logits
    assert torch.equal(view.labels, labels)
    assert torch.equal(view.counted, valid)


def test_the_teacher_is_counted_on_the_grid_of_the_shallowest_features():
    labels, valid = torch.zeros(1, 8, 12).long(), torch.ones(1, 8, 12, dtype=torch.bool)
    pseudo, logits = PseudoLabels(labels, valid.float(), valid.float()), torch.randn(1, 3, 8, 12)
    for size, expected, weight in (((2, 3), logits[:, :, 2::4, 2::4], 16.0), ((16, 24), logits, 1.0)):
        features = (torch.zeros(1, 5, *size), torch.zeros(1, 7, 1, 1))
        view = teacher_view(TeacherOutput(pseudo, logits, features, valid))
        assert torch.equal(view.logits, expected)
        assert view.labels is labels
        assert view.weight == weight


def test_of_student_batches_only_pasted_pixels_of_predicting_heads_are_seen():
    pasted = torch.zeros(1, 4, 4, dtype=torch.bool)
    pasted[:, :2] = True
    images, labels, weight = torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4).long(), torch.ones(1, 4, 4)
    mixed = TargetBatch('mix', images, labels, weight, ~pasted, 1.0, True)
    masked = mixed._replace(name='masked', pseudo_labelled=None)
    decode = HeadLogits('decode', torch.zeros(1, 3, 4, 4), 1.0, False)
    auxiliary = decode._replace(name='aux')
    (view,) = pasted_views([(mixed, decode), (mixed, auxiliary), (masked, decode)])
    assert torch.equal(view.counted, pasted)
    assert view.logits is decode.logits
    assert view.labels is labels


def test_the_counts_are_those_of_teacher_and_pasted_pixels():
    estimator = {'type': 'ConfusionEstimator', 'known_weight': 0.0}
    model = build(transition={'type': 'NoiseTransitionMatrix', 'estimator': estimator})
    made = []
    label_target = model.label_target
    model.label_target = lambda *arguments: made.append(label_target(*arguments)) or made[-1]
    model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    logits, labels = made[0].logits[:, :, 1::2, 1::2], made[0].pseudo.labels[:, 1::2, 1::2]  # features have stride 2
    probs = logits.softmax(dim=1)
    expected = 4 * torch.stack(
        [(probs * (labels == label).unsqueeze(1)).sum(dim=(0, 2, 3)) for label in range(3)], dim=1
    )
    torch.testing.assert_close(model.transition.estimator.counts, expected)


@pytest.mark.parametrize('estimator', ['ConfusionEstimator', 'ConsensusEstimator'])
def test_both_estimators_learn_in_training(estimator):
    model = build(transition={'type': 'NoiseTransitionMatrix', 'estimator': estimator})
    start = model.transition().clone()
    for _ in range(3):
        log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
    assert log['transition.residual'].isfinite()
    assert not torch.equal(model.transition(), start)
    counts = [name for name in model.state_dict() if name.endswith('estimator.counts')]
    assert bool(counts) == (estimator == 'ConfusionEstimator')


def test_auxiliary_heads_and_detail_crops_are_no_views():
    logits = torch.zeros(1, 3, 4, 4)
    assert predicts(HeadLogits('decode', logits, 1.0, False))
    assert not predicts(HeadLogits('aux', logits, 0.4, False))
    assert not predicts(HeadLogits('detail', logits, 0.1, False, Box(0, 0, 2, 2)))
