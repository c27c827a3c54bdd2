"""A trained model as one ONNX file, checked with ONNX Runtime, with the metadata that QGIS's Deepness plug-in reads."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlc_mmseg.checks.muted import muted
from dlc_mmseg.deploy.export.network import Network, image_logits
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import write_atomically
from dlc_mmseg.models.stored_scores import stored_scores

_REQUIRED = ('onnx', 'onnxscript', 'onnxruntime')
_TALKATIVE = ('torch', 'onnxscript', 'onnx_ir')  # loggers of the exporter and of what it calls
_SCALE = 255.0  # Deepness divides pixel values by it before it subtracts the mean
_TOLERANCE = 1e-4
_OTHER_SCORES = {
    'sigmoid': 'scores of sigmoids',
    'masks': 'sums over the masks of mask classification',
    'unknown': 'scores of an unknown kind',
}


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """What goes into the file.

    Attributes:
        tile_size: Height and width in pixels of the images that the file takes, >= 1.
        overlap: Share of a tile that neighbouring tiles should have in common, in [0, 1); a hint for programs.
        normalise: Whether the file subtracts the mean and divides by the standard deviation itself, so that it takes
            pixel values as stored; otherwise it takes normalised images.
        softmax: Whether it gives probabilities; otherwise logits.
        resolution: Ground size of a pixel in centimetres; None leaves it out of the metadata.
    """

    tile_size: int
    overlap: float = 0.5
    normalise: bool = False
    softmax: bool = False
    resolution: float | None = None

    def __post_init__(self) -> None:
        if self.tile_size < 1:
            raise UserError(None, f'tile_size is {self.tile_size}', 'give a number of pixels >= 1')
        if not 0 <= self.overlap < 1:
            raise UserError(None, f'overlap is {self.overlap}', 'give a share in [0, 1)')
        if self.resolution is not None and not self.resolution > 0:
            raise UserError(None, f'resolution is {self.resolution}', 'give centimetres per pixel > 0, or None')


class OnnxNetwork(nn.Module):
    """What the file computes: images (B, C, S, S) to logits or probabilities (B, K, S, S).

    Args:
        network: The network that predicts.
        options: Whether normalisation and softmax are inside.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network, options: OnnxOptions) -> None:
        super().__init__()
        self.segmentor = network.segmentor
        self.logits: Callable[[Tensor], Tensor] = image_logits(network.segmentor)
        self.normalise, self.softmax = options.normalise, options.softmax
        mean, std = _statistics(network)
        self.register_buffer('mean', torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Segment images, shape (B, C, S, S)."""
        logits = self.logits((images - self.mean) / self.std if self.normalise else images)
        return logits.softmax(dim=1) if self.softmax else logits


def export_onnx(network: Network, path: Path, options: OnnxOptions) -> float:
    """Write a network as ONNX, once ONNX Runtime has computed the same as PyTorch on a random image.

    Bands are in the order in which the network takes them: RGB for a config with ``bgr_to_rgb=True``. The file's
    metadata are those of Deepness: ``model_type``, ``class_names``, ``tile_size``, ``tiles_overlap`` (percent),
    ``standardization_mean`` and ``standardization_std`` (of values divided by 255) and, where known, ``resolution``.

    Args:
        network: From `predicting_network`.
        path: The file; an existing one is replaced.
        options: What goes into it.

    Returns:
        The largest difference between ONNX Runtime's and PyTorch's output on the random image.

    Raises:
        UserError: If onnx, onnxscript or onnxruntime is missing, a softmax is asked for where the head gives other
            scores, the network has an operation that ONNX lacks, the outputs differ by more than 1e-4 of their range,
            or the file cannot be written.
    """
    missing = [name for name in _REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(path, f'ONNX export needs {", ".join(missing)}', 'pip install "dlc-mmseg[onnx]"')
    other = _OTHER_SCORES.get(stored_scores(network.segmentor))
    if options.softmax and other is not None:
        what = f'the head gives {other}, of which a softmax makes no probabilities'
        raise UserError('--softmax', what, 'leave it out: the file then gives these scores')
    module = OnnxNetwork(network, options).eval()
    image = _random_image(network, options)
    with torch.no_grad():
        expected = module(image).numpy()
    content = _traced(module, image, metadata(network, options))
    difference = float(np.abs(_run(content, image.numpy()) - expected).max())
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise UserError(
            'model',
            f'ONNX Runtime computes otherwise than PyTorch (difference {difference:.2g})',
            'leave the file out and predict with PyTorch (`dlc-mmseg predict`)',
        )
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(path, str(error.strerror or error), 'give a file that can be written') from error
    return difference


def metadata(network: Network, options: OnnxOptions) -> dict[str, str]:
    """The file's metadata, each value as JSON, by the names that Deepness reads.

    Args:
        network: The network.
        options: As for `export_onnx`.
    """
    mean, std = _statistics(network)
    if options.normalise:  # the plug-in's division by 255 is undone, so that the file gets pixel values
        mean, std = [0.0] * len(mean), [1 / _SCALE] * len(std)
    else:
        mean, std = [value / _SCALE for value in mean], [value / _SCALE for value in std]
    values: dict[str, Any] = {
        'model_type': 'Segmentor',
        'class_names': {str(index): name for index, name in enumerate(network.classes)},
        'tile_size': options.tile_size,
        'tiles_overlap': round(100 * options.overlap),
        'standardization_mean': mean,
        'standardization_std': std,
    }
    if options.resolution is not None:
        values['resolution'] = options.resolution
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}


def _statistics(network: Network) -> tuple[list[float], list[float]]:
    mean = [float(value) for value in network.preprocessor.get('mean') or (0.0, 0.0, 0.0)]
    std = [float(value) for value in network.preprocessor.get('std') or [1.0] * len(mean)]
    return mean, std


def _random_image(network: Network, options: OnnxOptions) -> Tensor:
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in _statistics(network))
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, mean.shape[1], options.tile_size, options.tile_size, generator=generator)
    return image * std + mean if options.normalise else image


def _traced(module: nn.Module, image: Tensor, properties: dict[str, str]) -> bytes:
    """The ONNX file's content."""
    try:
        with _quiet():
            program = torch.onnx.export(
                module, (image,), dynamo=True, input_names=['images'], output_names=['segmentation'], verbose=False
            )
    except Exception as error:  # an exporter raises whatever an operation makes it raise
        reason = _cause(error)
        raise UserError(
            'model', f'cannot be written as ONNX ({reason})', 'export it as a plain model: give a folder'
        ) from error
    if program is None:
        raise UserError('model', 'cannot be written as ONNX', 'export it as a plain model: give a folder')
    proto = program.model_proto
    for name, value in properties.items():
        proto.metadata_props.add(key=name, value=value)
    content: bytes = proto.SerializeToString()  # type: ignore[no-untyped-call]
    return content


def _run(content: bytes, image: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(  # type: ignore[attr-defined]  # it has no stubs
        content, providers=['CPUExecutionProvider']
    )
    return session.run(None, {session.get_inputs()[0].name: image})[0]


def _cause(error: BaseException) -> str:
    """The innermost reason on one line; the exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip('. ')


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and advice from the terminal."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    streams = redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO())
    with muted(*loggers, below=logging.ERROR), warnings.catch_warnings(), streams[0], streams[1]:
        warnings.simplefilter('ignore')
        yield
