"""Folders given to MMSegmentation's inferencer: which map belongs to which image, and what is no image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmseg.apis import MMSegInferencer
from PIL import Image
from tiny_run import run_config

import dlc_mmseg.safe_files  # noqa: F401, what is tested
from dlc_mmseg.datasets.inferencer_folder import images_in

NAMES = ('zeta.png', 'alpha.PNG', 'mike.tif', 'bravo.jpg', 'yankee.JPEG', 'delta.png')
COMPANIONS = (
    'zeta.tfw',
    'alpha.pgw',
    'mike.tif.aux.xml',
    'class_statistics.json',
    'Thumbs.db',
    '.hidden.png',
    'zeta.prj',
)


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """Images whose width tells which they are, with what lies beside images, and another of the same name below."""
    folder = tmp_path / 'city'
    (folder / 'below').mkdir(parents=True)
    for number, name in enumerate(NAMES):
        Image.fromarray(np.zeros((16, 16 + number, 3), np.uint8)).save(folder / name)
    Image.fromarray(np.zeros((16, 40, 3), np.uint8)).save(folder / 'below' / NAMES[0])
    for name in COMPANIONS:
        (folder / name).write_text('1\n0\n0\n-1\n0\n0\n')
    return folder


def test_images_come_sorted_and_alone(city):
    assert images_in(str(city)) == [str(city / name) for name in sorted(NAMES)]


def test_files_of_unknown_endings_are_all_taken_where_nothing_else_is_there(tmp_path):
    for name in ('b.raw', 'a.raw'):
        (tmp_path / name).touch()
    assert images_in(str(tmp_path)) == [str(tmp_path / name) for name in ('a.raw', 'b.raw')]


def test_map_number_n_is_of_the_nth_image_by_name(city, tmp_path):
    config = run_config(tmp_path)
    config.test_dataloader.dataset.pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'PackSegInputs'}]
    segment = MMSegInferencer(config, device='cpu')
    segment(str(city), out_dir=str(tmp_path / 'out'))
    widths = [Image.open(path).width for path in sorted((tmp_path / 'out/pred').iterdir())]
    assert [NAMES[width - 16] for width in widths] == sorted(NAMES)
    assert sorted(path.name for path in (tmp_path / 'out/vis').iterdir()) == sorted(NAMES)


def test_what_is_no_folder_goes_the_framework_s_way(city, tmp_path):
    image, pixels = str(city / NAMES[0]), np.zeros((16, 16, 3), np.uint8)
    segment = MMSegInferencer.__new__(MMSegInferencer)
    assert segment._inputs_to_list(image) == [image]
    assert segment._inputs_to_list([image, image]) == [image, image]
    assert segment._inputs_to_list(pixels)[0] is pixels
