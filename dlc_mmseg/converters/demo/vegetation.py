"""Vegetation of a drawn scene: tree crowns, hedges and shrubs, lawns, beds."""

from __future__ import annotations

import numpy as np

from dlc_mmseg.converters.demo.canvas import (
    LOW_VEGETATION,
    TREE,
    Array,
    Canvas,
    LocalPatch,
    Material,
    Points,
    soft_slope,
)

LAWN = Material(
    bands=(0.50, 0.08, 0.13, 0.06), other=(0.41, 0.15, 0.16, 0.08), grain=0.07, fine=0.07, mid=0.07, coarse=0.06
)
MEADOW = Material(bands=(0.44, 0.12, 0.14, 0.075), other=(0.39, 0.21, 0.19, 0.12), grain=0.08, fine=0.10, mid=0.08)
BARE = Material(bands=(0.34, 0.24, 0.20, 0.14), other=(0.42, 0.15, 0.15, 0.09), grain=0.08, fine=0.08)
SHRUB = Material(bands=(0.46, 0.06, 0.09, 0.045), grain=0.08, fine=0.12)
BROADLEAF = Material(bands=(0.50, 0.055, 0.085, 0.04), grain=0.08, fine=0.10, mid=0.05)
CONIFER = Material(bands=(0.33, 0.04, 0.06, 0.035), grain=0.08, fine=0.10, mid=0.05)
COPPER = Material(bands=(0.46, 0.085, 0.06, 0.05), grain=0.08, fine=0.10, mid=0.05)


def _lumps(patch: LocalPatch, radius: float, count: int, spread: float, rng: np.random.Generator) -> Array:
    """Upper envelope of `count` half-spheres inside a crown of `radius`; 0 where there is none."""
    envelope = np.zeros(patch.mask.shape, np.float32)
    rows, cols = patch.v[:, 0], patch.u[0]
    distance = radius * (1 - spread) * np.sqrt(rng.random(count))
    bearing = rng.random(count) * 2 * np.pi
    size = radius * spread * rng.uniform(0.75, 1.2, count)
    base = 0.55 * (radius - distance * distance / radius)
    for du, dv, r, b in zip(distance * np.cos(bearing), distance * np.sin(bearing), size, base, strict=True):
        ys = np.flatnonzero(np.abs(rows - dv) < r)
        xs = np.flatnonzero(np.abs(cols - du) < r)
        if not len(ys) or not len(xs):
            continue
        window = (slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1))
        square = r * r - (cols[window[1]] - du) ** 2 - (rows[window[0]] - dv)[:, None] ** 2
        bump = np.where(square > 0, b + np.sqrt(np.maximum(square, 0)), 0)
        np.maximum(envelope[window], bump, out=envelope[window])
    return envelope


class Gardener:
    """Plants things on a canvas."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        self.canvas, self.rng = canvas, rng

    def crown(
        self,
        centre: Points,
        radius: float,
        top: float,
        material: Material,
        *,
        label: int = TREE,
        count: int = 26,
        spread: float = 0.34,
    ) -> None:
        """Draw a crown of lumps; it hides what lies below its surface."""
        patch = self.canvas.local(centre, np.array([1.0, 0.0]), radius * 1.15, radius * 1.15)
        if patch is None:
            return
        lumps = _lumps(patch, radius, count, spread, self.rng)
        inside = lumps > 0
        rough = lumps + 0.16 * spread * radius * self.canvas.fine[patch.roi] * inside
        height = np.maximum(top - float(lumps.max(initial=0.0)), 0.0) + rough
        slope = soft_slope(np.where(inside, rough, np.float32(0)), self.canvas.pixel, 0.9)
        depth = 0.72 + 0.36 * lumps / max(float(lumps.max(initial=0.0)), 1e-3)
        self.canvas.paint(
            patch.within(inside),
            material,
            label,
            height=height.astype(np.float32),
            slope=slope,
            shade=depth.astype(np.float32),
            on_top=True,
        )

    def tree(self, centre: Points, radius: float) -> None:
        """Plant a tree with the given crown radius in metres: broadleaf, sometimes conifer or copper beech."""
        kind = self.rng.random()
        if kind < 0.15:
            self.crown(centre, 0.7 * radius, 3.4 * radius, CONIFER.tinted(self.rng, 0.12), count=20, spread=0.28)
            return
        material = (COPPER if kind > 0.96 else BROADLEAF).tinted(self.rng, 0.13, 0.05)
        top = radius * self.rng.uniform(1.8, 2.5) + 1.5
        self.crown(centre, radius, top, material, count=int(14 + 5 * radius), spread=self.rng.uniform(0.28, 0.4))

    def shrub(self, centre: Points, radius: float) -> None:
        """Plant a shrub; it counts as low vegetation."""
        self.crown(
            centre, radius, 0.7 * radius + 0.4, SHRUB.tinted(self.rng, 0.12), label=LOW_VEGETATION, count=7, spread=0.5
        )

    def hedge(self, start: Points, end: Points, thickness: float) -> None:
        """Plant a clipped hedge between two points."""
        length = float(np.hypot(*(end - start)))
        if length < 0.5:
            return
        patch = self.canvas.local((start + end) / 2, (end - start) / length, length / 2, thickness / 2)
        if patch is None:
            return
        rough = self.canvas.fine[patch.roi] * 0.15
        edge = 1 - 0.35 * (np.abs(patch.v) / (thickness / 2)) ** 2
        self.canvas.paint(
            patch.within(np.abs(patch.v) < thickness / 2 * (0.85 + 0.3 * rough)),
            SHRUB.tinted(self.rng),
            LOW_VEGETATION,
            height=(1.5 + rough).astype(np.float32),
            shade=edge.astype(np.float32),
            on_top=True,
        )

    def lawn(self, outline: Points, *, wild: float = 0.3) -> None:
        """Sow an area; with probability `wild` as a meadow, else as a mown lawn."""
        material = (MEADOW if self.rng.random() < wild else LAWN).tinted(self.rng, 0.08, 0.03)
        self.canvas.paint(self.canvas.polygon(outline), material, LOW_VEGETATION, height=0.0)

    def bed(self, outline: Points) -> None:
        """Dig a vegetable bed: rows of plants on dark soil."""
        patch = self.canvas.polygon(outline)
        if patch is None:
            return
        self.canvas.paint(patch, BARE.tinted(self.rng, 0.08), LOW_VEGETATION)
        plants = patch.mask & (self.canvas.fine[patch.roi] + 0.5 * self.canvas.mid[patch.roi] > 0.3)
        self.canvas.paint(type(patch)(patch.rows, patch.cols, plants), SHRUB.tinted(self.rng), LOW_VEGETATION)
