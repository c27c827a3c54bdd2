"""Images of other ranges than 8 bits: what strong augmentation and the steps of a pipeline would make of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.structures import PixelData
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.structures import SegDataSample
from PIL import Image

from dlc_mmseg.checks.pipelines import Outputs, _add_range
from dlc_mmseg.checks.report import Report
from dlc_mmseg.checks.value_range import check_eight_bit_steps, check_value_range


def output(dark, bright, dtype='float32', largest=None):
    return Outputs(len(bright), dtype, max(bright) if largest is None else largest, bright=bright, dark=dark)


def checked(*outputs, preprocessor=None, **settings):
    report = Report()
    domains = [SimpleNamespace(name=f'domain {number}', role='source') for number in range(len(outputs))]
    model = {'strong_augmentation': {'type': 'StrongAugmentation', **settings}, 'data_preprocessor': preprocessor or {}}
    named = {domain.name: one for domain, one in zip(domains, outputs, strict=True)}
    check_value_range(domains, named, model, report)
    return report.problems


EIGHT_BITS = output([3.0] * 3, [240.0] * 3, 'uint8')


@pytest.mark.parametrize(
    ('outputs', 'settings'),
    [
        ([EIGHT_BITS, output([0.0] * 3, [20.0] * 3, 'uint8')], {}),  # a dark night
        ([output([0.0], [4.0], 'uint8')], {}),
        ([output([200.0] * 3, [3900.0] * 3, 'uint16', 9000.0)], {'value_range': 4000}),  # clouds may exceed it
        ([output([200.0] * 3, [1100.0] * 3, 'uint16')], {'value_range': 4000}),
        ([output([0.0] * 3, [0.98] * 3)], {'value_range': 1.0}),
        ([output([0.0, 0.0], [0.98, 3000.0])], {'value_range': [1.0, 4000.0]}),
        ([output([200.0] * 3, [3900.0] * 3, 'uint16')], {'jitter_probability': 0}),
        ([], {}),
        ([Outputs(3, 'uint16')], {}),  # nothing but pixels without data
    ],
)
def test_ranges_that_fit(outputs, settings):
    assert checked(*outputs, **settings) == []


@pytest.mark.parametrize(
    ('outputs', 'settings', 'words'),
    [
        (
            [output([200.0] * 3, [3900.0] * 3, 'uint16', 4000.0)],
            {},
            ('is 255', 'exceed 3900', 'reach 4000', 'such as 3900'),
        ),
        ([EIGHT_BITS], {'value_range': 1}, ('is 1,', 'exceed 240', 'such as 240')),
        ([output([0.0] * 2, [0.5, 99.0])], {'value_range': [1.0, 9.0]}, ('is 9,', 'exceed 99')),
        ([output([0.0] * 3, [1.0] * 3)], {}, ('is 255', 'exceed 1:', 'drown', 'such as 1')),
        ([EIGHT_BITS], {'value_range': [255, 255]}, ('2 values for 3 channels', 'one per channel')),
    ],
)
def test_ranges_that_ruin_images(outputs, settings, words):
    (problem,) = checked(*outputs, **settings)
    assert problem.severity == 'error'
    assert problem.where == 'model.strong_augmentation.value_range'
    for word in words:
        assert word in problem.line


@pytest.mark.parametrize('brightest', [0.98, 1.0, 99.0, 2990.45, 2.45e-3])
def test_the_remedy_works(brightest):
    (problem,) = checked(output([0.0], [brightest]), value_range=brightest / 3)
    assert checked(output([0.0], [brightest]), value_range=float(problem.remedy.split()[-1])) == []


def test_values_below_zero_and_dim_values():
    (problem,) = checked(output([-25.0], [-3.0]))  # decibels
    assert problem.severity == 'error'
    assert 'go below 0 (1 % below -25)' in problem.what
    assert checked(output([-25.0], [-3.0]), jitter_probability=0) == []
    (problem,) = checked(output([0.0], [20.0], 'uint16'))
    assert problem.severity == 'warning'


def test_numbers_of_channels_come_after_their_exchange():
    bgr = output([0.0] * 3, [10.0, 100.0, 1000.0])
    assert checked(bgr, value_range=[1000, 100, 10], preprocessor={'bgr_to_rgb': True}) == []
    assert checked(bgr, value_range=[1000, 100, 10])


def test_a_range_for_each_channel_is_as_one_for_images_of_each():
    images = torch.rand(4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    scale = torch.tensor([255.0, 4000.0]).view(-1, 1, 1)
    torch.manual_seed(1)
    plain = MODELS.build({'type': 'StrongAugmentation', 'value_range': 1.0})(images, 0 * scale, scale / scale)
    torch.manual_seed(1)
    both = MODELS.build({'type': 'StrongAugmentation', 'value_range': [255.0, 4000.0]})
    torch.testing.assert_close(both(images * scale, 0 * scale, scale / scale), plain * scale, rtol=1e-4, atol=1e-2)
    assert not both.state_dict()


@pytest.mark.parametrize('bad', [[], [255.0, 0.0], float('nan'), float('inf')])
def test_ranges_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match='value_range is'):
        MODELS.build({'type': 'StrongAugmentation', 'value_range': bad})


def pipeline_of(folder, image, *steps):
    path = folder / 'a.tif'
    Image.fromarray(image).save(path)
    info = {'img_path': str(path)}
    built = [TRANSFORMS.build(step) for step in ({'type': 'LoadImageFromFile', 'color_type': 'unchanged'}, *steps)]
    dataset = SimpleNamespace(pipeline=Compose(built))
    return SimpleNamespace(name='train', role='source', dataset=dataset, tiles=[SimpleNamespace(info=info)])


@TRANSFORMS.register_module()
class ToSomeType:
    """A step of anybody's."""

    def __init__(self, dtype, often=True):
        self.dtype, self.often = dtype, often

    def __call__(self, results):
        if self.dtype == 'fail':
            raise RuntimeError('no')
        if self.often or np.random.rand() < 0.5:
            results['img'] = results['img'].astype(self.dtype)
        return results


@pytest.mark.parametrize(
    ('dtype', 'step', 'found'),
    [
        ('uint16', {'type': 'ToSomeType', 'dtype': 'uint8'}, True),
        ('uint16', {'type': 'ToSomeType', 'dtype': 'uint8', 'often': False}, True),
        ('uint16', {'type': 'ToSomeType', 'dtype': 'float32'}, False),
        ('uint16', {'type': 'ToSomeType', 'dtype': 'fail'}, False),
        ('uint8', {'type': 'ToSomeType', 'dtype': 'uint8'}, False),
    ],
)
def test_steps_that_clip_to_eight_bits(tmp_path, dtype, step, found):
    report = Report()
    check_eight_bit_steps(pipeline_of(tmp_path, np.full((8, 8), 200, dtype), step), report)
    assert [problem.where for problem in report.errors] == ['train.pipeline'] * found
    assert all('ToSomeType turns uint16 images into 8 bits' in problem.what for problem in report.errors)


def test_photometric_distortion_of_mmsegmentation(tmp_path):
    report = Report()
    image = np.stack([np.full((8, 8), 200, np.uint8)] * 3, axis=-1)
    domain = pipeline_of(tmp_path, image, {'type': 'ToSomeType', 'dtype': 'uint8'}, {'type': 'PhotoMetricDistortion'})
    check_eight_bit_steps(domain, report)
    assert report.errors == []
    domain.dataset.pipeline.transforms[0] = lambda info: {**info, 'img': image.astype(np.uint16) * 10}
    domain.dataset.pipeline.transforms.pop(1)
    check_eight_bit_steps(domain, report)
    assert 'PhotoMetricDistortion turns uint16 images into 8 bits' in report.errors[0].what


def test_pixels_without_data_are_no_part_of_the_range():
    image, nodata = torch.full((2, 20, 20), 1000.0), torch.ones(1, 20, 20, dtype=torch.bool)
    image[:, 0, 0], image[:, 0, 1], nodata[:, 0, :2] = 300.0, 3000.0, False
    sample = SegDataSample(nodata_map=PixelData(data=nodata))
    outputs = Outputs()
    _add_range(outputs, {'inputs': image, 'data_samples': sample})
    assert outputs.dark == pytest.approx([327.0] * 2)  # percentiles of the two pixels with data
    assert outputs.bright == pytest.approx([2973.0] * 2)
