"""Rare class sampling: images of rare classes are drawn more often (Hoyer et al., DAFormer, CVPR 2022, section 3.3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log
from numpy.typing import NDArray

from dlc_mmseg.errors import UserError


@dataclass(frozen=True, kw_only=True)
class RareClassSampling:
    """Settings of rare class sampling; the defaults are the published ones.

    At the temperature 0.01 and typical class shares of aerial images about nine draws in ten go to the rarest
    class; a larger one evens them out.

    Attributes:
        temperature: Temperature of the softmax over ``1 - share of the class``; positive.
        min_pixels: An image is drawn for a class only if it holds more than this many pixels of it.
        min_crop_ratio: The pipeline is run again until its output holds more than
            ``min_pixels * min_crop_ratio`` pixels of the class, or all that the image has; 0 switches that off.
        max_redraws: Most further runs of the pipeline; the output with most pixels of the class is kept.
        statistics: Class statistics file of the source labels; None takes the one beside the labels and keeps
            it up to date.

    Raises:
        UserError: If a number is out of range.
    """

    temperature: float = 0.01
    min_pixels: int = 3000
    min_crop_ratio: float = 2.0
    max_redraws: int = 10
    statistics: str | None = None

    def __post_init__(self) -> None:
        """Validate the numbers."""
        if not self.temperature > 0:
            raise UserError(None, f'temperature is {self.temperature}', 'give a positive number such as 0.01')
        for name in ('min_pixels', 'min_crop_ratio', 'max_redraws'):
            if getattr(self, name) < 0:
                raise UserError(None, f'{name} is {getattr(self, name)}', 'give a number of at least 0')


def sampling_settings(value: RareClassSampling | Mapping[str, Any] | None) -> RareClassSampling | None:
    """Settings of a `PairedDomainDataset`, from its config.

    Args:
        value: Settings, their keyword arguments, or None.

    Returns:
        The settings; None for None.

    Raises:
        UserError: If an argument is unknown or out of range.
    """
    if value is None or isinstance(value, RareClassSampling):
        return value
    try:
        return RareClassSampling(**value)
    except UserError as error:
        raise UserError('rare_class_sampling', error.what, error.remedy) from error
    except TypeError as error:
        what = str(error).replace('RareClassSampling.__init__() ', '')
        known = ', '.join(RareClassSampling.__dataclass_fields__)
        raise UserError('rare_class_sampling', what, f'known are {known}') from error


class RareDraw(NamedTuple):
    """Outcome of a draw.

    Attributes:
        image: Index of the image drawn.
        label: Class it was drawn for.
        wanted_pixels: Pixels of the class that the pipeline's output should hold; 0 takes any output.
    """

    image: int
    label: int
    wanted_pixels: int


def rare_class_probabilities(pixels: NDArray[Any], temperature: float) -> NDArray[np.float64]:
    """Probability of drawing each class (DAFormer, equations 6 and 7).

    Args:
        pixels: Pixels of each class in the whole dataset, shape (K,).
        temperature: Temperature of the softmax, positive.

    Returns:
        ``softmax((1 - share) / temperature)`` over the classes that occur, shape (K,); 0 for the others.
    """
    present = pixels > 0
    shares = pixels[present] / pixels.sum()
    weights = np.exp((shares.min() - shares) / temperature)
    probabilities = np.zeros(len(pixels))
    probabilities[present] = weights / weights.sum()
    return probabilities


class RareClassSampler:
    """Draws a class, then an image that holds enough of it.

    A class of which no image holds enough is drawn from the images with at least half as much of it as the best one;
    a class that no image holds is never drawn. Both are said once, in a warning.

    Args:
        counts: Pixels of each class in each image, shape (N, K).
        classes: The K class names.
        settings: How to draw.

    Raises:
        UserError: If no image holds any class.
    """

    def __init__(self, counts: NDArray[np.int64], classes: Sequence[str], settings: RareClassSampling) -> None:
        if counts.sum() == 0:
            raise UserError(None, 'source labels hold no pixel of any class', 'check classes and reduce_zero_label')
        self.settings = settings
        self.counts = counts
        self.probabilities = rare_class_probabilities(counts.sum(axis=0), settings.temperature)
        most = counts.max(axis=0)
        enough = np.where(most > settings.min_pixels, settings.min_pixels, (most - 1) // 2)
        self.images = [np.flatnonzero(counts[:, label] > max(enough[label], 0)) for label in range(len(classes))]
        self._warn(classes, most)

    def draw(self, generator: np.random.Generator) -> RareDraw:
        """Draw a class and an image.

        Args:
            generator: Source of randomness.

        Returns:
            Image, class, and how much of the class the pipeline's output should hold: never more than the image does.
        """
        label = int(generator.choice(len(self.probabilities), p=self.probabilities))
        image = int(generator.choice(self.images[label]))
        wanted = int(self.settings.min_pixels * self.settings.min_crop_ratio) + 1
        if self.settings.min_crop_ratio == 0:
            wanted = 0
        return RareDraw(image, label, min(wanted, int(self.counts[image, label])))

    def _warn(self, classes: Sequence[str], most: NDArray[np.int64]) -> None:
        absent = [name for name, pixels in zip(classes, most, strict=True) if pixels == 0]
        scarce = [
            f'{name} (at most {pixels})'
            for name, pixels in zip(classes, most, strict=True)
            if 0 < pixels <= self.settings.min_pixels
        ]
        messages = []
        if scarce:
            messages.append(
                f'no image holds more than {self.settings.min_pixels} pixels of {", ".join(scarce)}: '
                'these classes are drawn from the images with most of them'
            )
        if absent:
            messages.append(f'no image holds {", ".join(absent)}: never drawn')
        if messages:
            print_log(f'Rare class sampling: {"; ".join(messages)}', logger='current', level=logging.WARNING)
