"""The checks end in a report, whatever a part raises while it is built, listed or run."""

from __future__ import annotations

import builtins
from typing import Any

import mmcv.image.io
import mmseg.datasets.transforms.loading
import numpy as np
import pytest
from faults.injecting import SOURCE, TARGET, VALIDATION, validation_tested
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.model import BaseModule
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from tiny_run import run_config, write_pair

from dlc_mmseg.checks import Report, check_config, preflight
from dlc_mmseg.errors import UserError

RAISED = [
    *('RuntimeError', 'OSError', 'ZeroDivisionError', 'NotImplementedError', 'ModuleNotFoundError', 'Exception'),
    *('KeyError', 'MemoryError', 'StopIteration', 'SystemExit'),
]


@pytest.fixture
def pair(tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path)
    config.model.segmentor.backbone.width = 1
    return tmp_path, config


def check(config: Config) -> Report:
    return check_config(validation_tested(config))


@TRANSFORMS.register_module()
class Raising(BaseTransform):
    """A transform that raises on its construction or its call."""

    def __init__(self, error: str, early: bool) -> None:
        self.error = error
        if early:
            raise getattr(builtins, error)('this part is broken')

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        raise getattr(builtins, self.error)('this part is broken')


@DATASETS.register_module()
class RaisingDataset(BaseSegDataset):
    """A dataset that raises when it is listed, or on its construction."""

    def __init__(self, error: str, early: bool, **options: Any) -> None:
        self.error = error
        if early:
            raise getattr(builtins, error)('this part is broken')
        super().__init__(**options)

    def load_data_list(self) -> list[dict[str, Any]]:
        raise getattr(builtins, self.error)('this part is broken')


@pytest.mark.parametrize('early', [True, False])
@pytest.mark.parametrize('error', RAISED)
def test_transforms_and_datasets_may_raise_anything(pair, error, early):
    _, config = pair
    broken = {'error': error, 'early': early}
    config.train_dataloader.dataset.source.pipeline.insert(1, {'type': 'Raising', **broken})
    config.merge_from_dict({f'{TARGET}.type': 'RaisingDataset', **{f'{TARGET}.{k}': v for k, v in broken.items()}})
    config.merge_from_dict({f'{VALIDATION}.img_suffix': '.tif'})
    errors = [problem.line for problem in check(config).errors]
    assert sum('this part is broken' in line for line in errors) == 2, errors
    assert any("no validation image ends in '.tif'" in line for line in errors)  # the other checks went on


class Panic(BaseException):
    """As compiled extensions raise it: no Exception."""


@MODELS.register_module()
class RaisingBackbone(BaseModule):
    """A backbone that raises on its construction."""

    error: BaseException

    def __init__(self) -> None:
        raise self.error


@pytest.mark.parametrize('error', [SystemExit(3), Panic('this part is broken'), MemoryError(), KeyError('inputs')])
def test_models_may_raise_anything(pair, monkeypatch, error):
    _, config = pair
    monkeypatch.setattr(RaisingBackbone, 'error', error, raising=False)
    config.model.segmentor.backbone = {'type': 'RaisingBackbone'}
    (problem,) = check(config).problems
    assert problem.where == 'model'
    assert type(error).__name__ in problem.what  # what says so little is named
    assert str(error).strip("'") in problem.what


def test_a_user_who_interrupts_is_obeyed(pair, monkeypatch):
    _, config = pair
    monkeypatch.setattr(RaisingBackbone, 'error', KeyboardInterrupt(), raising=False)
    config.model.segmentor.backbone = {'type': 'RaisingBackbone'}
    with pytest.raises(KeyboardInterrupt):
        check(config)


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(pair):
    _, config = pair
    config.merge_from_dict(
        {f'{SOURCE}.type': 'RaisingDataset', f'{SOURCE}.error': 'KeyError', f'{SOURCE}.early': False}
    )
    (problem,) = check(config).problems  # and no label image without an image
    assert problem.line.startswith(f'{SOURCE}: cannot be listed (this part is broken)')


@pytest.mark.parametrize(
    ('changes', 'where'),
    [
        ({'train_dataloader': ['no', 'dict']}, 'train_dataloader'),
        ({'train_cfg': ['no', 'dict']}, 'train_cfg'),
        ({'model.data_preprocessor.mean': 3}, 'model'),
        ({'val_evaluator': 'IoUMetric'}, ''),  # MMEngine's to report
        ({'default_hooks': []}, ''),
        ({'optim_wrapper': 'AdamW'}, ''),
        ({f'{SOURCE}.data_prefix': 'img'}, SOURCE),
        ({f'{SOURCE}.metainfo': 'classes'}, SOURCE),
    ],
)
def test_configs_of_other_shapes_are_checked_as_far_as_possible(pair, changes, where):
    content = pair[1].to_dict()
    for path, value in changes.items():
        *above, last = path.split('.')
        part = content
        for key in above:
            part = part[key]
        part[last] = value
    report = check_config(content)
    assert any(problem.where.startswith(where) for problem in report.problems) or not where, report.problems


def test_a_check_that_fails_itself_leaves_the_others(pair, monkeypatch):
    _, config = pair
    config.model.segmentor.decode_head.num_classes = 7

    def fail(*_: Any, **__: Any) -> None:
        raise IndexError('an error of the check')

    monkeypatch.setattr(preflight, 'check_delivered', fail)
    report = check(config)
    assert [problem.where for problem in report.errors] == ['model.segmentor.decode_head.num_classes']
    assert {problem.where for problem in report.warnings} == {SOURCE, TARGET, VALIDATION}
    assert 'IndexError: an error of the check' in report.warnings[0].what


def test_a_user_error_of_a_part_keeps_its_words(pair, monkeypatch):
    def fail(*_: Any, **__: Any) -> None:
        raise UserError('a file', 'is wrong', 'correct it')

    monkeypatch.setattr(preflight, 'check_delivered', fail)
    assert [problem.line for problem in check(pair[1]).errors] == ['a file: is wrong: correct it']


def rasters(root, config: Config, *, interleave: str = 'pixel') -> None:
    rasterio = pytest.importorskip('rasterio')
    for number, path in enumerate(sorted(root.rglob('img/*.png'))):
        pixels = np.random.default_rng(number).integers(0, 255, (5, 16, 16), dtype=np.uint8)
        profile = {'driver': 'GTiff', 'height': 16, 'width': 16, 'count': 5, 'dtype': 'uint8', 'interleave': interleave}
        with rasterio.open(path.with_suffix('.tif'), 'w', **profile) as file:
            file.write(pixels)
        path.unlink()
    for name in (SOURCE, TARGET, VALIDATION):
        config.merge_from_dict({f'{name}.img_suffix': '.tif', f'{name}.pipeline.0.color_type': 'unchanged'})


def load_with(config: Config, loader: str) -> None:
    pairs = config.train_dataloader.dataset
    for dataset in (pairs.source, pairs.target, config.val_dataloader.dataset):
        dataset.pipeline[0] = {'type': loader}


def only(report: Report) -> str:
    """What is said of the source, if the same is said of all three domains."""
    assert len(report.problems) == 3, [problem.line for problem in report.problems]
    return report.problems[0].line


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
def test_rasters_that_opencv_does_not_read_are_told_by_their_bands(pair):
    root, config = pair
    rasters(root, config)
    line = only(check(config))
    assert '(5 bands of uint8) cannot be read by LoadImageFromFile' in line
    assert 'LoadRasterFromFile' in line


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
def test_absent_packages_are_named(pair, monkeypatch):
    root, config = pair
    rasters(root, config)
    monkeypatch.setattr(mmcv.image.io, 'tifffile', None)
    for name in (SOURCE, TARGET, VALIDATION):
        config.merge_from_dict({f'{name}.pipeline.0.imdecode_backend': 'tifffile'})
    assert 'tifffile is not installed' in only(check(config))
    monkeypatch.setattr(mmseg.datasets.transforms.loading, 'gdal', None)
    load_with(config, 'LoadSingleRSImageFromFile')
    line = only(check(config))
    assert 'gdal is not installed' in line
    assert "install it, or load images with dict(type='LoadRasterFromFile')" in line


@TRANSFORMS.register_module()
class LoadBandByBand(BaseTransform):
    """What tifffile gives of a file whose bands lie one after the other: shape (C, H, W)."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        import rasterio

        with rasterio.open(results['img_path']) as file:
            results['img'] = file.read()
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
def test_bands_one_after_the_other_are_not_taken_for_rows(pair):
    root, config = pair
    rasters(root, config, interleave='band')
    load_with(config, 'LoadBandByBand')
    lines = [problem.line for problem in check(config).problems]
    assert '16 x 16 pixels (height x width) in 5 bands, LoadBandByBand gives 5 x 16' in lines[0]
    assert 'LoadRasterFromFile' in lines[0]


def test_a_step_that_fails_without_a_word_is_named(pair):
    _, config = pair
    config.train_dataloader.dataset.source.pipeline.insert(2, {'type': 'RandomMosaic', 'prob': 1.0})
    (problem,) = check(config).errors
    assert 'source pipeline fails (AssertionError in RandomMosaic)' in problem.what
