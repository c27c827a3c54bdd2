"""Images cut, classified and blended: against a single pass, and whatever the memory, the batch and interruptions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlc_mmseg.datasets.raster_reading import Raster
from dlc_mmseg.deploy.maps.blending import Position, Tiling, blended_strips, column_bands, count_windows
from dlc_mmseg.errors import UserError

CLASSES = 3
TILING = Tiling(window=(32, 32), overlap=(8, 8))


class Image:
    """An image in memory that counts how often each pixel is read."""

    def __init__(self, pixels: np.ndarray, nodata: np.ndarray | None = None) -> None:
        self.pixels = pixels
        self.missing = np.zeros(pixels.shape[:2], bool) if nodata is None else nodata
        self.size, self.channels = pixels.shape[:2], pixels.shape[2]
        self.reads = np.zeros(pixels.shape[:2], int)

    def read(self, top: int, bottom: int, left: int, right: int) -> Raster:
        place = slice(top, bottom), slice(left, right)
        self.reads[place] += 1
        return Raster(self.pixels[place], self.missing[place])


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 2)).astype('uint8')


def pixelwise(images: Tensor, nodata: Tensor) -> Tensor:
    """Scores that depend on each pixel alone."""
    first, second = images.unbind(1)
    return torch.stack([first, second, (first - second).abs()], 1).softmax(1)


def contextual(images: Tensor, nodata: Tensor) -> Tensor:
    """Scores that look at neighbours within 5 pixels, and pad with zeros like networks do."""
    torch.manual_seed(0)
    layer = nn.Conv2d(2, CLASSES, 11, padding=5)
    with torch.no_grad():
        return layer(images / 255).softmax(1)


def whole(image: Image, classify, tiling: Tiling = TILING, **options) -> Tensor:
    result = torch.full((CLASSES, *image.size), torch.nan)
    for strip in blended_strips(image, classify, CLASSES, tiling, **options):
        rows, columns = strip.box.slices
        assert result[:, rows, columns].isnan().all()  # each pixel once
        result[:, rows, columns] = strip.scores
        np.testing.assert_array_equal(strip.nodata, image.missing[rows, columns])
    return result


@pytest.mark.parametrize('size', [(32, 32), (100, 77), (33, 200), (20, 150), (150, 20), (5, 7)])
@pytest.mark.parametrize('tiling', [TILING, TILING._replace(overlap=(0, 0)), TILING._replace(batch_size=3)])
def test_what_depends_on_pixels_alone_equals_a_single_pass(size, tiling):
    image = Image(noise(*size))
    expected = pixelwise(torch.from_numpy(image.pixels).permute(2, 0, 1)[None].float(), None)[0]
    torch.testing.assert_close(whole(image, pixelwise, tiling), expected, rtol=0, atol=1e-5)
    assert (image.reads == 1).all()


def test_context_is_missed_at_borders_only_and_blended_without_a_jump():
    image = Image(noise(120, 140))
    single = contextual(torch.from_numpy(image.pixels).permute(2, 0, 1)[None].float(), None)[0]
    blended = whole(image, contextual, TILING._replace(overlap=(16, 16)))
    hard = whole(image, contextual, TILING._replace(overlap=(0, 0)))
    difference, harder = (blended - single).abs(), (hard - single).abs()
    assert difference.max() < harder.max() / 2
    assert difference.mean() < harder.mean() / 4


@pytest.mark.parametrize('classify', [pixelwise, contextual])
def test_memory_changes_nothing(classify, monkeypatch):
    from dlc_mmseg.deploy.maps import blending

    image = Image(noise(90, 400))
    expected = whole(image, classify)
    assert len(column_bands(400, CLASSES, 2, TILING)) == 1
    monkeypatch.setattr(blending, '_MEBIBYTE', 2**8 * 100)
    tiling = TILING._replace(memory=8)
    bands = column_bands(400, CLASSES, 2, tiling)
    assert len(bands) > 2
    assert (bands[0][0], bands[-1][1]) == (0, 400)
    torch.testing.assert_close(whole(image, classify, tiling), expected, rtol=0, atol=1e-6)


def test_too_little_memory_is_told_with_what_is_enough():
    with pytest.raises(UserError, match='at least') as caught:
        column_bands(9000, 60, 3, Tiling(memory=1))
    enough = int(caught.value.remedy.split('at least ')[1].split(',')[0])
    column_bands(9000, 60, 3, Tiling(memory=enough))


@pytest.mark.parametrize('stop', [1, 3, 5])
def test_an_interrupted_image_goes_on_where_it_was(stop, monkeypatch):
    from dlc_mmseg.deploy.maps import blending

    monkeypatch.setattr(blending, '_MEBIBYTE', 2**8 * 100)
    tiling = TILING._replace(memory=8)
    image = Image(noise(90, 300))
    expected = whole(image, contextual, tiling)
    result, position = torch.full((CLASSES, 90, 300), torch.nan), Position()
    for number, strip in enumerate(blended_strips(image, contextual, CLASSES, tiling)):
        if number == stop:
            break
        result[:, strip.box.slices[0], strip.box.slices[1]] = strip.scores
        position = strip.position
    windows = []
    for strip in blended_strips(image, contextual, CLASSES, tiling, start=position, advance=windows.append):
        rows, columns = strip.box.slices
        assert result[:, rows, columns].isnan().all()
        result[:, rows, columns] = strip.scores
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
    assert sum(windows) == count_windows(image.size, CLASSES, 2, tiling)


def test_windows_without_data_are_not_classified_and_nodata_is_marked():
    pixels = noise(100, 100).astype('float32')
    nodata = np.zeros((100, 100), bool)
    nodata[:60] = True
    nodata[80, 80] = True
    pixels[nodata] = np.nan
    image, seen = Image(pixels, nodata), []

    def classify(images: Tensor, missing: Tensor) -> Tensor:
        seen.append(len(images))
        assert images.isfinite().logical_or(missing[:, None]).all()
        assert not missing.flatten(1).all(1).any()
        return pixelwise(images.nan_to_num(), missing)

    result = whole(image, classify)
    assert sum(seen) < count_windows(image.size, CLASSES, 2, TILING)
    assert result[:, ~torch.from_numpy(nodata)].isfinite().all()
