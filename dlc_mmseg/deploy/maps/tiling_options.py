"""How large windows are where the user leaves it to the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from dlc_mmseg.deploy.maps.blending import Tiling
from dlc_mmseg.errors import UserError

_SIDE = 512


def default_tiling(config: Config, window: int | None, overlap: int | None) -> Tiling:
    """Windows of a config's sliding inference, or else of the size of its training crops.

    Args:
        config: A whole config.
        window: Side in pixels, instead of the config's.
        overlap: Pixels that neighbours share, instead of the config's; None takes those of its sliding inference, a
            quarter window where it has none.

    Returns:
        Windows and overlap.

    Raises:
        UserError: If the overlap leaves no step.
    """
    model: Mapping[str, Any] = config.get('model') or {}
    segmentor = model.get('segmentor') or model
    test = segmentor.get('test_cfg') or {}
    slides = test.get('mode') == 'slide'
    size = _pair(test.get('crop_size')) if slides else None
    size = size or _pair((model.get('data_preprocessor') or {}).get('size')) or (_SIDE, _SIDE)
    shared = tuple(side // 4 for side in size)
    if slides and _pair(test.get('stride')) and window is None:
        shared = tuple(side - step for side, step in zip(size, _pair(test['stride']) or size, strict=True))
    if window is not None:
        size, shared = (window, window), (window // 4, window // 4)
    if overlap is not None:
        shared = (overlap, overlap)
    if min(shared) < 0 or any(part > side * 7 // 8 for part, side in zip(shared, size, strict=True)):
        what = f'{max(shared)} pixels of windows of {min(size)} leave hardly a step between them'
        raise UserError('--overlap', what, f'give at most {min(size) // 2}')
    return Tiling(window=(size[0], size[1]), overlap=(shared[0], shared[1]))


def _pair(value: Any) -> tuple[int, int] | None:
    if isinstance(value, int):
        return value, value
    if isinstance(value, Sequence) and len(value) == 2 and all(isinstance(side, int) and side > 0 for side in value):
        return int(value[0]), int(value[1])
    return None
