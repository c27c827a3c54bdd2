"""Streets, blocks and plots of a drawn town: geometry only.

A town is laid out on a straight street grid that is cut recursively into blocks, then bent and turned as a whole
by `StreetFrame`, so that streets curve while buildings stay rectangular and follow the street they stand on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dlc_mmseg.converters.demo.canvas import Points


@dataclass(frozen=True)
class StreetFrame:
    """Map from street grid coordinates (metres) to the canvas: bend, turn by `angle`, move to `centre`."""

    centre: tuple[float, float]
    angle: float
    bend: float
    wavelength: float
    phase: tuple[float, float]

    def world(self, points: Points) -> Points:
        """Map (..., 2) grid points to canvas metres."""
        p = np.asarray(points, np.float64)
        wave = 2 * np.pi / self.wavelength
        x = p[..., 0] + self.bend * np.sin(wave * p[..., 1] + self.phase[0])
        y = p[..., 1] + self.bend * np.sin(0.8 * wave * p[..., 0] + self.phase[1])
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.stack([self.centre[0] + c * x - s * y, self.centre[1] + s * x + c * y], -1)


@dataclass(frozen=True)
class Street:
    """Straight street in grid coordinates: axis from `start` to `end`, full width with both pavements."""

    start: tuple[float, float]
    end: tuple[float, float]
    width: float
    pavement: float

    @property
    def carriageway(self) -> float:
        """Width between the kerbs."""
        return self.width - 2 * self.pavement


@dataclass(frozen=True)
class Plot:
    """A rectangle of ground with its own axes: a along the street, b inwards from the front edge.

    a runs from -width/2 to width/2, b from 0 to depth.
    """

    frame: StreetFrame
    origin: tuple[float, float]
    along: tuple[float, float]
    inward: tuple[float, float]
    width: float
    depth: float

    def grid(self, a: float | Points, b: float | Points) -> Points:
        """Street grid coordinates of plot coordinates."""
        points: Points = (
            np.asarray(self.origin)
            + np.multiply.outer(np.asarray(a), np.asarray(self.along))
            + np.multiply.outer(np.asarray(b), np.asarray(self.inward))
        )
        return points

    def at(self, a: float | Points, b: float | Points) -> Points:
        """Canvas coordinates of plot coordinates."""
        return self.frame.world(self.grid(a, b))

    def area(self, a0: float, a1: float, b0: float, b1: float) -> Points:
        """Outline of a sub-rectangle on the canvas, its sides bent with the streets."""
        t = np.linspace(0.0, 1.0, 9)[:-1]
        a = np.concatenate([a0 + (a1 - a0) * t, np.full(8, a1), a1 + (a0 - a1) * t, np.full(8, a0)])
        b = np.concatenate([np.full(8, b0), b0 + (b1 - b0) * t, np.full(8, b1), b1 + (b0 - b1) * t])
        return self.at(a, b)

    def pose(self, a: float, b: float, turn: float = 0.0) -> tuple[Points, Points]:
        """Centre and unit axis on the canvas of something lying along the street, turned by `turn` radians."""
        centre = self.at(a, b)
        axis = self.at(a + 0.5 * np.cos(turn), b + 0.5 * np.sin(turn)) - centre
        return centre, axis / np.linalg.norm(axis)

    def sub(self, a0: float, a1: float, b0: float, b1: float) -> Plot:
        """Part of the plot with the same front direction."""
        origin = self.grid((a0 + a1) / 2, b0)
        return Plot(self.frame, (float(origin[0]), float(origin[1])), self.along, self.inward, a1 - a0, b1 - b0)

    def back(self) -> Plot:
        """The same ground seen from its rear edge."""
        origin = self.grid(0.0, self.depth)
        return Plot(
            self.frame,
            (float(origin[0]), float(origin[1])),
            self.along,
            (-self.inward[0], -self.inward[1]),
            self.width,
            self.depth,
        )

    def turned(self) -> Plot:
        """The same ground with a street on its left edge as front."""
        origin = self.grid(-self.width / 2, self.depth / 2)
        return Plot(self.frame, (float(origin[0]), float(origin[1])), self.inward, self.along, self.depth, self.width)

    def lengthwise(self) -> Plot:
        """The same ground with its longer side as front."""
        return self if self.width >= self.depth else self.turned()


@dataclass(frozen=True, kw_only=True)
class StreetStyle:
    """How a town is cut into blocks; lengths in metres."""

    block: tuple[float, float]
    main_width: float
    side_width: float
    pavement: float
    bend: float


def lay_streets(
    reach: float, style: StreetStyle, frame: StreetFrame, rng: np.random.Generator
) -> tuple[list[Street], list[Plot]]:
    """Cut the square -reach..reach of the street grid into blocks.

    Returns:
        The streets, widest first, and the blocks between them.
    """
    streets: list[Street] = []
    blocks: list[Plot] = []
    limit_short, limit_long = style.block
    todo = [(-reach, -reach, reach, reach, 0)]
    while todo:
        x0, y0, x1, y1, level = todo.pop()
        w, h = x1 - x0, y1 - y0
        if max(w, h) < limit_long * rng.uniform(1.0, 1.25) and min(w, h) < limit_short * rng.uniform(1.2, 1.7):
            blocks.append(Plot(frame, ((x0 + x1) / 2, y0), (1.0, 0.0), (0.0, 1.0), w, h))
            continue
        width = style.main_width if level < 2 else style.side_width * rng.uniform(0.85, 1.15)
        cut_x = w > h * rng.uniform(0.8, 1.25)
        cut = (x0 + w * rng.uniform(0.4, 0.6)) if cut_x else (y0 + h * rng.uniform(0.4, 0.6))
        half = width / 2
        pavement = style.pavement * (1.3 if level < 2 else 1.0)
        if cut_x:
            streets.append(Street((cut, y0 - 3.0), (cut, y1 + 3.0), width, pavement))
            todo += [(x0, y0, cut - half, y1, level + 1), (cut + half, y0, x1, y1, level + 1)]
        else:
            streets.append(Street((x0 - 3.0, cut), (x1 + 3.0, cut), width, pavement))
            todo += [(x0, y0, x1, cut - half, level + 1), (x0, cut + half, x1, y1, level + 1)]
    return sorted(streets, key=lambda s: -s.width), blocks


def cut_plots(block: Plot, frontage: tuple[float, float], depth: float, rng: np.random.Generator) -> list[Plot]:
    """Cut a block into plots facing its two long streets (one row where it is shallow)."""
    block = block.lengthwise()
    deep = block.depth > 1.4 * depth
    rows = [block, block.back()] if deep else [block]
    share = block.depth / 2 if deep else block.depth
    plots = []
    for row in rows:
        count = max(round(row.width / rng.uniform(*frontage)), 1)
        cuts = np.cumsum(np.concatenate([[0.0], rng.uniform(0.75, 1.25, count)]))
        cuts = cuts / cuts[-1] * row.width - row.width / 2
        plots += [row.sub(float(a0), float(a1), 0.0, share) for a0, a1 in pairwise(cuts)]
    return plots
