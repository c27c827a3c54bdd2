"""Pictures for people: label maps in class colours, panels side by side, matrices as annotated heat maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Shape (H, W, 3), RGB, 0 to 255."""


def colour_labels(labels: NDArray[np.integer], palette: Sequence[Sequence[int]], unknown: int = 0) -> Image:
    """Label map in class colours.

    Args:
        labels: Class indices, shape (H, W); values without a colour (such as 255) count as unknown.
        palette: RGB colour of each class.
        unknown: Grey value of unknown pixels.

    Returns:
        RGB image, shape (H, W, 3).
    """
    table = np.full((256, 3), unknown, dtype=np.uint8)
    table[: len(palette)] = np.asarray(palette, dtype=np.uint8)
    coloured: Image = table[np.clip(labels, 0, 255)]
    return coloured


def displayable(image: NDArray[np.generic]) -> Image:
    """Any (H, W, C) image as 8-bit RGB: first three channels, single channels as grey, stretched unless 8 bit."""
    channels = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    if channels.dtype == np.uint8:
        return np.ascontiguousarray(channels)
    values = channels.astype(np.float64)
    low, high = np.percentile(values, (1, 99))
    return np.ascontiguousarray((np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8))


def side_by_side(panels: Sequence[tuple[str, Image]], legend: Sequence[tuple[str, Sequence[int]]] = ()) -> Image:
    """Titled panels in one row, with the classes' colours below.

    Args:
        panels: Title and RGB image of each panel.
        legend: Class names with their RGB colours.

    Returns:
        RGB image.
    """
    figure = Figure(figsize=(3.2 * len(panels), 3.7), dpi=110, layout='constrained')
    for axis, (title, image) in zip(np.ravel(figure.subplots(1, len(panels))), panels, strict=True):
        axis.imshow(image, interpolation='nearest')
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    handles = [
        Patch(facecolor=(red / 255, green / 255, blue / 255), edgecolor='0.4', label=name)
        for name, (red, green, blue) in legend
    ]
    if handles:
        columns = min(len(handles), 8)
        figure.legend(handles=handles, loc='outside lower center', ncols=columns, fontsize=8, frameon=False)
    return _rendered(figure)


def draw_matrices(
    matrices: Sequence[tuple[str, NDArray[np.floating]]],
    classes: Sequence[str],
    *,
    rows: str = 'true class',
    columns: str = 'pseudo-label',
) -> Image:
    """Row-stochastic matrices as annotated heat maps, side by side.

    Args:
        matrices: Title and (K, K) matrix with entries in [0, 1]; ``matrix[i, j] = P(column j | row i)``. A row of
            NaN (a class without pixels) stays empty.
        classes: K class names.
        rows: What a row stands for.
        columns: What a column stands for.

    Returns:
        RGB image.
    """
    size = max(3.2, 0.62 * len(classes) + 1.4)
    figure = Figure(figsize=(size * len(matrices), size), dpi=110, layout='constrained')
    for axis, (title, matrix) in zip(np.ravel(figure.subplots(1, len(matrices))), matrices, strict=True):
        axis.imshow(matrix, vmin=0, vmax=1, cmap='Blues')
        axis.set_title(title, fontsize=9)
        axis.set_xticks(range(len(classes)), classes, rotation=45, ha='right', fontsize=7)
        axis.set_yticks(range(len(classes)), classes, fontsize=7)
        axis.set_xlabel(columns, fontsize=8)
        axis.set_ylabel(rows, fontsize=8)
        if len(classes) <= 20:
            for (row, column), value in np.ndenumerate(matrix):
                if np.isfinite(value):
                    colour = 'white' if value > 0.55 else 'black'
                    axis.text(column, row, f'{value:.2f}', ha='center', va='center', fontsize=7, color=colour)
    return _rendered(figure)


def _rendered(figure: Figure) -> Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels: Image = np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
    return pixels
