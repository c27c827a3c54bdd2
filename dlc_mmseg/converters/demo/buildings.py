"""Buildings of a drawn scene: roofs with pitched planes, ridges, chimneys, skylights, panels, parapets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlc_mmseg.converters.demo.canvas import BUILDING, Array, Canvas, LocalPatch, Material, Points

TILES_RED = Material(bands=(0.45, 0.33, 0.185, 0.12), other=(0.37, 0.27, 0.165, 0.11), fine=0.05, mid=0.04)
TILES_BROWN = Material(bands=(0.27, 0.21, 0.14, 0.11), other=(0.22, 0.17, 0.12, 0.10), fine=0.05, mid=0.04)
SLATE = Material(bands=(0.15, 0.14, 0.14, 0.145), fine=0.05, mid=0.04)
METAL = Material(bands=(0.50, 0.50, 0.50, 0.49), fine=0.02, mid=0.03)
GRAVEL = Material(bands=(0.40, 0.38, 0.36, 0.33), other=(0.33, 0.31, 0.28, 0.25), grain=0.06, fine=0.06, mid=0.05)
BITUMEN = Material(bands=(0.18, 0.17, 0.17, 0.17), other=(0.25, 0.24, 0.23, 0.22), grain=0.04, fine=0.04, mid=0.07)
PITCHED = (TILES_RED, TILES_BROWN, SLATE, METAL)
FLAT = (GRAVEL, BITUMEN, METAL)
BRICK = Material(bands=(0.34, 0.27, 0.20, 0.17))
GLASS = Material(bands=(0.10, 0.11, 0.13, 0.15), grain=0.0, fine=0.05)
SOLAR = Material(bands=(0.07, 0.06, 0.08, 0.13), grain=0.0, fine=0.03)
VENT = Material(bands=(0.55, 0.55, 0.55, 0.55))
EDGE = Material(bands=(0.46, 0.45, 0.44, 0.43), fine=0.05)


@dataclass(frozen=True, kw_only=True)
class Roof:
    """Shape and surface of a roof.

    Args:
        kind: 'gable', 'hip' or 'flat'.
        material: Covering.
        pitch: Rise over run of the slopes; 0 for a flat roof.
        eave: Height of the walls in metres.
    """

    kind: str
    material: Material
    pitch: float
    eave: float


def draw_roof_style(rng: np.random.Generator, *, flat_share: float, red_share: float, storeys: tuple[int, int]) -> Roof:
    """Draw a roof; `flat_share` of them flat, `red_share` of the pitched ones in red tiles."""
    eave = 2.9 * int(rng.integers(storeys[0], storeys[1] + 1)) + float(rng.uniform(0.2, 0.8))
    if rng.random() < flat_share:
        material = FLAT[rng.choice(3, p=(0.5, 0.38, 0.12))]
        return Roof(kind='flat', material=material.tinted(rng, 0.14, 0.03), pitch=0.0, eave=eave)
    rest = 1 - red_share
    material = PITCHED[rng.choice(4, p=(red_share, 0.45 * rest, 0.45 * rest, 0.1 * rest))]
    kind = 'gable' if rng.random() < 0.62 else 'hip'
    return Roof(kind=kind, material=material.tinted(rng, 0.14, 0.05), pitch=float(rng.uniform(0.5, 1.0)), eave=eave)


def _pitched_planes(patch: LocalPatch, roof: Roof, length: float, width: float) -> tuple[Array, Array, Array]:
    """Height, and its gradient along u and v, of a gable or hip roof whose ridge runs along u."""
    u, v = patch.u, patch.v
    across = width / 2 - np.abs(v)
    height = roof.eave + roof.pitch * across
    du, dv = np.zeros_like(height), -roof.pitch * np.sign(v) + np.zeros_like(height)
    if roof.kind == 'hip':
        end = length / 2 - np.abs(u)
        ends = end < across
        height = np.where(ends, roof.eave + roof.pitch * end, height)
        du = np.where(ends, -roof.pitch * np.sign(u), du)
        dv = np.where(ends, 0.0, dv)
    return height.astype(np.float32), du.astype(np.float32), dv.astype(np.float32)


def _ridge_shade(patch: LocalPatch, roof: Roof, height: Array, width: float) -> Array:
    """Rows of tiles, the ridge and the eaves as factors on the reflectance."""
    top = roof.eave + roof.pitch * width / 2
    run = (height - roof.eave) / max(roof.pitch, 0.1)
    rows = 1 + 0.05 * np.sin(2 * np.pi * run / 0.62)
    ridge = np.where(top - height < 0.16 * max(roof.pitch, 0.4), 1.22, 1.0)
    eaves = np.where(run < 0.22, 0.78, 1.0)
    return np.asarray(rows * ridge * eaves, np.float32)


class Builder:
    """Draws buildings on a canvas."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        self.canvas, self.rng = canvas, rng

    def wing(self, centre: Points, axis: Points, length: float, width: float, roof: Roof) -> None:
        """Draw one rectangular part; where wings overlap the higher surface shows."""
        patch = self.canvas.local(centre, axis, length / 2, width / 2)
        if patch is None:
            return
        if roof.kind == 'flat':
            self._flat(patch, roof, length, width)
            return
        height, du, dv = _pitched_planes(patch, roof, length, width)
        shade = _ridge_shade(patch, roof, height, width)
        self.canvas.paint(
            patch, roof.material, BUILDING, height=height, slope=patch.world_gradient(du, dv), shade=shade, on_top=True
        )

    def _flat(self, patch: LocalPatch, roof: Roof, length: float, width: float) -> None:
        """Flat roof: parapet around a lower field, with seams every few metres."""
        field = (np.abs(patch.u) < length / 2 - 0.35) & (np.abs(patch.v) < width / 2 - 0.35)
        self.canvas.paint(patch, EDGE, BUILDING, height=roof.eave + 0.45, on_top=True)
        seams = 1 - 0.07 * ((np.abs(np.mod(patch.u, 4.0) - 2.0) < 0.09) | (np.abs(patch.v) < 0.09))
        inner = patch.within(field & (self.canvas.height[patch.roi] <= roof.eave + 0.5))
        self.canvas.paint(inner, roof.material, BUILDING, height=roof.eave, shade=seams.astype(np.float32))

    def box(
        self,
        centre: Points,
        axis: Points,
        length: float,
        width: float,
        material: Material,
        *,
        rise: float,
        label: int | None = BUILDING,
    ) -> None:
        """Put a small box on whatever is there, `rise` metres high."""
        patch = self.canvas.local(centre, axis, length / 2, width / 2)
        if patch is None or not patch.mask.any():
            return
        base = float(self.canvas.height[patch.roi][patch.mask].mean())
        self.canvas.paint(patch, material, label, height=base + rise)

    def panel(
        self, centre: Points, axis: Points, length: float, width: float, material: Material, *, grid: float = 0.0
    ) -> None:
        """Lay something thin on a roof (window, solar panel), keeping height and slope."""
        patch = self.canvas.local(centre, axis, length / 2, width / 2)
        if patch is None:
            return
        shade = None
        if grid > 0:
            lines = (np.mod(patch.u, grid) < 0.1) | (np.mod(patch.v, 1.6 * grid) < 0.1)
            shade = np.where(lines, 1.9, 1.0).astype(np.float32)
        self.canvas.paint(patch.within(self.canvas.labels[patch.roi] == BUILDING), material, None, shade=shade)

    def house(self, centre: Points, axis: Points, length: float, width: float, roof: Roof, rear: Points) -> None:
        """Draw a house: a main wing, often a side wing, chimneys, skylights, solar panels.

        Args:
            centre: Its middle.
            axis: Unit vector along the ridge.
            length: Metres along the ridge.
            width: Metres across.
            roof: Roof of all wings.
            rear: Vector away from the street; a side wing goes there.
        """
        rng = self.rng
        across = np.array([-axis[1], axis[0]])
        self.wing(centre, axis, length, width, roof)
        facing = float(across @ rear / np.linalg.norm(rear))
        if rng.random() < 0.55 and abs(facing) > 0.7:
            offset = rng.uniform(-0.28, 0.28) * length * axis + np.sign(facing) * 0.5 * width * across
            self.wing(centre + offset, across, width * rng.uniform(0.8, 1.1), width * rng.uniform(0.55, 0.8), roof)
        if roof.kind == 'flat':
            self.equipment(centre, axis, length, width, int(rng.integers(1, 4)))
            return
        for _ in range(int(rng.integers(1, 3))):
            spot = centre + rng.uniform(-0.4, 0.4) * length * axis + rng.uniform(-0.12, 0.12) * width * across
            self.box(spot, axis, 0.9, 0.7, BRICK, rise=1.1)
        side = float(rng.choice((-1.0, 1.0)))
        if rng.random() < 0.22 and length > 8:
            self.panel(
                centre + side * 0.26 * width * across,
                axis,
                length * rng.uniform(0.4, 0.7),
                width * 0.28,
                SOLAR,
                grid=1.0,
            )
        for _ in range(int(rng.integers(0, 4))):
            spot = centre + rng.uniform(-0.42, 0.42) * length * axis - side * width * rng.uniform(0.15, 0.35) * across
            self.panel(spot, axis, 0.9, 1.2, GLASS)

    def equipment(self, centre: Points, axis: Points, length: float, width: float, count: int) -> None:
        """Vents, lift heads and skylights of a flat roof."""
        rng = self.rng
        across = np.array([-axis[1], axis[0]])
        for _ in range(count):
            spot = centre + rng.uniform(-0.4, 0.4) * length * axis + rng.uniform(-0.35, 0.35) * width * across
            kind = rng.random()
            if kind < 0.45:
                self.box(spot, axis, rng.uniform(0.8, 1.6), rng.uniform(0.8, 1.4), VENT.tinted(rng), rise=0.8)
            elif kind < 0.7 and min(length, width) > 9:
                self.box(spot, axis, rng.uniform(2.5, 4.5), rng.uniform(2.0, 3.2), EDGE.tinted(rng), rise=2.2)
            else:
                self.panel(spot, axis, rng.uniform(1.2, 2.6), 1.2, GLASS.tinted(rng, 0.3))
