"""Sliding inference whose time is linear in the image, in place of MMSegmentation's."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from dlc_mmseg.functional.window_canvas import WindowCanvas
from dlc_mmseg.functional.windows import Box, sliding_windows


class SlideSettings(NamedTuple):
    """What a segmentor's ``test_cfg`` says of sliding windows.

    Attributes:
        crop_size: Height and width of a window in pixels.
        stride: Rows and columns from one window to the next, at most the window.
        window_batch_size: Windows of each image that go through the network at once. More than one serves a GPU that
            one window does not fill; logits are then equal to rounding, no longer bit by bit.
        canvas_device: Where logits are gathered and returned, e.g. ``cpu`` for images whose logits do not fit on the
            GPU; None means where the images are.
    """

    crop_size: tuple[int, int]
    stride: tuple[int, int]
    window_batch_size: int = 1
    canvas_device: str | None = None


def slide_settings(test_cfg: Mapping[str, Any] | None) -> SlideSettings:
    """Read and check a ``test_cfg`` of mode ``slide``.

    Args:
        test_cfg: ``crop_size`` and ``stride`` as MMSegmentation knows them; ``window_batch_size`` and
            ``canvas_device`` are ours.

    Raises:
        ValueError: If a value is out of its range.
    """
    test_cfg = test_cfg or {}
    crop_size, stride = _pair(test_cfg, 'crop_size'), _pair(test_cfg, 'stride')
    if stride[0] > crop_size[0] or stride[1] > crop_size[1]:
        raise ValueError(f'test_cfg.stride {stride} exceeds crop_size {crop_size}: choose at most the crop size')
    batch_size, device = test_cfg.get('window_batch_size', 1), test_cfg.get('canvas_device')
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f'test_cfg.window_batch_size is {batch_size!r}: choose a whole number from 1')
    try:
        torch.device(device or 'cpu')
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"test_cfg.canvas_device is {device!r}: choose a torch device, e.g. 'cpu', or None") from error
    return SlideSettings(crop_size, stride, batch_size, device)


def window_logits(
    network: EncoderDecoder,
    windows: Iterable[tuple[Box, Tensor]],
    metas: Sequence[dict[str, Any]],
    batch_size: int = 1,
) -> Iterator[tuple[Box, Tensor]]:
    """Logits of windows, which may be cut (or read from a file) as they are asked for.

    Args:
        network: Any segmentor with ``encode_decode``.
        windows: Boxes with their normalised pixels, each (B, C, h, w); all of one size.
        metas: Meta data of the B images.
        batch_size: Windows that go through the network at once.

    Yields:
        Boxes in the same order with their logits, each (B, K, h, w).
    """
    source = iter(windows)
    while chunk := list(islice(source, batch_size)):
        crops = chunk[0][1] if len(chunk) == 1 else torch.cat([crop for _, crop in chunk])
        # heads take the size from `img_shape` before `pad_shape` only where it is a torch.Size
        shown = [{**meta, 'img_shape': crops.shape[2:]} for _ in chunk for meta in metas]
        logits = network.encode_decode(crops, shown)
        yield from zip((box for box, _ in chunk), logits.chunk(len(chunk)), strict=True)


def slide_inference(network: EncoderDecoder, inputs: Tensor, batch_img_metas: Sequence[dict[str, Any]]) -> Tensor:
    """Averaged logits of overlapping windows, equal bit by bit to `EncoderDecoder.slide_inference`.

    MMSegmentation pads the logits of every window to the whole image, so that time grows with windows times area;
    here each window is added where it lies, and one canvas is kept instead of two. Larger images, which come from a
    file and go to one, use the same three parts strip by strip: `sliding_windows`, `window_logits`, `WindowCanvas`.

    Args:
        network: The segmentor; its ``test_cfg`` is read by `slide_settings`.
        inputs: Normalised images, shape (B, C, H, W).
        batch_img_metas: Meta data of each.

    Returns:
        Logits, shape (B, K, H, W), on the device of the canvas.
    """
    settings = slide_settings(network.test_cfg)
    batch_size, _, height, width = inputs.shape
    device = inputs.device if settings.canvas_device is None else settings.canvas_device
    canvas = WindowCanvas(batch_size, network.out_channels, (height, width), dtype=inputs.dtype, device=device)
    boxes = sliding_windows((height, width), settings.crop_size, settings.stride)
    crops = ((box, inputs[:, :, box.slices[0], box.slices[1]]) for box in boxes)
    for box, logits in window_logits(network, crops, batch_img_metas, settings.window_batch_size):
        canvas.add(logits, box)
    return canvas.take(height)


def slide_linearly(network: EncoderDecoder) -> None:
    """Give a segmentor this module's `slide_inference`, unless its class has its own.

    Every way to sliding windows ends there: ``predict``, ``inference``, test-time augmentation, a direct call. Copies
    of the segmentor take it along, bound to themselves.

    Args:
        network: The segmentor, changed in place. A ``test_cfg`` of mode ``slide`` is checked.
    """
    if type(network).slide_inference is not EncoderDecoder.slide_inference:
        return
    if (network.test_cfg or {}).get('mode') == 'slide':
        slide_settings(network.test_cfg)
    network.slide_inference = functools.partial(slide_inference, network)  # type: ignore[method-assign]


def _pair(test_cfg: Mapping[str, Any], name: str) -> tuple[int, int]:
    value = test_cfg.get(name)
    if not isinstance(value, Sequence) or len(value) != 2 or not all(isinstance(side, int) for side in value):
        raise ValueError(f'test_cfg.{name} is {value!r}: give height and width in whole pixels, e.g. (512, 512)')
    if min(value) < 1:
        raise ValueError(f'test_cfg.{name} is {tuple(value)}: choose pixels from 1')
    return int(value[0]), int(value[1])
