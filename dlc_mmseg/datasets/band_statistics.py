"""Mean and variance of each band over pixels with data: found once per image, kept beside the images.

The file is ``<image folder>/band_statistics.json`` (see `dlc_mmseg.files.remembered`); its entries hold ``pixels``,
``mean`` and ``variance``, channels in the order in which the loader delivers them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log
from numpy.typing import NDArray

from dlc_mmseg.datasets.draw_randomness import isolated_randomness
from dlc_mmseg.datasets.image_loading import described_loading, load_image
from dlc_mmseg.datasets.nesting import leaf_datasets
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.remembered import remembered, stamp_of

BAND_STATISTICS_FILE_NAME = 'band_statistics.json'
Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Shows progress: passes on items, given what is done to them and how many there are."""


class BandMoments(NamedTuple):
    """Moments of the pixels with data of one image, or of several.

    Attributes:
        pixels: How many there are.
        mean: Mean of each channel.
        variance: Mean squared deviation from it.
    """

    pixels: float
    mean: tuple[float, ...]
    variance: tuple[float, ...]


class BandStatistics(NamedTuple):
    """What normalisation needs.

    Attributes:
        mean: Mean of each channel.
        std: Standard deviation of each channel.
    """

    mean: list[float]
    std: list[float]


def band_moments(image: NDArray[Any], nodata: NDArray[np.bool_] | None = None) -> BandMoments:
    """Moments of one image, in double precision.

    Args:
        image: Shape (H, W, C).
        nodata: Shape (H, W), bool; None takes every pixel.

    Returns:
        Its moments; zeros where no pixel holds data.
    """
    pixels = image.reshape(-1, image.shape[2]) if nodata is None else image[~nodata]
    if not len(pixels):
        return BandMoments(0, (0.0,) * image.shape[2], (0.0,) * image.shape[2])
    mean = pixels.mean(0, dtype=np.float64)
    variance = [float(np.square(band - value).mean()) for band, value in zip(pixels.T, mean, strict=True)]
    return BandMoments(len(pixels), tuple(mean.tolist()), tuple(variance))


def pooled_moments(parts: Iterable[BandMoments]) -> BandMoments:
    """Moments of all pixels of several parts together.

    Args:
        parts: Their moments, of equally many channels.

    Returns:
        The moments of the whole.

    Raises:
        ValueError: If there is no part, or they differ in channels.
    """
    parts = list(parts)
    if len({len(part.mean) for part in parts}) != 1:
        raise ValueError(f'parts have {sorted({len(part.mean) for part in parts})} channels: pass parts of one number')
    weight = np.array([part.pixels for part in parts], np.float64)
    means, variances = (np.array([part[field] for part in parts], np.float64) for field in (1, 2))
    share = weight[:, None] / max(weight.sum(), 1)
    mean = (share * means).sum(0)
    variance = (share * (variances + np.square(means - mean))).sum(0)
    return BandMoments(float(weight.sum()), tuple(mean.tolist()), tuple(variance.tolist()))


def dataset_moments(dataset: Any) -> BandMoments:
    """Moments of all images of a dataset as its loader delivers them, from the files beside them where these hold.

    Args:
        dataset: A built dataset; wrappers may join several.

    Returns:
        The moments, channels as delivered.

    Raises:
        UserError: If an image cannot be read, images differ in channels, or none holds data.
    """
    parts: list[BandMoments] = []
    for leaf in leaf_datasets(dataset):
        infos = [leaf.get_data_info(index) for index in range(len(leaf))]
        parts += load_band_moments(infos, leaf.pipeline.transforms)
    folder = next(leaf_datasets(dataset)).data_prefix.get('img_path')
    channels = {len(part.mean) for part in parts}
    if len(channels) != 1:
        remedy = 'choose bands in LoadRasterFromFile that all images have'
        raise UserError(folder, f'its images have {sorted(channels)} channels', remedy)
    pooled = pooled_moments(parts)
    if not pooled.pixels:
        raise UserError(folder, 'none of its images holds data', 'correct nodata of LoadRasterFromFile')
    return pooled


def shared_statistics(domains: Sequence[BandMoments]) -> BandStatistics:
    """Mean and standard deviation for several domains, each of which weighs the same, as it does in a batch.

    Args:
        domains: Their moments.

    Returns:
        The statistics.

    Raises:
        UserError: If the domains differ in channels, or a channel has one value throughout.
    """
    channels = [len(domain.mean) for domain in domains]
    if len(set(channels)) != 1:
        remedy = 'let both pipelines end in one number of channels'
        raise UserError('model.data_preprocessor.mean', f'images have {channels} channels', remedy)
    pooled = pooled_moments(domain._replace(pixels=1.0) for domain in domains)
    std = [value**0.5 for value in pooled.variance]
    if min(std) <= 0:
        what = f'channel {std.index(min(std)) + 1} has one value throughout'
        raise UserError('model.data_preprocessor.std', what, 'leave that band out with bands of LoadRasterFromFile')
    return BandStatistics(list(pooled.mean), std)


def load_band_moments(
    infos: Sequence[Mapping[str, Any]],
    steps: Sequence[Any],
    *,
    workers: int | None = None,
    track: Track | None = None,
) -> list[BandMoments]:
    """Moments of images: read where a file beside them holds, otherwise found and kept.

    Only images that the file lacks or that have changed since are read. A folder that cannot be written to costs the
    reading at every start, said in one warning.

    Args:
        infos: Entries of a dataset with ``img_path``.
        steps: Transforms of its pipeline.
        workers: Threads that read; None takes one per processor, at most 8.
        track: Shows the progress.

    Returns:
        Moments of each image, in order.

    Raises:
        UserError: If an image cannot be read.
    """
    folders: dict[str, dict[str, Mapping[str, Any]]] = {}
    for info in infos:
        folder, name = os.path.split(str(info['img_path']))
        folders.setdefault(folder, {})[name] = info
    found = {
        folder: _of_folder(Path(folder), members, steps, workers or min(os.cpu_count() or 1, 8), track)
        for folder, members in folders.items()
    }
    places = [os.path.split(str(info['img_path'])) for info in infos]
    return [found[folder][name] for folder, name in places]


def _of_folder(
    folder: Path, infos: Mapping[str, Mapping[str, Any]], steps: Sequence[Any], workers: int, track: Track | None
) -> dict[str, BandMoments]:
    """Moments by file name."""

    def find(missing: list[str]) -> Iterable[dict[str, Any]]:
        print_log(f'Reading {len(missing)} images in {folder} for band statistics', logger='current')
        with ThreadPoolExecutor(workers) as pool, isolated_randomness(0, 0):
            parts: Iterable[BandMoments] = pool.map(lambda name: _moments_of(steps, infos[name]), missing)
            parts = track(parts, f'reading {folder}', len(missing)) if track else parts
            yield from (part._asdict() for part in parts)

    stamps = {name: stamp_of(folder / name) for name in infos}
    cache, loading = folder / BAND_STATISTICS_FILE_NAME, described_loading(steps)
    entries = remembered(cache, 'dlc_mmseg band statistics', 1, loading, stamps, find)
    return {
        name: BandMoments(entry['pixels'], tuple(entry['mean']), tuple(entry['variance']))
        for name, entry in entries.items()
    }


def _moments_of(steps: Sequence[Any], info: Mapping[str, Any]) -> BandMoments:
    path = info['img_path']
    try:
        loaded = load_image(steps, info)
    except UserError:
        raise
    except Exception as error:  # anything a transform may raise
        reason = ' '.join(str(error).split())
        raise UserError(path, f'cannot be loaded ({reason})', 'restore the file') from error
    if loaded is None:
        raise UserError(path, 'no step of its pipeline loads it', "begin with dict(type='LoadRasterFromFile')")
    finite = np.isfinite(loaded.image).all(-1) if loaded.image.dtype.kind == 'f' else None
    nodata = loaded.nodata if finite is None else ~finite if loaded.nodata is None else loaded.nodata | ~finite
    return band_moments(loaded.image, nodata)
