"""What stands on a block: gardens with houses, slabs with parking, halls, parks, old town, building sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlc_mmseg.converters.demo_buildings import Builder, Roof, draw_roof_style
from dlc_mmseg.converters.demo_canvas import CAR, CLUTTER, IMPERVIOUS, LOW_VEGETATION, TREE, Canvas, Points
from dlc_mmseg.converters.demo_layout import Plot, StreetStyle, cut_plots
from dlc_mmseg.converters.demo_objects import ASPHALT, CONCRETE, PAVERS, Garage, Pavier, Yard
from dlc_mmseg.converters.demo_vegetation import Gardener

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
    """Draws blocks of a town on a canvas."""

    def __init__(self, canvas: Canvas, style: TownStyle, rng: np.random.Generator) -> None:
        self.canvas, self.style, self.rng = canvas, style, rng
        self.builder, self.gardener = Builder(canvas, rng), Gardener(canvas, rng)
        self.pavier, self.garage, self.yard = Pavier(canvas, rng), Garage(canvas, rng), Yard(canvas, rng)

    def roof(self, flat_share: float, storeys: tuple[int, int] | None = None) -> Roof:
        """Draw a roof in the style of the town."""
        return draw_roof_style(self.rng, flat_share=flat_share, red_share=self.style.red_roofs,
                               storeys=storeys or self.style.storeys)

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

    def houses(self, block: Plot) -> None:
        """Detached houses in gardens."""
        for plot in cut_plots(block, self.style.frontage, 26.0, self.rng):
            self.garden_plot(plot)

    def garden_plot(self, plot: Plot) -> None:
        """One house with drive, path, terrace, hedges, beds, trees and sometimes a pool."""
        rng, half = self.rng, plot.width / 2
        self.gardener.lawn(plot.area(-half, half, 0, plot.depth))
        length = float(np.clip(rng.uniform(0.55, 0.75) * plot.width, 7.5, 18.0))
        width = float(np.clip(rng.uniform(0.32, 0.46) * plot.depth, 7.0, 12.5))
        setback = rng.uniform(2.5, 6.5)
        side = float(rng.choice((-1.0, 1.0)))
        a, b = -side * (half - 1.5 - length / 2) * rng.uniform(0.3, 1.0), setback + width / 2
        drive = side * (half - 1.9)
        stone = (PAVERS if rng.random() < 0.7 else CONCRETE).tinted(rng, 0.12)
        self.pavier.pave(plot.area(drive - 1.5, drive + 1.5, 0, setback + 0.8 * width), stone)
        self.pavier.pave(plot.area(a - 0.7, a + 0.7, 0, setback + 1), stone)
        back = setback + width
        self.pavier.pave(plot.area(a - 0.3 * length, a + 0.3 * length, back - 1, back + rng.uniform(2, 4)), stone)
        if rng.random() < self.style.parked:
            self.garage.car(*plot.pose(drive, rng.uniform(2.6, setback + 1.5), np.pi / 2))
        turned = rng.random() < 0.3 and plot.depth > 20
        pose = plot.pose(a, b, np.pi / 2 if turned else 0.0)
        self.builder.house(*pose, length, width, self.roof(0.15, (1, 2)), plot.at(a, b + 1) - pose[0])
        if rng.random() < 0.5:
            pose = plot.pose(drive, back + rng.uniform(-1.0, 2.0), np.pi / 2)
            self.builder.wing(*pose, rng.uniform(5.5, 7.0), 3.1, self.roof(0.75, (1, 1)))
        if plot.depth - back > 8:
            self._rear_garden(plot.sub(-half, half, back + 3.0, plot.depth))
        for edge in (-half, half):
            if rng.random() < 0.5:
                self.gardener.hedge(plot.at(edge, back), plot.at(edge, plot.depth), rng.uniform(0.8, 1.4))
        if rng.random() < 0.5:
            self.gardener.hedge(plot.at(-half + 0.6, plot.depth), plot.at(half - 0.6, plot.depth), 1.2)
        if rng.random() < 0.4:
            self.gardener.hedge(plot.at(drive - side * 1.8, 0.6), plot.at(a + side * 0.9, 0.6), 0.9)
        self.plant(plot)

    def _rear_garden(self, plot: Plot) -> None:
        """Pool, shed, bed or heap behind a house."""
        rng, half = self.rng, plot.width / 2
        if rng.random() < self.style.garden_clutter:
            kind = rng.random()
            pose = plot.pose(rng.uniform(-0.2, 0.2) * plot.width, 0.5 * plot.depth)
            if kind < 0.5:
                self.yard.pool(*pose, rng.uniform(5.0, 8.0), rng.uniform(3.0, 4.0))
            elif kind < 0.75:
                self.yard.heap(pose[0], rng.uniform(1.8, 3.2))
            else:
                self.yard.container(*pose, rng.uniform(3.5, 6.1))
        elif rng.random() < 0.45:
            a = rng.uniform(-half, 0)
            self.gardener.bed(plot.area(a, a + 0.4 * plot.width, 0.45 * plot.depth, 0.9 * plot.depth))
        if rng.random() < 0.5:
            pose = plot.pose(rng.choice((-1.0, 1.0)) * (half - 2.2), plot.depth - 2.2)
            self.builder.wing(*pose, rng.uniform(2.8, 3.6), rng.uniform(2.2, 3.0), self.roof(0.6, (1, 1)))

    def slabs(self, block: Plot) -> None:
        """Long apartment houses on lawns, with parking and paths."""
        plot, rng = block.lengthwise(), self.rng
        half = plot.width / 2
        self.gardener.lawn(plot.area(-half, half, 0, plot.depth))
        flat, storeys = rng.random() < 0.55, int(rng.integers(3, 6))
        roof = self.roof(1.0 if flat else 0.0, (storeys, storeys))
        width, b = rng.uniform(11, 14), rng.uniform(5, 8)
        self.parking(plot.sub(-half + 2, half - 2, 0.5, 0.5 + (5.8 if plot.depth < 45 else 16.4)))
        b += 6.0 if plot.depth < 45 else 17.0
        while b + width < plot.depth - 2:
            count = max(int(plot.width // 45), 1)
            for i in range(count):
                span = (plot.width - 6) / count
                a = -half + 3 + (i + 0.5) * span
                length = span * rng.uniform(0.7, 0.88)
                self.pavier.pave(plot.area(a - length / 2, a + length / 2, b - 3.6, b - 2.0), PAVERS)
                self.builder.wing(*plot.pose(a, b + width / 2), length, width, roof)
                self.builder.equipment(*plot.pose(a, b + width / 2), length, width, int(length // 8))
            b += width + rng.uniform(9, 15)
        if rng.random() < 0.7:
            self.yard.container(*plot.pose(rng.choice((-1.0, 1.0)) * (half - 2.6), plot.depth - 5.0, np.pi / 2), 4.0)
        self.plant(plot)

    def halls(self, block: Plot) -> None:
        """A shop or works hall with a car park and stored goods."""
        plot, rng = block.lengthwise(), self.rng
        half = plot.width / 2
        self.pavier.pave(plot.area(-half, half, 0, plot.depth), (CONCRETE if rng.random() < 0.4 else ASPHALT)
                         .tinted(rng, 0.12))
        cut = rng.uniform(-0.1, 0.2) * plot.width
        length, width = (cut + half) - 5, plot.depth - rng.uniform(8, 14)
        pose = plot.pose(-half + 3 + length / 2, 4 + width / 2)
        self.builder.wing(*pose, length, width, self.roof(1.0, (2, 3)))
        self.builder.equipment(*pose, length, width, int(length * width // 70))
        self.parking(plot.sub(cut + 2, half - 2, 4, plot.depth * 0.72))
        for _ in range(int(rng.integers(2, 6))):
            pose = plot.pose(rng.uniform(cut, half - 4), rng.uniform(0.8, 0.95) * plot.depth, rng.normal(0, 0.2))
            self.yard.container(*pose)
        self.gardener.lawn(plot.area(-half, half, 0, 2.2), wild=0.1)
        self.plant(plot.sub(-half, half, 0, 2.2), 4.0)

    def park(self, block: Plot) -> None:
        """Grass, paths, clumps of trees, a pond or a court."""
        plot, rng = block.lengthwise(), self.rng
        half = plot.width / 2
        self.gardener.lawn(plot.area(-half, half, 0, plot.depth), wild=0.6)
        for _ in range(2):
            knots = np.sort(rng.uniform(0.1, 0.9, 2))
            a = np.linspace(-half, half, 40)
            b = plot.depth * (knots[0] + (knots[1] - knots[0]) * np.sin((a / half + rng.uniform(0, 3)) * 1.7)**2)
            line = np.stack([plot.at(x, y) for x, y in zip(a, b, strict=True)])
            across = np.gradient(line, axis=0)[:, ::-1] * np.array([-1.0, 1.0])
            across /= np.linalg.norm(across, axis=1, keepdims=True)
            self.pavier.pave(np.concatenate([line + 1.1 * across, (line - 1.1 * across)[::-1]]), PAVERS)
        if rng.random() < 0.5 and plot.depth > 30:
            self.yard.court(*plot.pose(rng.uniform(-0.2, 0.2) * plot.width, plot.depth * 0.5))
        else:
            self.yard.pond(self.spot(plot, 8), rng.uniform(5, 10))
        self.plant(plot, 1.5)

    def old_town(self, block: Plot) -> None:
        """Small adjoining houses of differing depth along the streets, courtyards behind."""
        plot, rng = block.lengthwise(), self.rng
        half = plot.width / 2
        self.pavier.pave(plot.area(-half, half, 0, plot.depth), PAVERS.tinted(rng, 0.12))
        inner = plot.sub(-half + 10, half - 10, 10, plot.depth - 10) if plot.depth > 26 and plot.width > 26 else None
        if inner is not None:
            self.gardener.lawn(inner.area(-inner.width / 2, inner.width / 2, 0, inner.depth), wild=0.5)
        for lot in cut_plots(plot, (7.5, 13.0), 18.0, rng):
            depth = min(rng.uniform(8.5, 13.0), lot.depth - 0.5)
            width = lot.width - (rng.uniform(1.0, 3.0) if rng.random() < 0.25 else 0.0)
            turn = np.pi / 2 if rng.random() < 0.4 else 0.0
            size = (depth, width) if turn else (width, depth)
            pose = lot.pose(0.0, depth / 2 + rng.uniform(0.1, 0.9), turn + rng.normal(0, 0.03))
            self.builder.house(*pose, *size, self.roof(0.06), lot.at(0.0, lot.depth) - pose[0])
            if lot.depth - depth > 7 and rng.random() < 0.45:
                self.builder.wing(*lot.pose(rng.normal(0, 1), depth + 3.2, rng.normal(0, 0.05)), rng.uniform(4, 6.5),
                                  rng.uniform(4, 6), self.roof(0.5, (1, 1)))
        if inner is not None:
            for lot in cut_plots(inner, (10.0, 16.0), 10.0, rng):
                self._rear_garden(lot)
            self.plant(inner, 1.4)

    def site(self, block: Plot) -> None:
        """A building site: soil, heaps, containers, a shell."""
        plot, rng = block.lengthwise(), self.rng
        half = plot.width / 2
        self.gardener.lawn(plot.area(-half, half, 0, plot.depth), wild=1.0)
        self.yard.soil(plot.area(-half + 1.5, half - 1.5, 1, plot.depth - 1.5))
        for _ in range(int(2 + plot.width * plot.depth // 250)):
            self.yard.heap(self.spot(plot, 5), rng.uniform(2, 4.5))
        if plot.depth < 24:
            self.yard.container(*plot.pose(half - 5, plot.depth / 2, np.pi / 2))
            self.plant(plot, 0.2)
            return
        a = rng.uniform(-0.15, 0.15) * plot.width
        self.pavier.pave(plot.area(a - 0.22 * plot.width, a + 0.22 * plot.width, 0.3 * plot.depth, 0.7 * plot.depth),
                         CONCRETE.tinted(rng, 0.1))
        self.builder.wing(*plot.pose(a, 0.5 * plot.depth), 0.3 * plot.width, 0.3 * plot.depth, self.roof(1.0, (1, 2)))
        for i in range(int(rng.integers(2, 5))):
            self.yard.container(*plot.pose(half - 7, 5 + 2.9 * i))
        self.plant(plot, 0.4)

    def fill_up(self, margin: float) -> None:
        """Add clutter and parked cars until the tile inside `margin` holds the least shares of the style."""
        cut = int(margin / self.canvas.pixel)
        view = self.canvas.labels[cut:-cut, cut:-cut]
        painted = True
        for _ in range(600):
            if painted:
                shares = np.bincount(view.ravel(), minlength=6) / view.size
                short_clutter = shares[CLUTTER] < self.style.least_clutter
                short_cars = shares[CAR] < self.style.least_cars
            if not (short_clutter or short_cars):
                return
            painted = True
            point = margin + self.rng.random(2) * (self.canvas.extent - 2 * margin)
            angle = self.rng.uniform(0, np.pi)
            axis = np.array([np.cos(angle), np.sin(angle)])
            if short_clutter and self.canvas.free(point, 3.0, GREEN):
                if self.rng.random() < 0.6:
                    self.yard.heap(point, self.rng.uniform(2.0, 3.2))
                else:
                    self.yard.container(point, axis, self.rng.uniform(3.5, 6.1))
            elif short_cars and self.canvas.free(point, 2.6, (IMPERVIOUS,)):
                self.garage.car(point, axis)
            else:
                painted = False
