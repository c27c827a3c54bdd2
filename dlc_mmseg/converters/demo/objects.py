"""Streets with markings, cars, and clutter (soil, rubble, containers, pools, courts) of a drawn scene."""

from __future__ import annotations

import numpy as np

from dlc_mmseg.converters.demo.canvas import (
    CAR,
    CLUTTER,
    IMPERVIOUS,
    Bands,
    Canvas,
    LocalPatch,
    Material,
    Patch,
    Points,
    soft_slope,
)

ASPHALT = Material(bands=(0.21, 0.20, 0.195, 0.185), other=(0.26, 0.25, 0.24, 0.22), grain=0.04, fine=0.03, mid=0.04)
PAVERS = Material(bands=(0.35, 0.33, 0.31, 0.28), other=(0.29, 0.275, 0.26, 0.24), grain=0.05, fine=0.05, mid=0.04)
CONCRETE = Material(bands=(0.42, 0.40, 0.38, 0.35), other=(0.36, 0.34, 0.32, 0.29), grain=0.03, fine=0.03, mid=0.06)
KERB = Material(bands=(0.44, 0.43, 0.42, 0.40))
PAINT = Material(bands=(0.68, 0.68, 0.68, 0.66), grain=0.03, fine=0.10, mid=0.08)
SOIL = Material(bands=(0.40, 0.31, 0.24, 0.17), other=(0.32, 0.24, 0.18, 0.13), grain=0.07, fine=0.10, mid=0.10)
RUBBLE = Material(bands=(0.39, 0.36, 0.32, 0.27), other=(0.33, 0.28, 0.23, 0.18), grain=0.14, fine=0.18, mid=0.08)
WATER = Material(bands=(0.04, 0.11, 0.34, 0.44), grain=0.01, fine=0.03, mid=0.05)
POND = Material(bands=(0.03, 0.06, 0.085, 0.08), grain=0.01, fine=0.04, mid=0.06)
COURT = Material(bands=(0.40, 0.30, 0.17, 0.12), grain=0.03, fine=0.02)
GLASS = Material(bands=(0.06, 0.07, 0.08, 0.09), grain=0.0, fine=0.0)
PAINTS: tuple[Bands, ...] = (
    (0.70, 0.72, 0.72, 0.70),
    (0.46, 0.47, 0.47, 0.47),
    (0.09, 0.08, 0.08, 0.08),
    (0.26, 0.26, 0.27, 0.28),
    (0.48, 0.42, 0.06, 0.06),
    (0.18, 0.07, 0.13, 0.34),
    (0.30, 0.08, 0.20, 0.12),
    (0.55, 0.55, 0.48, 0.16),
)
PAINT_SHARES = (0.24, 0.24, 0.15, 0.13, 0.09, 0.09, 0.03, 0.03)
BOXES: tuple[Bands, ...] = (
    (0.46, 0.38, 0.08, 0.06),
    (0.22, 0.10, 0.20, 0.38),
    (0.55, 0.45, 0.14, 0.08),
    (0.28, 0.12, 0.30, 0.18),
    (0.60, 0.60, 0.58, 0.55),
)


class Pavier:
    """Draws streets, markings and paved areas."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        self.canvas, self.rng = canvas, rng

    def pave(self, outline: Points, material: Material) -> None:
        """Pave an area."""
        self.canvas.paint(self.canvas.polygon(outline), material, IMPERVIOUS, height=0.0)

    def stripe(self, start: Points, end: Points, width: float, material: Material = PAINT) -> None:
        """Paint a line on the ground; the class below stays."""
        length = float(np.hypot(*(end - start)))
        if length < 1e-3:
            return
        patch = self.canvas.local((start + end) / 2, (end - start) / length, length / 2, width / 2)
        self.canvas.paint(patch, material, None)

    def repairs(self, points: Points, width: float, count: int) -> None:
        """Lay asphalt repairs and manholes along a street axis, (N, 2)."""
        for _ in range(count):
            i = int(self.rng.integers(0, len(points) - 1))
            axis = (points[i + 1] - points[i]) / np.linalg.norm(points[i + 1] - points[i])
            across = np.array([-axis[1], axis[0]])
            spot = points[i] + self.rng.uniform(-0.4, 0.4) * width * across
            if self.rng.random() < 0.5:
                patch = self.canvas.local(spot, axis, self.rng.uniform(1, 5), self.rng.uniform(0.4, 1.2))
                self.canvas.paint(patch, ASPHALT.tinted(self.rng, 0.15), None)
            else:
                hole = self.canvas.local(spot, axis, 0.35, 0.35)
                if hole is not None:
                    self.canvas.paint(hole.within(hole.u**2 + hole.v**2 < 0.12), GLASS, None)


class Garage:
    """Draws vehicles."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        self.canvas, self.rng = canvas, rng

    def car(self, centre: Points, axis: Points) -> None:
        """Draw a car: body with rounded ends, bonnet, windscreen, roof, rear window."""
        length, width = self.rng.uniform(3.9, 4.9), self.rng.uniform(1.72, 1.9)
        axis = axis * self.rng.choice((-1.0, 1.0))
        patch = self.canvas.local(centre, axis, length / 2, width / 2)
        if patch is None:
            return
        u, v = patch.u / (length / 2), patch.v / (width / 2)
        body = patch.within(np.abs(u) ** 5 + np.abs(v) ** 6 < 1)
        paint = Material(
            bands=PAINTS[self.rng.choice(len(PAINTS), p=PAINT_SHARES)], grain=0.01, fine=0.0, mid=0.0, coarse=0.0
        ).tinted(self.rng, 0.1)
        shade = np.asarray(1.0 - 0.22 * np.abs(v) ** 3 + 0.10 * (u > 0.45), np.float32)
        self.canvas.paint(body, paint, CAR, height=0.95, shade=shade)
        cabin = np.abs(v) < 0.80 - 0.10 * np.abs(u)
        self.canvas.paint(body.within(cabin & (u > -0.78) & (u < 0.38)), GLASS, CAR, height=1.3)
        roof = (np.abs(v) < 0.66) & (u > -0.52) & (u < 0.10)
        self.canvas.paint(body.within(roof), paint, CAR, height=1.45)

    def van(self, centre: Points, axis: Points) -> None:
        """Draw a van or small lorry: a cab in front of a box."""
        length, width = self.rng.uniform(5.6, 8.5), self.rng.uniform(2.0, 2.4)
        patch = self.canvas.local(centre, axis * self.rng.choice((-1.0, 1.0)), length / 2, width / 2)
        if patch is None:
            return
        paint = Material(bands=(0.66, 0.66, 0.66, 0.64), grain=0.01, fine=0.02).tinted(self.rng, 0.15, 0.08)
        self.canvas.paint(
            patch, paint, CAR, height=2.6, shade=np.asarray(1 - 0.05 * (np.mod(patch.u, 1.0) < 0.1), np.float32)
        )
        front = length / 2
        self.canvas.paint(patch.within(patch.u > front - 1.5), paint.tinted(self.rng, 0.2, 0.1), CAR, height=1.9)
        glass = (patch.u > front - 1.1) & (patch.u < front - 0.55) & (np.abs(patch.v) < 0.42 * width)
        self.canvas.paint(patch.within(glass), GLASS, CAR, height=1.9)


class Yard:
    """Draws clutter."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        self.canvas, self.rng = canvas, rng

    def blob(self, centre: Points, radius: float, ragged: float = 0.14) -> LocalPatch | None:
        """An irregular roundish patch whose outline swings by about `ragged` of the radius."""
        patch = self.canvas.local(centre, np.array([1.0, 0.0]), radius * 1.7, radius * 1.7)
        phases, weights = self.rng.uniform(0, 2 * np.pi, 4), self.rng.normal(0, ragged, 4)
        if patch is None:
            return None
        bearing = np.arctan2(patch.v, patch.u)
        outline = 1 + sum(
            w / (1 + 0.3 * k) * np.sin((k + 2) * bearing + p)
            for k, (w, p) in enumerate(zip(weights, phases, strict=True))
        )
        return patch.within(
            np.hypot(patch.u, patch.v) < radius * np.clip(outline + 0.04 * self.canvas.mid[patch.roi], 0.4, 1.6)
        )

    def soil(self, outline: Points) -> None:
        """Bare ground of a construction site, with wheel tracks."""
        patch = self.canvas.polygon(outline)
        if patch is None:
            return
        self.canvas.paint(patch, SOIL.tinted(self.rng, 0.12), CLUTTER, height=0.0)
        tracks = np.abs(np.sin(2.2 * self.canvas.coarse[patch.roi] + 0.25 * self.canvas.mid[patch.roi])) < 0.07
        self.canvas.paint(
            Patch(patch.rows, patch.cols, patch.mask & tracks),
            SOIL.tinted(self.rng, 0.05),
            CLUTTER,
            shade=np.full(tracks.shape, 0.8, np.float32),
        )

    def heap(self, centre: Points, radius: float) -> None:
        """A heap of rubble or soil."""
        patch = self.blob(centre, radius)
        if patch is None:
            return
        rise = 0.55 * np.maximum(radius * 1.3 - np.hypot(patch.u, patch.v), 0) + 0.2 * self.canvas.fine[patch.roi]
        material = (RUBBLE if self.rng.random() < 0.6 else SOIL).tinted(self.rng, 0.15)
        self.canvas.paint(
            patch, material, CLUTTER, height=rise.astype(np.float32), slope=soft_slope(rise, self.canvas.pixel, 1.2)
        )

    def container(self, centre: Points, axis: Points, length: float = 6.1) -> None:
        """A shipping container or skip with ribbed top."""
        patch = self.canvas.local(centre, axis, length / 2, 1.22)
        if patch is None:
            return
        ribs = np.asarray(1 + 0.16 * np.sign(np.sin(2 * np.pi * patch.u / 0.9)), np.float32)
        paint = Material(bands=BOXES[int(self.rng.integers(len(BOXES)))]).tinted(self.rng, 0.15)
        self.canvas.paint(patch, paint, CLUTTER, height=2.6, shade=ribs)

    def pool(self, centre: Points, axis: Points, length: float, width: float) -> None:
        """A swimming pool with a paved rim."""
        rim = self.canvas.local(centre, axis, length / 2 + 1.0, width / 2 + 1.0)
        self.canvas.paint(rim, PAVERS.tinted(self.rng, 0.1), IMPERVIOUS, height=0.0)
        patch = self.canvas.local(centre, axis, length / 2, width / 2)
        self.canvas.paint(patch, WATER.tinted(self.rng, 0.1), CLUTTER, height=0.0)

    def pond(self, centre: Points, radius: float) -> None:
        """Open water."""
        self.canvas.paint(self.blob(centre, radius, 0.2), POND, CLUTTER, height=0.0)

    def court(self, centre: Points, axis: Points) -> None:
        """A tennis court with its lines."""
        patch = self.canvas.local(centre, axis, 17.0, 8.5)
        if patch is None:
            return
        self.canvas.paint(patch, COURT.tinted(self.rng, 0.1), CLUTTER, height=0.0)
        u, v = np.abs(patch.u), np.abs(patch.v)
        lines = ((np.abs(u - 11.9) < 0.08) & (v < 5.5)) | ((np.abs(v - 5.4) < 0.08) & (u < 11.9))
        lines |= ((np.abs(v - 4.1) < 0.08) & (u < 11.9)) | (u < 0.06) | ((np.abs(u - 6.4) < 0.08) & (v < 4.1))
        self.canvas.paint(patch.within(lines), PAINT, CLUTTER)
