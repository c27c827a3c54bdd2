"""From a drawn scene to the picture a camera takes of it: sun, shadows, sky, haze, optics, film."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dlc_mmseg.converters.demo.canvas import Array, Canvas

Row = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Sensor:
    """Light, air and camera.

    Args:
        azimuth: Direction the light comes from, degrees clockwise from the top of the picture.
        elevation: Height of the sun, degrees.
        sun: Irradiance of the sun per band (near infrared, red, green, blue).
        sky: Irradiance of the sky per band.
        haze: Light added by the air per band, before gain.
        mixing: Rows of the camera's bands (near infrared, red, green, blue) over the true ones.
        gain: White balance and exposure per band.
        gamma: Exponent from radiance to digital number.
        blur: Standard deviation of the optics' point spread, pixels.
        sharpen: Strength of unsharp masking.
        noise: Standard deviation of noise, digital numbers 0..255, at mid grey.
        wobble: Standard deviation from tile to tile (another flight line) of the sun's position, degrees.
        drift: The same of exposure and of white balance, relative.
    """

    azimuth: float
    elevation: float
    sun: Row
    sky: Row
    haze: Row
    mixing: tuple[Row, Row, Row, Row]
    gain: Row
    gamma: float
    blur: float
    sharpen: float
    noise: float
    wobble: float = 5.0
    drift: tuple[float, float] = (0.06, 0.03)


def _shift(field: Array, dx: float, dy: float) -> Array:
    """Value of `field` at (x + dx, y + dy); 0 outside."""
    matrix = np.array([[1, 0, -dx], [0, 1, -dy]], np.float64)
    return np.asarray(cv2.warpAffine(field, matrix, field.shape[::-1], flags=cv2.INTER_LINEAR), np.float32)


def cast_shadow(height: Array, pixel: float, sun: tuple[float, float, float]) -> Array:
    """Share of direct light that is blocked, 0..1, by everything between a point and the sun.

    The horizon along the ray, max over t of height(x + t s) - t tan(elevation), is built by doubling the distance.

    Args:
        height: (H, W) metres.
        pixel: Metres per pixel.
        sun: Unit vector to the sun (x, y, up).
    """
    flat = float(np.hypot(sun[0], sun[1]))
    dx, dy, rise = sun[0] / flat, sun[1] / flat, sun[2] / flat
    step = 1.0
    horizon = _shift(height, dx, dy) - np.float32(pixel * rise)
    reach = float(height.max()) / max(rise, 0.1) / pixel
    while step < reach:
        horizon = np.maximum(horizon, _shift(horizon, dx * step, dy * step) - np.float32(step * pixel * rise))
        step *= 2
    depth = np.clip((horizon - height - 0.03) / 0.25, 0.0, 1.0)
    return np.asarray(cv2.GaussianBlur(depth.astype(np.float32), (0, 0), 0.12 / pixel), np.float32)


def _openness(height: Array, pixel: float) -> Array:
    """Share of the sky seen, lower beside walls and under crowns."""
    small = cv2.resize(height, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    around = cv2.GaussianBlur(small, (0, 0), 2.2 / (4 * pixel))
    around = cv2.resize(around, height.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(1 - 0.5 * np.clip((around - height) / 6.0, 0.0, 1.0), np.float32)


def radiance(canvas: Canvas, sensor: Sensor, view: slice, rng: np.random.Generator) -> Array:
    """Light leaving a square window of the scene, (n, n, 4), before air and camera."""
    azimuth = np.deg2rad(sensor.azimuth + rng.normal(0, sensor.wobble))
    elevation = np.deg2rad(sensor.elevation + rng.normal(0, 0.5 * sensor.wobble))
    sun = (
        float(np.sin(azimuth) * np.cos(elevation)),
        float(-np.cos(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
    )
    gx, gy = canvas.slope[:, view, view]
    facing = (sun[2] - gx * sun[0] - gy * sun[1]) / np.sqrt(1 + gx * gx + gy * gy)
    direct = np.clip(facing, 0, None) * (1 - cast_shadow(canvas.height, canvas.pixel, sun)[view, view])
    sky = _openness(canvas.height, canvas.pixel)[view, view]
    light = canvas.albedo((view, view))
    for band, (from_sun, from_sky) in enumerate(zip(sensor.sun, sensor.sky, strict=True)):
        light[..., band] *= np.float32(from_sun) * direct + np.float32(from_sky) * sky
    return light


def take_picture(
    canvas: Canvas, sensor: Sensor, *, size: int, margin: float, supersampling: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Photograph a scene.

    Returns:
        (size, size, 4) uint8 bands near infrared, red, green, blue, and (size, size) uint8 classes (the one that
        covers most of each pixel).
    """
    cut = round(margin / canvas.pixel)
    view = slice(cut, cut + size * supersampling)
    light = radiance(canvas, sensor, view, rng)
    image = cv2.resize(light, (size, size), interpolation=cv2.INTER_AREA)
    image = image @ np.asarray(sensor.mixing, np.float32).T + np.asarray(sensor.haze, np.float32)
    exposure = np.exp(rng.normal(0, sensor.drift[0]) + rng.normal(0, sensor.drift[1], 4)).astype(np.float32)
    image = np.clip(image * np.asarray(sensor.gain, np.float32) * exposure, 1e-4, None)
    if sensor.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), sensor.blur)
    if sensor.sharpen > 0:
        image = image + sensor.sharpen * (image - cv2.GaussianBlur(image, (0, 0), 1.0))
    image = np.clip(image, 1e-4, None) ** np.float32(1 / sensor.gamma)
    image = image / np.maximum(1.0, 0.82 + 0.18 * image / 0.9)
    grain = rng.standard_normal(image.shape, dtype=np.float32) * np.sqrt(0.35 + 1.3 * image)
    digital = np.clip(np.round(255 * image + sensor.noise * grain), 0, 255).astype(np.uint8)
    return digital, _majority(canvas.labels[view, view], size)


def _majority(labels: np.ndarray, size: int) -> np.ndarray:
    """Class that covers most of each pixel."""
    shares = np.stack(
        [cv2.resize((labels == c).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) for c in range(6)]
    )
    return np.asarray(shares.argmax(0), np.uint8)
