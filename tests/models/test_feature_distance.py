"""Distance to the frozen starting point: values, gradients, empty masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toy
from mmseg.registry import MODELS


def built(**changes):
    torch.manual_seed(0)
    module = MODELS.build({'type': 'FeatureDistance', 'classes': [1, 2], 'loss_weight': 0.5, **changes})
    module.start_from(toy.ToyBackbone())
    return module.train()


def batch(classes=3):
    torch.manual_seed(1)
    labels = torch.randint(0, classes, (2, 4, 6)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    return torch.randn(2, 3, 16, 24), torch.randn(2, 8, 4, 6, requires_grad=True), labels


def test_value_against_a_loop_over_cells():
    module = built(min_ratio=0.6)
    images, features, labels = batch()
    labels[:, 0:2] = 255  # half of the first row of cells
    labels[0, 4:8, 0:1] = 0  # a quarter of another cell
    reference = module.backbone(images)[1].detach().double().numpy()
    found = features.detach().double().numpy()
    distances = []
    for image, row, column in np.ndindex(2, 4, 6):
        cell = labels[image, row * 4 : row * 4 + 4, column * 4 : column * 4 + 4].numpy()
        if max((cell == 1).mean(), (cell == 2).mean()) >= 0.6:
            distances.append(np.linalg.norm(found[image, :, row, column] - reference[image, :, row, column]))
    assert 0 < len(distances) < 48
    assert module(images, features, labels).item() == pytest.approx(0.5 * np.mean(distances), rel=1e-5)


def test_a_cell_counts_when_one_class_fills_its_share():
    module = built(min_ratio=0.75)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, :3] = 1
    assert module.cells(labels, (1, 1)).all()
    labels[0, 2, 0] = 2  # listed as well, but another class
    assert not module.cells(labels, (1, 1)).any()


def test_no_counted_cell_costs_exactly_nothing():
    module = built()
    images, features, labels = batch()
    for empty in (torch.zeros_like(labels), torch.full_like(labels, 255)):
        loss = module(images, features, empty)
        assert float(loss) == 0.0
        (gradient,) = torch.autograd.grad(loss, features)
        assert gradient.eq(0).all()


def test_gradient_reaches_the_student_only():
    module = built()
    images, features, labels = batch()
    images.requires_grad_()
    module(images, features, labels).backward()
    assert features.grad.abs().sum() > 0
    assert images.grad is None
    assert all(not parameter.requires_grad and parameter.grad is None for parameter in module.parameters())


def test_equal_features_have_a_finite_gradient():
    module = built()
    images, _, labels = batch()
    features = module.backbone(images)[1].detach().requires_grad_()
    loss = module(images, features, labels)
    loss.backward()
    assert float(loss) < 1e-5
    assert torch.isfinite(features.grad).all()


def test_reference_stays_in_evaluation_mode_and_in_the_checkpoint():
    module = built()
    assert not any(part.training for part in module.backbone.modules())
    before = module.backbone.first[1].running_mean.clone()
    module(*batch())
    assert torch.equal(module.backbone.first[1].running_mean, before)
    assert any(name.startswith('backbone.') for name in module.state_dict())


def test_reference_is_a_copy():
    backbone = toy.ToyBackbone()
    module = MODELS.build({'type': 'FeatureDistance', 'classes': [1]})
    module.start_from(backbone)
    with torch.no_grad():
        next(backbone.parameters()).add_(1.0)
    assert not torch.equal(next(backbone.parameters()), next(module.backbone.parameters()))
    assert next(backbone.parameters()).requires_grad


@pytest.mark.parametrize('changes', [{'classes': []}, {'classes': [-1]}, {'min_ratio': 0.0}, {'loss_weight': -1.0}])
def test_bad_arguments_are_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        built(**changes)
