"""Confusion in the orientation of T."""

from __future__ import annotations

import torch

from dlc_mmseg.functional import confusion_counts, expected_confusion, transition_error, true_transition


def test_counts_rows_are_true_classes():
    labels = torch.tensor([[0, 0, 1], [1, 255, 7]])
    predictions = torch.tensor([[0, 2, 1], [0, 0, 1]])
    counts = confusion_counts(labels, predictions, 3)
    assert counts.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 0]]


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


def test_expected_confusion_of_sure_pixels_is_the_count():
    true = torch.tensor([[[0, 1], [2, 1]]])
    labels = torch.tensor([[[0, 2], [2, 255]]])
    probs = torch.nn.functional.one_hot(true, 3).permute(0, 3, 1, 2).float()
    mask = torch.tensor([[[True, True], [False, True]]])
    assert expected_confusion(probs, labels, mask).tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_expected_confusion_shares_unsure_pixels():
    probs = torch.tensor([0.75, 0.25]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
    labels = torch.tensor([[[0, 0, 1, 0]]])
    counts = expected_confusion(probs, labels, torch.ones(1, 1, 4, dtype=torch.bool))
    torch.testing.assert_close(counts, torch.tensor([[2.25, 0.75], [0.75, 0.25]]))
