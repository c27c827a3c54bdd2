"""What stands on a block: gardens with houses, slabs with parking, halls, parks, old town, building sites."""

from __future__ import annotations

import numpy as np

from dlc_mmseg.converters.demo.layout import Plot, cut_plots
from dlc_mmseg.converters.demo.objects import ASPHALT, CONCRETE, PAVERS
from dlc_mmseg.converters.demo.town import Town


class Blocks(Town):
    """Draws the blocks of a town; each kind of `TownStyle.blocks` is a method."""

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
        self.pavier.pave(
            plot.area(-half, half, 0, plot.depth), (CONCRETE if rng.random() < 0.4 else ASPHALT).tinted(rng, 0.12)
        )
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
            b = plot.depth * (knots[0] + (knots[1] - knots[0]) * np.sin((a / half + rng.uniform(0, 3)) * 1.7) ** 2)
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
                self.builder.wing(
                    *lot.pose(rng.normal(0, 1), depth + 3.2, rng.normal(0, 0.05)),
                    rng.uniform(4, 6.5),
                    rng.uniform(4, 6),
                    self.roof(0.5, (1, 1)),
                )
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
        self.pavier.pave(
            plot.area(a - 0.22 * plot.width, a + 0.22 * plot.width, 0.3 * plot.depth, 0.7 * plot.depth),
            CONCRETE.tinted(rng, 0.1),
        )
        self.builder.wing(*plot.pose(a, 0.5 * plot.depth), 0.3 * plot.width, 0.3 * plot.depth, self.roof(1.0, (1, 2)))
        for i in range(int(rng.integers(2, 5))):
            self.yard.container(*plot.pose(half - 7, 5 + 2.9 * i))
        self.plant(plot, 0.4)
