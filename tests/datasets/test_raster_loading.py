from __future__ import annotations

import builtins
from typing import Any

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image
from rasters import UTM, write_raster

from dlc_mmseg.datasets import LoadRasterFromFile, PackRasterInputs
from dlc_mmseg.datasets.raster_packing import check_raster_pipeline
from dlc_mmseg.errors import UserError


def noise(shape: tuple[int, ...], dtype: str = 'uint8', seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    if dtype.startswith('float'):
        return generator.normal(0, 50, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min + 1, limits.max, shape).astype(dtype)


def load(path: Any, **options: Any) -> dict[str, Any]:
    return LoadRasterFromFile(**options)({'img_path': str(path), 'seg_fields': []})


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32'])
@pytest.mark.parametrize('count', [1, 2, 4, 7])
def test_all_bands_arrive_as_stored(tmp_path, dtype, count):
    image = noise((9, 12, count), dtype)
    loaded = load(write_raster(tmp_path / 'a.tif', image))
    assert loaded['img'].dtype == dtype
    np.testing.assert_array_equal(loaded['img'], image)
    assert loaded['img_shape'] == loaded['ori_shape'] == (9, 12)
    assert not loaded['gt_nodata_map'].any()


@pytest.mark.parametrize('dtype', ['int32', 'float64', 'uint32'])
def test_other_types_become_float32(tmp_path, dtype):
    image = np.arange(24).reshape(4, 6, 1).astype(dtype)
    loaded = load(write_raster(tmp_path / 'a.tif', image))['img']
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, image)


def test_three_bands_are_delivered_in_reverse_as_opencv_does(tmp_path):
    image = noise((8, 8, 3))
    path = write_raster(tmp_path / 'a.tif', image, photometric='RGB')
    np.testing.assert_array_equal(load(path)['img'], LoadImageFromFile()({'img_path': str(path)})['img'])
    np.testing.assert_array_equal(load(path, bands=[3, 1, 2])['img'], image[..., [1, 0, 2]])
    np.testing.assert_array_equal(load(path, bands=[2, 3])['img'], image[..., [1, 2]])
    with pytest.raises(UserError, match=r'a\.tif: has 3 bands, band 4 is asked for'):
        load(path, bands=[4])


def pictures(folder: Any) -> list[Any]:
    """PNG of every kind, JPEG with EXIF, BMP and WebP."""
    rgb, grey, alpha = noise((10, 14, 3)), noise((10, 14)), noise((10, 14))
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(rgb).save(folder / 'rgb.png')
    Image.fromarray(grey).save(folder / 'grey.png')
    Image.fromarray(np.dstack([rgb, alpha])).save(folder / 'rgba.png')
    Image.fromarray(np.dstack([grey, alpha]), 'LA').save(folder / 'la.png')
    Image.fromarray(rgb).quantize(16).save(folder / 'palette.png')
    Image.fromarray(grey > 90).save(folder / 'bits.png')
    Image.fromarray(rgb).save(folder / 'turned.jpg', exif=turned)
    Image.fromarray(grey).save(folder / 'grey.jpeg')
    Image.fromarray(rgb).save(folder / 'rgb.bmp')
    Image.fromarray(rgb).save(folder / 'rgb.webp', lossless=True)
    Image.fromarray(rgb).save(folder / 'named_otherwise.tif', 'PNG')
    return sorted(folder.iterdir())


def test_pictures_go_through_unchanged_and_without_rasterio(tmp_path, monkeypatch):
    paths = pictures(tmp_path)
    _without(monkeypatch, 'rasterio')
    for path in paths:
        expected, loaded = LoadImageFromFile()({'img_path': str(path)}), load(path)
        assert loaded['img'].dtype == expected['img'].dtype == np.uint8, path
        np.testing.assert_array_equal(loaded['img'], expected['img'], err_msg=str(path))
        assert loaded['img_shape'] == expected['img_shape']
        assert loaded['ori_shape'] == expected['ori_shape']
        assert not loaded['gt_nodata_map'].any()
    grey = cv2.imread(str(tmp_path / 'grey.png'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(load(tmp_path / 'grey.png', bands=[1])['img'], grey[..., None])
    np.testing.assert_array_equal(
        load(tmp_path / 'rgb.png', bands=[1, 2, 3])['img'], cv2.imread(str(tmp_path / 'rgb.png'))
    )


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', '1', 'RGBA', 'LA'])
def test_whatever_is_transparent_in_a_png_is_nodata(tmp_path, mode):
    pixels = np.random.default_rng(0).integers(1, 255, (10, 14, 3), dtype=np.uint8)
    pixels[:3] = 0
    nodata = np.zeros((10, 14), bool)
    nodata[:3] = True
    path, image = tmp_path / 'a.png', Image.fromarray(pixels)
    if mode in ('RGBA', 'LA'):
        image.putalpha(Image.fromarray(np.where(nodata, 0, 255).astype(np.uint8)))
        image.convert(mode).save(path)
    elif mode == 'P':
        palette = Image.fromarray(np.where(nodata, 0, 1 + pixels[..., 0] % 99).astype(np.uint8))
        palette.putpalette(range(256))
        palette.save(path, transparency=0)
    else:
        image = image if mode == 'RGB' else Image.fromarray(np.where(nodata, 0, 255).astype(np.uint8)).convert(mode)
        image.save(path, transparency=(0, 0, 0) if mode == 'RGB' else 0)
    loaded = load(path)
    np.testing.assert_array_equal(loaded['gt_nodata_map'] > 0, nodata)
    assert LoadRasterFromFile().may_lack_data(str(path))


def test_a_missing_rasterio_is_told_in_one_line(tmp_path, monkeypatch):
    path = write_raster(tmp_path / 'a.tif', noise((4, 4, 4)))
    _without(monkeypatch, 'rasterio')
    with pytest.raises(UserError) as caught:
        load(path)
    assert '\n' not in str(caught.value)
    assert 'pip install "dlc-mmseg[raster]"' in str(caught.value)


def _without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    original = builtins.__import__

    def missing(name: str, *args: Any, **options: Any) -> Any:
        if name.split('.')[0] == package:
            raise ImportError(name)
        return original(name, *args, **options)

    monkeypatch.setattr(builtins, '__import__', missing)


def test_sixteen_bit_png_keeps_its_depth(tmp_path):
    pytest.importorskip('rasterio')
    image = noise((6, 5), 'uint16')
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    np.testing.assert_array_equal(load(tmp_path / 'a.png')['img'][..., 0], image)


def test_nodata_values_of_the_file(tmp_path):
    image = noise((6, 8, 4), 'int16')
    image[0, 0] = image[1, 1, 2] = -9999
    nodata = load(write_raster(tmp_path / 'a.tif', image, nodata=-9999))['gt_nodata_map']
    assert nodata.dtype == np.uint8
    assert set(zip(*np.nonzero(nodata), strict=True)) == {(0, 0), (1, 1)}
    assert set(nodata[nodata > 0]) == {255}


@pytest.mark.parametrize(('dtype', 'value'), [('uint8', 0), ('uint8', 255), ('uint16', 0)])
def test_values_that_good_pixels_take_in_one_band_mean_nodata_in_all_bands(tmp_path, dtype, value):
    image = noise((6, 8, 3), dtype)
    image[0, 0], image[1, 1, 2] = value, value
    path = write_raster(tmp_path / 'a.tif', image, nodata=value)
    assert np.argwhere(load(path)['gt_nodata_map']).tolist() == [[0, 0]]
    assert np.argwhere(load(path, nodata_in='any')['gt_nodata_map']).tolist() == [[0, 0], [1, 1]]
    assert not load(path, nodata=None)['gt_nodata_map'].any()


def test_nodata_stated_by_the_user(tmp_path):
    image = noise((6, 8, 2), 'float32')
    image[2, 3], image[4, 4, 0], image[5, 5, 1] = (-1, -2), -1, np.nan
    path = write_raster(tmp_path / 'a.tif', image)
    assert np.argwhere(load(path, nodata=[-1, -2], nodata_in='all')['gt_nodata_map']).tolist() == [[2, 3], [5, 5]]
    assert np.argwhere(load(path, nodata=-1)['gt_nodata_map']).tolist() == [[2, 3], [4, 4], [5, 5]]


def test_what_is_not_finite_is_nodata_and_holds_the_mean(tmp_path):
    image = noise((6, 8, 2), 'float32')
    image[0, 0, 0], image[3, 4] = np.inf, np.nan
    loaded = load(write_raster(tmp_path / 'a.tif', image, nodata=np.nan))
    bad = np.zeros((6, 8), bool)
    bad[0, 0] = bad[3, 4] = True
    np.testing.assert_array_equal(loaded['gt_nodata_map'] > 0, bad)
    np.testing.assert_array_equal(loaded['img'][~bad], image[~bad])
    np.testing.assert_allclose(loaded['img'][3, 4], image[~bad].mean(0, dtype=float), rtol=1e-6)


def test_masks_and_alpha_bands(tmp_path):
    image, mask = noise((6, 8, 3)), np.ones((6, 8), bool)
    mask[:2] = False
    nodata = load(write_raster(tmp_path / 'a.tif', image, mask=mask))['gt_nodata_map']
    np.testing.assert_array_equal(nodata == 0, mask)
    rgba = np.dstack([image, mask * np.uint8(255)])
    path = write_raster(tmp_path / 'b.tif', rgba, photometric='RGB', alpha='YES')
    assert load(path)['img'].shape == (6, 8, 4)
    assert not load(path)['gt_nodata_map'].any()  # the band was asked for: it may be infrared
    np.testing.assert_array_equal(load(path, bands=[1, 2, 3])['gt_nodata_map'] == 0, mask)
    Image.fromarray(rgba).save(tmp_path / 'c.png')
    np.testing.assert_array_equal(load(tmp_path / 'c.png')['gt_nodata_map'] == 0, mask)


def test_scale(tmp_path):
    image = noise((6, 8, 2), 'uint16')
    path = write_raster(tmp_path / 'a.tif', image, crs=UTM)
    np.testing.assert_allclose(load(path, scale=1e-4)['img'], image * 1e-4, rtol=1e-6)
    np.testing.assert_allclose(load(path, scale=[2, 3])['img'], image * np.array([2.0, 3.0]), rtol=1e-6)
    assert load(path, scale='file')['img'].dtype == np.uint16
    import rasterio

    with rasterio.open(path, 'r+') as file:
        file.scales, file.offsets = (0.5, 2), (1, -1)
    np.testing.assert_allclose(load(path, scale='file')['img'], image * [0.5, 2] + [1, -1], rtol=1e-6)
    Image.fromarray(noise((4, 4, 3))).save(tmp_path / 'b.png')
    scaled = load(tmp_path / 'b.png', scale=[1, 10, 100])['img']
    np.testing.assert_allclose(scaled, noise((4, 4, 3))[..., ::-1] * [100.0, 10, 1])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'bands': [0]}, 'bands is'),
        ({'bands': []}, 'bands is'),
        ({'scale': 'files'}, "scale is 'files'"),
        ({'nodata': 'no'}, "nodata is 'no'"),
        ({'bands': [1, 2], 'scale': [1]}, 'scale has 1 values for 2 bands'),
        ({'nodata_in': 'some'}, "nodata_in is 'some'"),
    ],
)
def test_impossible_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        LoadRasterFromFile(**options)


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / 'a.tif').write_bytes(b'II*\0 cut off')
    for name in ('a.tif', 'absent.tif'):
        with pytest.raises(UserError, match=name):
            load(tmp_path / name)


STEPS = [
    {'type': 'Resize', 'scale': (40, 30), 'keep_ratio': False},
    {'type': 'RandomResize', 'scale': (36, 30), 'ratio_range': (0.7, 1.6), 'keep_ratio': True},
    {'type': 'RandomCrop', 'crop_size': (13, 15)},
    {'type': 'RandomFlip', 'prob': 0.6, 'direction': ['horizontal', 'vertical']},
    {'type': 'RandomRotFlip', 'rotate_prob': 0.5, 'flip_prob': 0.5, 'degree': 20},
]


@pytest.mark.parametrize('seed', range(6))
def test_nodata_travels_with_the_pixels(tmp_path, seed):
    """The image itself marks its nodata pixels by values far from all others; no step but resizing blends them."""
    init_default_scope('mmseg')
    image = np.full((24, 30, 1), 100, 'float32')
    image[5:14, 3:20] = 9000
    stated = write_raster(tmp_path / 'a.tif', image)
    labels = np.zeros((24, 30), np.uint8)
    labels[:, 15:] = 1
    Image.fromarray(labels).save(tmp_path / 'a.png')
    steps = [TRANSFORMS.build(step) for step in STEPS]

    def run(load: LoadRasterFromFile) -> dict[str, Any]:
        np.random.seed(seed)
        pipeline = Compose([load, TRANSFORMS.build({'type': 'LoadAnnotations'}), *steps, PackRasterInputs()])
        entry = {'img_path': str(stated), 'seg_map_path': str(tmp_path / 'a.png'), 'seg_fields': []}
        return pipeline({**entry, 'reduce_zero_label': False, 'label_map': None})

    plain, marked = run(LoadRasterFromFile()), run(LoadRasterFromFile(nodata=9000))
    before = plain['inputs'][0]
    if 'nodata_map' not in marked['data_samples']:
        assert (before < 9000 / 2).all()
        return
    nodata = marked['data_samples'].nodata_map.data[0]
    assert nodata.shape == before.shape
    assert nodata.dtype == np.bool_ or str(nodata.dtype) == 'torch.bool'
    interior = (before == 9000) | (before == 100)
    assert ((before == 9000) == nodata)[interior].all()
    assert (marked['inputs'][0][nodata] <= 100).all()  # never the value that means nodata
    expected = plain['data_samples'].gt_sem_seg.data.masked_fill(nodata[None], 255)
    assert (marked['data_samples'].gt_sem_seg.data == expected).all()


def test_test_pipelines_resize_the_image_but_not_the_labels(tmp_path):
    init_default_scope('mmseg')
    image = np.full((20, 20, 1), 7, 'float32')
    image[:10] = -1
    path = write_raster(tmp_path / 'a.tif', image, nodata=-1)
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / 'a.png')
    steps = [{'type': 'LoadRasterFromFile'}, {'type': 'Resize', 'scale': (10, 10)}, {'type': 'LoadAnnotations'}]
    pipeline = Compose([TRANSFORMS.build(step) for step in [*steps, {'type': 'PackRasterInputs'}]])
    entry = {'img_path': str(path), 'seg_map_path': str(tmp_path / 'a.png'), 'seg_fields': []}
    sample = pipeline({**entry, 'reduce_zero_label': False, 'label_map': None})['data_samples']
    labels = sample.gt_sem_seg.data[0].numpy()
    assert (labels[:10] == 255).all()
    assert (labels[10:] == 0).all()


def test_pipelines_that_lose_nodata_are_refused():
    init_default_scope('mmseg')
    load = LoadRasterFromFile()
    with pytest.raises(UserError, match='PackRasterInputs'):
        check_raster_pipeline([load, TRANSFORMS.build({'type': 'PackSegInputs'})], 'source pipeline')
    with pytest.raises(UserError, match='CenterCrop'):
        check_raster_pipeline([load, TRANSFORMS.build({'type': 'CenterCrop', 'crop_size': 4})], 'source pipeline')
    check_raster_pipeline([load, PackRasterInputs()], 'source pipeline')
    check_raster_pipeline([TRANSFORMS.build({'type': 'PackSegInputs'})], 'source pipeline')
