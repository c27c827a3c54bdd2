"""Layers of a drawn scene: reflectance, height, surface gradient and class, on a metric pixel grid.

Everything is placed in metres (x to the right, y downwards, origin at the upper left corner of the margin), so
that one world can be sampled at any ground sampling distance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = NDArray[np.float64]
Bands = tuple[float, float, float, float]

IMPERVIOUS, BUILDING, LOW_VEGETATION, TREE, CAR, CLUTTER = range(6)
SHIFT_BITS = 4


@dataclass(frozen=True, kw_only=True)
class Material:
    """A surface: reflectance in (near infrared, red, green, blue), 0..1, and how it varies.

    Args:
        bands: Mean reflectance.
        other: Second reflectance the surface drifts to in places (dry grass, weathered tiles), or None.
        grain, fine, mid, coarse: Standard deviation of relative brightness at about 0.1, 0.4, 2 and 14 m.
    """

    bands: Bands
    other: Bands | None = None
    grain: float = 0.03
    fine: float = 0.03
    mid: float = 0.04
    coarse: float = 0.04

    def tinted(self, rng: np.random.Generator, spread: float = 0.1, hue: float = 0.05) -> Material:
        """Return the same surface with another brightness, a little warmer or colder."""
        warmth = rng.normal(0.0, 1.5 * hue) * np.array([0.6, 0.4, -0.2, -0.8])
        gain = np.exp(rng.normal(0.0, spread) + warmth + rng.normal(0.0, 0.4 * hue, 4))
        other = None if self.other is None else _scaled(self.other, gain)
        return replace(self, bands=_scaled(self.bands, gain), other=other)


def _scaled(bands: Bands, gain: Array) -> Bands:
    infrared, red, green, blue = np.clip(np.array(bands) * gain, 0.01, 0.95).tolist()
    return infrared, red, green, blue


@dataclass(frozen=True)
class Patch:
    """Rectangle of the canvas and the pixels in it that belong to a shape."""

    rows: slice
    cols: slice
    mask: Mask

    @property
    def roi(self) -> tuple[slice, slice]:
        """Index of the rectangle."""
        return self.rows, self.cols


@dataclass(frozen=True)
class LocalPatch(Patch):
    """A patch with coordinates along (u) and across (v) an axis, in metres from its centre."""

    u: Array
    v: Array
    axis: tuple[float, float]

    def world_gradient(self, along: Array | float, across: Array | float) -> tuple[Array, Array]:
        """Turn a height gradient along (u, v) into one along (x, y)."""
        ax, ay = self.axis
        return np.asarray(along * ax - across * ay, np.float32), np.asarray(along * ay + across * ax, np.float32)

    def within(self, mask: Mask) -> LocalPatch:
        """Return the same patch restricted to the pixels of `mask`."""
        return LocalPatch(self.rows, self.cols, self.mask & mask, self.u, self.v, self.axis)


def noise(rng: np.random.Generator, side: int, scale: float) -> Array:
    """Draw a smooth square random field with structures of about `scale` pixels; mean 0, deviation about 1."""
    step = max(int(scale / 8), 1)  # the finest octave is scale / 4 pixels wide: coarser sampling loses nothing
    coarse = -(-side // step)
    total = np.zeros((coarse, coarse), np.float32)
    for octave, weight in ((1.0, 1.0), (0.5, 0.55), (0.25, 0.3)):
        cells = max(int(np.ceil(side / max(scale * octave, 1.0))) + 3, 4)
        field = rng.standard_normal((cells, cells), dtype=np.float32)
        total += weight * cv2.resize(field, (coarse, coarse), interpolation=cv2.INTER_CUBIC)
    total = (total - total.mean()) / max(float(total.std()), 1e-6)
    return np.asarray(cv2.resize(total, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def soft_slope(height: Array, pixel: float, steepest: float) -> tuple[Array, Array]:
    """Gradient of a height field along x and y, bent so that it stays below `steepest`; 0 in a single row or column."""

    def along(axis: int) -> Array:
        if height.shape[axis] < 2:
            return np.zeros_like(height)
        return np.asarray(steepest * np.tanh(np.gradient(height, pixel, axis=axis) / steepest), np.float32)

    return along(1), along(0)


class Canvas:
    """Layers of a square scene of `extent` metres sampled every `pixel` metres.

    Attributes:
        height: (N, N) metres above ground.
        slope: (2, N, N) height gradient along x and y.
        labels: (N, N) uint8 class, 0..5 in the order of the ISPRS legend.
    """

    def __init__(self, *, extent: float, pixel: float, rng: np.random.Generator) -> None:
        side = int(np.ceil(extent / pixel))
        self.extent, self.pixel, self.side = extent, pixel, side
        self.height = np.zeros((side, side), np.float32)
        self.slope = np.zeros((2, side, side), np.float32)
        self.labels = np.zeros((side, side), np.uint8)
        self._materials: list[Material] = []
        self._material = np.zeros((side, side), np.uint16)
        self._shade = np.ones((side, side), np.float32)
        self.grain = rng.standard_normal((side, side), dtype=np.float32)
        self.fine = noise(rng, side, 0.5 / pixel)
        self.mid = noise(rng, side, 2.5 / pixel)
        self.coarse = noise(rng, side, 16.0 / pixel)
        self.drift = np.asarray(
            0.5 + 0.5 * np.tanh(1.1 * noise(rng, side, 9.0 / pixel) + 0.5 * self.mid + 0.3 * self.fine), np.float32
        )

    def _window(self, low: Points, high: Points) -> tuple[slice, slice] | None:
        """Pixels covered by a metric box, or None when it lies outside."""
        first = np.maximum(np.floor(low / self.pixel).astype(int) - 1, 0)
        last = np.minimum(np.ceil(high / self.pixel).astype(int) + 2, self.side)
        if (last <= first).any():
            return None
        return slice(int(first[1]), int(last[1])), slice(int(first[0]), int(last[0]))

    def polygon(self, points: Points) -> Patch | None:
        """Rasterise a polygon, (N, 2) metres; None when it lies outside the canvas."""
        window = self._window(points.min(0), points.max(0))
        if window is None:
            return None
        rows, cols = window
        mask = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.uint8)
        local = points / self.pixel - np.array([cols.start, rows.start]) - 0.5
        cv2.fillPoly(mask, [np.round(local * 2**SHIFT_BITS).astype(np.int32)], 1, shift=SHIFT_BITS)
        return Patch(rows, cols, mask.astype(bool))

    def local(self, centre: Points, axis: Points, half_length: float, half_width: float) -> LocalPatch | None:
        """Rasterise an oriented rectangle and give its pixels coordinates along and across `axis`."""
        ax, ay = float(axis[0]), float(axis[1])
        reach = np.array([abs(ax) * half_length + abs(ay) * half_width, abs(ay) * half_length + abs(ax) * half_width])
        window = self._window(centre - reach, centre + reach)
        if window is None:
            return None
        rows, cols = window
        y = ((np.arange(rows.start, rows.stop) + 0.5) * self.pixel - centre[1]).astype(np.float32)[:, None]
        x = ((np.arange(cols.start, cols.stop) + 0.5) * self.pixel - centre[0]).astype(np.float32)[None]
        u, v = x * ax + y * ay, y * ax - x * ay
        return LocalPatch(rows, cols, (np.abs(u) <= half_length) & (np.abs(v) <= half_width), u, v, (ax, ay))

    def paint(
        self,
        patch: Patch | None,
        material: Material,
        label: int | None,
        *,
        height: Array | float | None = None,
        slope: tuple[Array, Array] | None = None,
        shade: Array | None = None,
        on_top: bool = False,
    ) -> None:
        """Cover the pixels of a patch.

        Args:
            patch: Where; None paints nothing.
            material: Surface.
            label: Class 0..5, or None to keep the class that is there.
            height: Height above ground in metres; None keeps it.
            slope: Height gradient along x and y; None means level ground where `height` is given.
            shade: Factor on the reflectance, (h, w).
            on_top: Paint only where `height` exceeds what is there.
        """
        if patch is None or not patch.mask.any():
            return
        roi, mask = patch.roi, patch.mask
        if on_top and height is not None:
            mask = mask & (height > self.height[roi])
        self._materials.append(material)
        np.copyto(self._material[roi], np.uint16(len(self._materials) - 1), where=mask)
        np.copyto(self._shade[roi], np.float32(1) if shade is None else shade, where=mask)
        if label is not None:
            np.copyto(self.labels[roi], np.uint8(label), where=mask)
        if height is not None:
            np.copyto(self.height[roi], np.float32(height), where=mask)
            for band in range(2):
                np.copyto(self.slope[band][roi], np.float32(0) if slope is None else slope[band], where=mask)

    def label_at(self, point: Points) -> int:
        """Class at a point, -1 outside the canvas."""
        x, y = int(point[0] / self.pixel), int(point[1] / self.pixel)
        return int(self.labels[y, x]) if 0 <= x < self.side and 0 <= y < self.side else -1

    def free(self, point: Points, radius: float, allowed: tuple[int, ...]) -> bool:
        """Whether only `allowed` classes lie within a square of half side `radius` around a point on the canvas."""
        window = self._window(point - radius, point + radius)
        if window is None or self.label_at(point) < 0:
            return False
        return bool(np.isin(self.labels[window][::3, ::3], allowed).all())

    def albedo(self, view: tuple[slice, slice]) -> Array:
        """Reflectance (h, w, 4) of a window in near infrared, red, green, blue."""
        material, drift = self._material[view], self.drift[view]
        spread = np.array([(m.grain, m.fine, m.mid, m.coarse) for m in self._materials], np.float32)
        gain = self._shade[view].copy()
        relative = np.ones_like(gain)
        for k, field in enumerate((self.grain, self.fine, self.mid, self.coarse)):
            relative += spread[:, k][material] * field[view]
        gain *= relative
        bands = np.array([m.bands for m in self._materials], np.float32)
        change = np.array([m.other or m.bands for m in self._materials], np.float32) - bands
        result = np.empty((*gain.shape, 4), np.float32)
        for k in range(4):
            result[..., k] = (bands[:, k][material] + change[:, k][material] * drift) * gain
        return np.clip(result, 0.005, 0.98, out=result)
