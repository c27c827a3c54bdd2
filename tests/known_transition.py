"""Evidence of a known transition matrix, as an iteration shows it."""

from __future__ import annotations

import torch

from dlc_mmseg.models.transition.views import LabelledView, Points, Views


def clustered_points(transition, count=1500, depth=8, seed=0):
    """Separated clusters whose labels are flipped with a known T."""
    generator = torch.Generator().manual_seed(seed)
    classes = len(transition)
    true = torch.randint(0, classes, (count,), generator=generator)
    centres = torch.eye(classes, depth) * 10
    features = centres[true] + 0.1 * torch.randn(count, depth, generator=generator)
    labels = torch.multinomial(transition[true], 1, generator=generator)[:, 0]
    return Points(features, labels)


def random_view(classes, seed=0, size=8):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, size, size, generator=generator)
    labels = torch.randint(0, classes, (2, size, size), generator=generator)
    return LabelledView(logits, labels, torch.rand(2, size, size, generator=generator) < 0.9)


def noisy_views(transition, prior, pasted_prior=None, size=150, seed=0):
    """Target pixels labelled with noise of a known T, which the teacher sees through: it is sure of every true class;
    and pasted ones of a prior of their own, which the student takes for others with the same T."""
    generator, views = torch.Generator().manual_seed(seed), []
    classes, shape = len(transition), (1, size, size)
    for prior_of_view in (prior, prior if pasted_prior is None else pasted_prior):
        true = torch.multinomial(prior_of_view, size * size, replacement=True, generator=generator)
        noisy = torch.multinomial(transition[true], 1, generator=generator)[:, 0]
        predicted, labels = (noisy, true) if views else (true, noisy)
        logits = 50.0 * torch.nn.functional.one_hot(predicted, classes).t().reshape(1, classes, size, size)
        views.append(LabelledView(logits, labels.view(shape), torch.ones(shape, dtype=torch.bool)))
    return Views([views[0]], [views[1]])


def nothing(_):
    return {}
