"""Parts that take images for 8-bit ones: strong augmentation's range, steps of a pipeline that clip at 255."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlc_mmseg.checks.domain_files import Domain
from dlc_mmseg.checks.pipelines import Outputs
from dlc_mmseg.checks.report import RAISED, Report
from dlc_mmseg.datasets.draw_randomness import isolated_randomness
from dlc_mmseg.datasets.image_loading import load_image

_FIELD = 'model.strong_augmentation'
_DRAWS = 8
"""Times a pipeline is run; its steps happen with some probability."""
_DARK, _BLACK = 8, 50
"""Images of so many times less than full brightness look wrong, or are."""


def check_value_range(
    domains: Sequence[Domain], outputs: Mapping[str, Outputs], model: Mapping[str, Any], report: Report
) -> None:
    """Compare the range that colours are changed in with the values of the images.

    Args:
        domains: Datasets of source and target.
        outputs: What their pipelines give, by name.
        model: Config of the model.
        report: Receives values that would be clamped, or drown in the change.
    """
    settings = model.get('strong_augmentation')
    known = [(domain, outputs[domain.name]) for domain in domains if outputs.get(domain.name, Outputs()).bright]
    if not settings or not known or settings.get('jitter_probability', 0.8) == 0:
        return
    given = settings.get('value_range', 255.0)
    full = [float(value) for value in (given if isinstance(given, (list, tuple)) else [given])]
    channels = known[0][1].channels
    if len(full) not in (1, channels):
        report.error(f'{_FIELD}.value_range', f'has {len(full)} values for {channels} channels', 'give one per channel')
        return
    full = full * channels if len(full) == 1 else full
    if (model.get('data_preprocessor') or {}).get('bgr_to_rgb') and channels == 3:
        full = full[::-1]  # in the order of the pipeline
    if not any(_clamped(domain, output, full, report) for domain, output in known):
        _drowned([output for _, output in known], full, report)


def _clamped(domain: Domain, output: Outputs, full: list[float], report: Report) -> bool:
    """Report values that colour jitter would clamp."""
    where, largest = f'{_FIELD}.value_range', f'they reach {output.largest:g}'
    over = [(value, limit) for value, limit in zip(output.bright, full, strict=False) if value > limit]
    if over:
        value, limit = max(over, key=lambda pair: pair[0] / pair[1])
        what = (
            f'is {limit:g}, 1 % of the {domain.role} values exceed {value:g} ({largest}): they would be clamped to it'
        )
        report.error(where, what, f'set it to the value of full brightness, such as {_round_up(max(output.bright)):g}')
    elif min(output.dark) < 0:
        what = f'{domain.role} values go below 0 (1 % below {min(output.dark):g}), where colour jitter clamps them'
        report.error(where, what, f'set {_FIELD}.jitter_probability=0, or let the pipeline shift the values above 0')
    return bool(over) or min(output.dark) < 0


def _drowned(outputs: list[Outputs], full: list[float], report: Report) -> None:
    """Report values so small that a change of brightness exceeds them."""
    if all(output.dtype == 'uint8' for output in outputs):
        return  # dark, but of this range
    brightest = [max(output.bright) for output in outputs]
    share = max(value / limit for output in outputs for value, limit in zip(output.bright, full, strict=False))
    if share * _DARK >= 1:
        return
    what = f'is {max(full):g}, only 1 % of the values exceed {max(brightest):g}: changes of brightness would drown them'
    note = report.error if share * _BLACK < 1 else report.warning
    note(
        f'{_FIELD}.value_range', what, f'set it to the value of full brightness, such as {_round_up(max(brightest)):g}'
    )


def check_eight_bit_steps(domain: Domain, report: Report) -> None:
    """Find steps of a pipeline that turn images of more than 8 bits into 8 bits.

    Args:
        domain: A dataset whose pipeline runs.
        report: Receives the step.
    """
    with isolated_randomness(0, 0):
        loaded = load_image(domain.dataset.pipeline.transforms, domain.tiles[0].info)
    if loaded is None or loaded.image.dtype == np.uint8:
        return
    for seed in range(_DRAWS):
        with isolated_randomness(0, seed):
            step = _first_eight_bit_step(domain)
        if step is not None:
            what = f'{type(step).__name__} turns {loaded.image.dtype} images into 8 bits and clips what exceeds 255'
            report.error(f'{domain.name}.pipeline', what, f'leave it out; {_FIELD} changes colours of any range')
            return


def _first_eight_bit_step(domain: Domain) -> Any:
    """The step at which an image of more than 8 bits becomes one of 8; None if it stays, or a step fails."""
    results: Any = dict(domain.tiles[0].info)
    for step in domain.dataset.pipeline.transforms:
        before = _dtype(results)
        try:
            results = step(results)
        except RAISED:  # `check_pipeline` names what fails
            return None
        if not isinstance(results, dict):
            return None
        if before not in (None, np.dtype(np.uint8)) and _dtype(results) == np.uint8:
            return step
    return None


def _round_up(value: float) -> float:
    """The next number of two digits."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(round(value / unit, 6)) * unit, 12)


def _dtype(results: Mapping[str, Any]) -> Any:
    image = results.get('img')
    return image.dtype if isinstance(image, np.ndarray) else None
