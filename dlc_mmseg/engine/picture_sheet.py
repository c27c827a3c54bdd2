"""A sheet of paper, measured in inches from its upper left corner, that images and texts are put on."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray

from dlc_mmseg.engine.picture_text import font_of

Image = NDArray[np.uint8]
"""Shape (H, W, 3), RGB, 0 to 255."""


class Sheet:
    """What is drawn stays where it is put: nothing is laid out afterwards, so that what was measured fits.

    Args:
        width: In inches.
        height: In inches.
        dpi: Pixels per inch.
    """

    def __init__(self, width: float, height: float, dpi: float = 110) -> None:
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), dpi=dpi, facecolor='white')

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        align: Literal['left', 'center', 'right'] = 'center',
        vertical: Literal['top', 'center', 'bottom'] = 'top',
        rotation: float = 0,
        colour: str = 'black',
    ) -> None:
        """Write a text.

        Args:
            x: Of the point that the text is aligned to.
            y: Likewise, downwards.
            text: One or more lines.
            size: In points.
            align: Which side of the text is at the point.
            vertical: Likewise.
            rotation: Degrees to the left, around the point.
            colour: Of the letters.
        """
        written = Text(
            x,
            self.height - y,
            text,
            color=colour,
            horizontalalignment=align,
            verticalalignment=vertical,
            multialignment=align,
            rotation=rotation,
            rotation_mode='anchor',
            fontproperties=font_of(text, size),
            parse_math=False,  # a '$' in a file name is a '$'
            transform=self.figure.dpi_scale_trans,
        )
        self.figure.add_artist(written, clip=False)

    def image(self, x: float, y: float, width: float, height: float, image: NDArray[Any], **options: Any) -> None:
        """Show an image; pixels stay sharp.

        Args:
            x: Left side.
            y: Upper side, downwards.
            width: In inches.
            height: In inches.
            image: RGB image (H, W, 3), or a matrix.
            options: For a matrix: ``cmap``, ``vmin`` and ``vmax`` of Matplotlib's `imshow`.
        """
        place = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(place)
        axes.imshow(image, interpolation='nearest', aspect='auto', **options)
        axes.set_axis_off()

    def swatch(self, x: float, y: float, side: float, colour: tuple[float, float, float]) -> None:
        """Draw a small square.

        Args:
            x: Left side.
            y: Upper side, downwards.
            side: In inches.
            colour: RGB, 0 to 1.
        """
        corner = (x, self.height - y - side)
        square = Rectangle(
            corner, side, side, facecolor=colour, edgecolor='0.4', linewidth=0.6, transform=self.figure.dpi_scale_trans
        )
        self.figure.add_artist(square, clip=False)

    def pixels(self) -> Image:
        """The sheet as an RGB image."""
        canvas = FigureCanvasAgg(self.figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels: Image = np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
        return pixels
