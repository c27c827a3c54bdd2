"""Confusion in the orientation of T."""

from __future__ import annotations

import pytest
import torch

from dlc_mmseg.functional import (
    confusion_counts,
    expected_confusion,
    precision_matrix,
    transition_error,
    true_transition,
)


def test_counts_rows_are_true_classes():
    labels = torch.tensor([[0, 0, 1], [1, 255, 7]])
    predictions = torch.tensor([[0, 2, 1], [0, 0, 1]])
    counts = confusion_counts(labels, predictions, 3)
    assert counts.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ('labels', 'predictions', 'words'),
    [
        ([0, 1], [0, 3], 'from 0 to 3: pass classes 0..2'),
        ([0, 1], [-1, 1], 'from -1 to 1'),
        ([0], [0, 1], 'equal shapes'),
    ],
)
def test_predictions_that_are_no_classes_are_refused(labels, predictions, words):
    with pytest.raises(ValueError, match=words):
        confusion_counts(torch.tensor(labels), torch.tensor(predictions), 3)


def test_transition_rows_sum_to_one_and_absent_classes_are_nan():
    transition = true_transition(torch.tensor([[3, 1], [0, 0]]))
    assert transition[0].tolist() == [0.75, 0.25]
    assert transition[1].isnan().all()


def test_error_is_the_mean_over_known_rows():
    estimate = torch.tensor([[0.9, 0.1], [0.5, 0.5]])
    true = true_transition(torch.tensor([[6, 4], [0, 0]]))
    error = transition_error(estimate, true)
    torch.testing.assert_close(error, torch.tensor(0.3, dtype=torch.float64))
    assert transition_error(estimate, torch.full((2, 2), torch.nan)).isnan()
    assert transition_error(estimate.log() * 0 / 0, true).isnan()


def test_expected_confusion_of_sure_pixels_is_the_count():
    true = torch.tensor([[[0, 1], [2, 1]]])
    labels = torch.tensor([[[0, 2], [2, 255]]])
    probs = torch.nn.functional.one_hot(true, 3).permute(0, 3, 1, 2).float()
    mask = torch.tensor([[[True, True], [False, True]]])
    assert expected_confusion(probs, labels, mask).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_precision_is_recall_of_the_exchanged_problem():
    counts = torch.tensor([[6, 2, 0], [3, 1, 0], [0, 0, 0]])
    precision = precision_matrix(counts)
    torch.testing.assert_close(precision, true_transition(counts.t()).t(), equal_nan=True)
    assert precision[:, 0].tolist() == pytest.approx([6 / 9, 3 / 9, 0])
    assert precision[:, 2].isnan().all()
    prior = counts.sum(dim=1) / counts.sum()
    joint = prior.unsqueeze(1) * true_transition(counts).nan_to_num(0)  # Bayes' rule
    torch.testing.assert_close(precision_matrix(joint), precision, equal_nan=True)


def test_expected_confusion_shares_unsure_pixels():
    probs = torch.tensor([0.75, 0.25]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    labels = torch.tensor([[[0, 0, 1, 0]]])
    counts = expected_confusion(probs, labels, torch.ones(1, 1, 4, dtype=torch.bool))
    torch.testing.assert_close(counts, torch.tensor([[2.25, 0.75], [0.75, 0.25]]))


def test_expected_confusion_gives_the_truth_where_the_label_adds_nothing():
    generator = torch.Generator().manual_seed(0)
    probs = torch.rand(1, 3, 1, 200_000, generator=generator).pow(4)
    probs = probs / probs.sum(dim=1, keepdim=True)
    true = torch.multinomial(probs[0, :, 0].t(), 1, generator=generator).view(1, 1, -1)
    labels = probs.argmax(dim=1)
    expected = expected_confusion(probs, labels, torch.ones_like(labels, dtype=torch.bool))
    counted = true_transition(confusion_counts(true, labels, 3))
    torch.testing.assert_close(true_transition(expected), counted, atol=0.01, rtol=0)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_expected_confusion_counts_in_float32_under_autocast(dtype):
    probs, labels = torch.zeros(1, 2, 300, 300), torch.zeros(1, 300, 300, dtype=torch.long)
    probs[:, 0] = 1
    with torch.autocast('cpu', dtype=dtype):
        counts = expected_confusion(probs, labels, labels == 0)
    assert counts.dtype == torch.float32
    assert counts.tolist() == [[90000, 0], [0, 0]]
