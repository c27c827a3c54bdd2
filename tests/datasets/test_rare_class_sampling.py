from __future__ import annotations

import math

import numpy as np
import pytest

from dlc_mmseg.datasets.rare_class_sampling import RareClassSampler, RareClassSampling, rare_class_probabilities
from dlc_mmseg.errors import UserError

NAMES = ('a', 'b', 'c')


def _sampler(counts: list[list[int]], **settings: float) -> RareClassSampler:
    return RareClassSampler(np.array(counts), NAMES[: len(counts[0])], RareClassSampling(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize('temperature', [0.01, 0.1, 1.0])
def test_probabilities_follow_the_paper(temperature: float) -> None:
    pixels = np.array([700, 250, 50])
    weights = [math.exp((1 - n / 1000) / temperature) for n in pixels]
    np.testing.assert_allclose(
        rare_class_probabilities(pixels, temperature), [w / sum(weights) for w in weights], rtol=1e-10
    )


def test_probabilities_stay_finite_and_leave_absent_classes_out() -> None:
    probabilities = rare_class_probabilities(np.array([10**12, 0, 1]), 1e-6)
    np.testing.assert_allclose(probabilities, [0, 0, 1])


def test_published_temperature_gives_most_draws_to_the_rarest_class() -> None:
    shares = np.array([0.28, 0.26, 0.24, 0.15, 0.02, 0.05])
    assert 0.85 < rare_class_probabilities(shares * 1e6, 0.01)[4] < 0.97


def test_draws_have_the_stated_distribution_and_enough_pixels() -> None:
    counts = [[90, 10, 0], [60, 0, 40], [20, 60, 20], [100, 0, 0]]
    sampler = _sampler(counts, temperature=0.3, min_pixels=15, min_crop_ratio=1.0)
    generator = np.random.default_rng(0)
    draws = [sampler.draw(generator) for _ in range(6000)]
    shares = np.bincount([draw.label for draw in draws], minlength=3) / len(draws)
    np.testing.assert_allclose(shares, sampler.probabilities, atol=0.02)
    assert all(counts[draw.image][draw.label] > 15 for draw in draws)
    assert {draw.image for draw in draws if draw.label == 2} == {1, 2}


def test_wanted_pixels_are_capped_by_what_the_image_holds() -> None:
    generator = np.random.default_rng(0)
    assert _sampler([[100]], min_pixels=20, min_crop_ratio=2.0).draw(generator).wanted_pixels == 41
    assert _sampler([[30]], min_pixels=20, min_crop_ratio=2.0).draw(generator).wanted_pixels == 30
    assert _sampler([[30]], min_pixels=20, min_crop_ratio=0).draw(generator).wanted_pixels == 0


def test_scarce_and_absent_classes_fall_back_and_are_said_once(messages: list[str]) -> None:
    sampler = _sampler([[9000, 100, 0], [9000, 60, 0], [9000, 10, 0]])
    assert len(messages) == 1
    assert 'b (at most 100)' in messages[0]
    assert 'no image holds c' in messages[0]
    assert sampler.images[1].tolist() == [0, 1]
    generator = np.random.default_rng(0)
    assert 2 not in {sampler.draw(generator).label for _ in range(100)}
    assert len(messages) == 1


def test_a_single_pixel_of_a_class_can_be_drawn(messages: list[str]) -> None:
    assert _sampler([[9000, 1], [9000, 0]]).images[1].tolist() == [0]
    assert len(messages) == 1


def test_labels_without_any_class_are_refused() -> None:
    with pytest.raises(UserError, match='no pixel of any class'):
        _sampler([[0, 0], [0, 0]])


@pytest.mark.parametrize(
    'settings', [{'temperature': 0.0}, {'min_pixels': -1}, {'min_crop_ratio': -0.1}, {'max_redraws': -1}]
)
def test_settings_out_of_range_are_refused_by_name(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        RareClassSampling(**settings)  # type: ignore[arg-type]
