"""What all blocks of a drawn town share: style, trees, parked cars, and a minimum of cars and clutter in every tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlc_mmseg.converters.demo.buildings import Builder, Roof, draw_roof_style
from dlc_mmseg.converters.demo.canvas import CAR, CLUTTER, IMPERVIOUS, LOW_VEGETATION, TREE, Canvas, Mask, Points
from dlc_mmseg.converters.demo.layout import Plot, StreetStyle
from dlc_mmseg.converters.demo.objects import ASPHALT, Garage, Pavier, Yard
from dlc_mmseg.converters.demo.vegetation import Gardener

GREEN = (LOW_VEGETATION,)
ROOTED = (IMPERVIOUS, LOW_VEGETATION, TREE)


@dataclass(frozen=True, kw_only=True)
class TownStyle:
    """Character of a town; lengths in metres, the rest shares or probabilities in 0..1.

    Args:
        streets: Street network.
        blocks: Share of the ground per kind of block: 'houses', 'slabs', 'halls', 'park', 'old_town', 'site'.
        frontage: Width of a plot with a detached house.
        trees: Trees per 100 square metres of green.
        crown: Smallest and largest crown radius.
        parked: Share of occupied kerb places and parking bays.
        red_roofs: Share of pitched roofs in red tiles.
        storeys: Fewest and most storeys of ordinary buildings.
        yards: Probability that an end of a block is a building plot or storage yard.
        garden_clutter: Probability of a pool, shed heap or container in a garden.
        least_clutter: Share of clutter a tile is filled up to.
        least_cars: Share of cars a tile is filled up to.
    """

    streets: StreetStyle
    blocks: dict[str, float]
    frontage: tuple[float, float]
    trees: float
    crown: tuple[float, float]
    parked: float
    red_roofs: float
    storeys: tuple[int, int]
    yards: float
    garden_clutter: float
    least_clutter: float
    least_cars: float


class Town:
    """What all blocks of a town need, on a canvas."""

    def __init__(self, canvas: Canvas, style: TownStyle, rng: np.random.Generator) -> None:
        self.canvas, self.style, self.rng = canvas, style, rng
        self.builder, self.gardener = Builder(canvas, rng), Gardener(canvas, rng)
        self.pavier, self.garage, self.yard = Pavier(canvas, rng), Garage(canvas, rng), Yard(canvas, rng)

    def roof(self, flat_share: float, storeys: tuple[int, int] | None = None) -> Roof:
        """Draw a roof in the style of the town."""
        return draw_roof_style(
            self.rng, flat_share=flat_share, red_share=self.style.red_roofs, storeys=storeys or self.style.storeys
        )

    def spot(self, plot: Plot, inset: float = 1.5) -> Points:
        """A random point of a plot."""
        a = self.rng.uniform(-0.5, 0.5) * max(plot.width - 2 * inset, 0.1)
        return plot.at(a, inset + self.rng.random() * max(plot.depth - 2 * inset, 0.1))

    def plant(self, plot: Plot, density: float = 1.0) -> None:
        """Scatter shrubs and trees over the green of a plot, in clumps, clear of walls and streets."""
        trees = self.rng.poisson(density * self.style.trees * plot.width * plot.depth / 100)
        centre = self.spot(plot)
        for _ in range(int(trees)):
            if self.rng.random() < 0.5:
                centre = self.spot(plot)
            point = centre + self.rng.normal(0.0, 3.5, 2)
            radius = float(self.rng.triangular(self.style.crown[0], 0.4 * sum(self.style.crown), self.style.crown[1]))
            if self.canvas.label_at(point) in (LOW_VEGETATION, TREE) and self.canvas.free(point, 0.5 * radius, ROOTED):
                self.gardener.tree(point, radius)
        for _ in range(int(self.rng.poisson(0.5 * density * plot.width * plot.depth / 100))):
            point = self.spot(plot, 0.8)
            if self.canvas.free(point, 0.5, GREEN):
                for _ in range(int(self.rng.integers(1, 5))):
                    self.gardener.shrub(point + self.rng.normal(0, 0.9, 2), self.rng.uniform(0.5, 1.1))

    def parking(self, plot: Plot) -> None:
        """Pave a plot with bays either side of aisles, some taken."""
        plot = plot.lengthwise()
        rng = self.rng
        self.pavier.pave(plot.area(-plot.width / 2, plot.width / 2, 0, plot.depth), ASPHALT.tinted(rng, 0.12))
        count = int((plot.width - 2) // 2.6)
        start, row = 0.4, 0
        while start + 5.0 <= plot.depth and count > 0:
            for i in range(count + 1):
                a = (i - count / 2) * 2.6
                self.pavier.stripe(plot.at(a, start), plot.at(a, start + 5.0), 0.14)
                if i < count and rng.random() < self.style.parked:
                    self.garage.car(*plot.pose(a + 1.3, start + 2.5 + rng.normal(0, 0.15), np.pi / 2))
            start += 11.0 if row % 2 == 0 else 5.6
            row += 1

    def fill_up(self, margin: float, road: Mask) -> None:
        """Add clutter and parked cars until the tile inside `margin` holds the least shares of the style.

        Clutter goes on grass; where that is not enough, on pavements and yards as well, off the `road`.
        """
        cut = int(margin / self.canvas.pixel)
        view = self.canvas.labels[cut:-cut, cut:-cut]
        painted = True
        for attempt in range(1200):
            if painted:
                shares = np.bincount(view.ravel(), minlength=6) / view.size
            short_clutter, short_cars = shares[[CLUTTER, CAR]] < (self.style.least_clutter, self.style.least_cars)
            if not (short_clutter or short_cars):
                return
            point = margin + self.rng.random(2) * (self.canvas.extent - 2 * margin)
            painted = bool(short_clutter) and self._leave_clutter(point, None if attempt < 600 else road)
            if not painted and short_cars and self.canvas.free(point, 2.6, (IMPERVIOUS,)):
                self.garage.car(*self._turned(point))
                painted = True

    def _turned(self, point: Points) -> tuple[Points, Points]:
        """A point and a random direction."""
        angle = self.rng.uniform(0, np.pi)
        return point, np.array([np.cos(angle), np.sin(angle)])

    def _leave_clutter(self, point: Points, road: Mask | None) -> bool:
        """Put a heap or a container on grass, or anywhere level off the `road` if given; False for want of room."""
        if road is None:
            room = self.canvas.free(point, 3.0, GREEN)
        else:
            x, y = (point / self.canvas.pixel).astype(int)
            room = self.canvas.free(point, 2.4, (IMPERVIOUS, LOW_VEGETATION)) and not road[y, x]
        if room and self.rng.random() < 0.6:
            self.yard.heap(point, self.rng.uniform(2.0, 3.2))
        elif room:
            self.yard.container(*self._turned(point), self.rng.uniform(3.5, 6.1))
        return room
