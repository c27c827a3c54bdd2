"""One drawn scene: streets first, then what stands on the blocks, then traffic and street trees."""

from __future__ import annotations

import cv2
import numpy as np

from dlc_mmseg.converters.demo.blocks import Blocks
from dlc_mmseg.converters.demo.canvas import IMPERVIOUS, Canvas, Mask, Patch, Points
from dlc_mmseg.converters.demo.layout import Plot, Street, StreetFrame, lay_streets
from dlc_mmseg.converters.demo.objects import ASPHALT, KERB, PAVERS
from dlc_mmseg.converters.demo.town import Town, TownStyle

MARGIN = 12.0
SUPERSAMPLING = 2


class StreetPainter:
    """Draws the street network of a town."""

    def __init__(self, town: Town, frame: StreetFrame, streets: list[Street]) -> None:
        self.town, self.frame, self.streets = town, frame, streets
        self.canvas, self.rng = town.canvas, town.rng

    def line(self, street: Street, offset: float, start: float = 0.0, end: float = 0.0) -> Points:
        """Points about every 2 m along a street, `offset` metres beside its axis, ends cut by `start`, `end`."""
        p, q = np.array(street.start), np.array(street.end)
        length = float(np.hypot(*(q - p)))
        along = (q - p) / length
        steps = np.linspace(start, max(length - end, start + 1.0), max(int(length / 2), 3))
        return self.frame.world(p + np.multiply.outer(steps, along) + offset * np.array([-along[1], along[0]]))

    def carriageway(self, extra: float) -> Mask:
        """All carriageways together, `extra` metres wider, with rounded corners where they meet."""
        mask = np.zeros((self.canvas.side, self.canvas.side), np.uint8)
        for street in self.streets:
            half = street.carriageway / 2 + extra
            outline = np.concatenate([self.line(street, half), self.line(street, -half)[::-1]])
            patch = self.canvas.polygon(outline)
            if patch is not None:
                mask[patch.roi] |= patch.mask.astype(np.uint8)
        size = self.canvas.side // 4
        small = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), 1.6 / (4 * self.canvas.pixel))
        smooth = cv2.resize(small, mask.shape, interpolation=cv2.INTER_LINEAR)
        return np.asarray(smooth > 0.5)

    def surface(self) -> Mask:
        """Draw pavements, kerbs and asphalt; return the carriageway."""
        everything = (slice(0, self.canvas.side), slice(0, self.canvas.side))
        full = np.ones((self.canvas.side, self.canvas.side), np.bool_)
        self.canvas.paint(Patch(*everything, full), PAVERS.tinted(self.rng, 0.08), IMPERVIOUS, height=0.0)
        self.canvas.paint(Patch(*everything, self.carriageway(0.2)), KERB, IMPERVIOUS)
        road = self.carriageway(0.0)
        self.canvas.paint(Patch(*everything, road), ASPHALT.tinted(self.rng, 0.1), IMPERVIOUS)
        for street in self.streets:
            half = street.carriageway / 2
            patch = self.canvas.polygon(
                np.concatenate([self.line(street, half - 0.1, 5, 5), self.line(street, 0.1 - half, 5, 5)[::-1]])
            )
            self.canvas.paint(patch, ASPHALT.tinted(self.rng, 0.12), IMPERVIOUS)
            self.town.pavier.repairs(self.line(street, 0.0), 0.8 * street.carriageway, int(self.rng.integers(2, 9)))
        return road

    def markings(self) -> None:
        """Centre lines, edge lines and zebra crossings."""
        pavier = self.town.pavier
        for street in self.streets:
            wide = street.carriageway > 7.5
            gap = 3.0 + 2 * street.pavement
            if wide or self.rng.random() < 0.35:
                points = self.line(street, 0.0, gap, gap)
                for i in range(0, len(points) - 1, 3 if wide else 4):
                    pavier.stripe(points[i], points[i + 1], 0.16)
            if wide:
                for side in (-1.0, 1.0):
                    points = self.line(street, side * (street.carriageway / 2 - 2.3), gap, gap)
                    for start, end in zip(points[:-1:2], points[1::2], strict=False):
                        pavier.stripe(start, end, 0.12)
            if wide or self.rng.random() < 0.3:
                self._zebra(street, gap - 1.0)

    def _zebra(self, street: Street, at: float) -> None:
        """Stripes across a street near one end."""
        count = int(street.carriageway / 1.0)
        for i in range(count):
            points = self.line(street, (i + 0.5 - count / 2) * 1.0, at, 0.0)
            direction = (points[1] - points[0]) / np.linalg.norm(points[1] - points[0])
            self.town.pavier.stripe(points[0], points[0] + 3.0 * direction, 0.5)

    def traffic(self, road: Mask) -> None:
        """Cars at the kerb and in the lanes, trees on wide pavements."""
        for street in self.streets:
            half = street.carriageway / 2
            for side in (-1.0, 1.0):
                self._kerb(street, side, half, road)
                lane = self.line(street, side * (half * 0.36), 8, 8)
                for i in range(int(self.rng.integers(0, 4)), len(lane) - 1, 1):
                    if self.rng.random() < 0.055 * self.town.style.parked:
                        self._vehicle(lane[i], lane[i + 1] - lane[i], 0.08)

    def _vehicle(self, centre: Points, axis: Points, vans: float) -> None:
        """A car, or with probability `vans` a van, if the place is free."""
        if self.canvas.free(centre, 1.2, (IMPERVIOUS,)):
            draw = self.town.garage.van if self.rng.random() < vans else self.town.garage.car
            draw(centre, axis / np.linalg.norm(axis))

    def _kerb(self, street: Street, side: float, half: float, road: Mask) -> None:
        """Parked cars and street trees along one side."""
        kerb = self.line(street, side * (half - 1.05), 9, 9)
        outer = self.line(street, side * (half + 0.9), 9, 9)
        planted = street.pavement > 2.2 and self.rng.random() < 0.6
        for i in range(0, len(kerb) - 1, 3):
            x, y = (outer[i] / self.canvas.pixel).astype(int)
            inside = 0 <= x < self.canvas.side and 0 <= y < self.canvas.side
            if not inside or road[y, x]:
                continue
            if self.rng.random() < 0.75 * self.town.style.parked:
                self._vehicle(kerb[i], kerb[i + 1] - kerb[i], 0.06)
            if planted and i % 6 == 0 and self.rng.random() < 0.7:
                self.town.gardener.tree(outer[i], self.rng.uniform(1.6, 2.9))


def _assign(blocks: list[Plot], town: Town) -> list[tuple[Plot, str]]:
    """Give every block a kind so that the ground shares follow the style as closely as they can."""
    kinds = list(town.style.blocks)
    share = np.array([town.style.blocks[kind] for kind in kinds])
    share = share / share.sum()
    areas = []
    for block in blocks:
        patch = town.canvas.polygon(block.area(-block.width / 2, block.width / 2, 0, block.depth))
        areas.append(0.0 if patch is None else float(patch.mask.sum()) * town.canvas.pixel**2)
    given = share * town.rng.uniform(0.0, 1.0, len(kinds)) * 0.5 * sum(areas)
    result = []
    for i in town.rng.permutation(len(blocks)):
        lack = share * (given.sum() + areas[i]) - given
        kind = int(np.argmax(lack * town.rng.uniform(0.6, 1.4, len(kinds))))
        given[kind] += areas[i]
        if areas[i] > 0:
            result += _with_yard(blocks[i], kinds[kind], town)
    return result


def _with_yard(block: Plot, kind: str, town: Town) -> list[tuple[Plot, str]]:
    """Sometimes give one end of a block to a building plot or storage yard."""
    if kind in ('site', 'park') or town.rng.random() >= town.style.yards:
        return [(block, kind)]
    plot = block.lengthwise() if town.rng.random() < 0.5 else block.lengthwise().back()
    half, share = plot.width / 2, town.rng.uniform(0.16, 0.28)
    cut = half - share * plot.width
    return [(plot.sub(-half, cut, 0, plot.depth), kind), (plot.sub(cut, half, 0, plot.depth), 'site')]


def draw_scene(style: TownStyle, *, size: int, pixel: float, rng: np.random.Generator) -> Canvas:
    """Draw a town.

    Args:
        style: Character of the town.
        size: Side of the tile in pixels.
        pixel: Ground sampling distance in metres.
        rng: Source of all randomness.

    Returns:
        A canvas of SUPERSAMPLING samples a pixel, with a border of MARGIN metres (so that shadows and crowns may
        reach into the tile from outside).
    """
    extent = size * pixel + 2 * MARGIN
    canvas = Canvas(extent=extent, pixel=pixel / SUPERSAMPLING, rng=rng)
    frame = StreetFrame(
        (extent / 2, extent / 2),
        float(rng.uniform(0, 2 * np.pi)),
        style.streets.bend,
        float(rng.uniform(120, 200)),
        (float(rng.uniform(0, 6.28)), float(rng.uniform(0, 6.28))),
    )
    streets, blocks = lay_streets(0.75 * extent + 20.0, style.streets, frame, rng)
    town = Blocks(canvas, style, rng)
    painter = StreetPainter(town, frame, streets)
    road = painter.surface()
    painter.markings()
    for block, kind in _assign(blocks, town):
        getattr(town, kind)(block)
    painter.traffic(road)
    town.fill_up(MARGIN, road)
    return canvas
