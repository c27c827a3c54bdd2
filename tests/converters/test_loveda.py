"""LoveDA as downloaded or extracted to the folders of its configs, through the command line."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from dlc_mmseg.cli import main
from dlc_mmseg.converters import loveda
from dlc_mmseg.datasets import compute_class_statistics, read_class_statistics

ROOT = Path(__file__).parents[2]
TILES = {
    ('Train', 'Urban'): ['1366', '1367'], ('Train', 'Rural'): ['0', '2'], ('Val', 'Urban'): ['3514'],
    ('Val', 'Rural'): ['2522'], ('Test', 'Rural'): ['4191'],
}  # fmt: skip


@pytest.fixture
def raw(tmp_path):
    """The extracted layout with tiles of 16 x 16 pixels."""
    generator = np.random.default_rng(0)
    for (part, scene), names in TILES.items():
        for name in names:
            folder = tmp_path / 'raw' / part / scene
            save(folder / 'images_png' / f'{name}.png', generator.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            if part != 'Test':
                save(folder / 'masks_png' / f'{name}.png', generator.integers(0, 8, (16, 16), dtype=np.uint8))
    return tmp_path / 'raw'


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def zipped(raw, target, *, with_part):
    """One zip for each part, as published (Train/Urban/..), or zipped from within it (Urban/..)."""
    target.mkdir()
    for part in sorted(raw.iterdir()):
        with zipfile.ZipFile(target / f'{part.name}.zip', 'w') as archive:
            for path in sorted(part.rglob('*.png')):
                archive.write(path, path.relative_to(raw if with_part else part))
    return target


def convert(source, out, *options):
    return main(['convert-loveda', '--dataset_path', str(source), '--out_dir', str(out), '--workers', '1', *options])


def error_of(capsys):
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    return lines[0]


def pngs(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*.png')}


def test_every_file_comes_to_lie_where_the_configs_look(raw, tmp_path, monkeypatch):
    out = tmp_path / 'data' / 'loveDA'
    assert convert(raw, out) == 0
    assert pngs(out) == pngs(raw)
    assert sorted(path.name for path in (out / 'Test' / 'Rural').iterdir()) == ['conversion.json', 'images_png']
    assert not list(out.rglob('.*'))
    monkeypatch.chdir(tmp_path)
    for name in ('rural2urban', 'urban2rural'):
        config = Config.fromfile(ROOT / 'configs' / '_base_' / 'datasets' / f'loveda_{name}.py')
        paired = config.train_dataloader.dataset
        for dataset in (paired.source, paired.target, config.val_dataloader.dataset):
            built = DATASETS.build({**dataset, 'pipeline': []})
            place = Path(dataset.data_prefix.img_path).parts[:2]
            assert sorted(Path(item['img_path']).stem for item in built) == sorted(TILES[place])
            assert all(Path(item['img_path']).is_file() for item in built)


def test_statistics_are_those_of_the_masks(raw, tmp_path):
    assert convert(raw, tmp_path / 'o') == 0
    folder = tmp_path / 'o' / 'Train' / 'Rural' / 'masks_png'
    written = read_class_statistics(folder / 'class_statistics.json')
    assert sorted(written) == ['0.png', '2.png']
    assert written == compute_class_statistics(folder, workers=1)


@pytest.mark.parametrize('with_part', [True, False])
def test_zips_and_extracted_folders_give_the_same(raw, tmp_path, with_part):
    packages = zipped(raw, tmp_path / 'zips', with_part=with_part)
    assert convert(packages, tmp_path / 'o') == 0
    assert pngs(tmp_path / 'o') == pngs(raw)
    assert convert(packages / 'Val.zip', tmp_path / 'val') == 0
    assert sorted(path.name for path in (tmp_path / 'val').iterdir()) == ['Val']


def test_workers_parts_and_scenes(raw, tmp_path, capsys):
    assert convert(raw, tmp_path / 'o', '--workers', '2', '--parts', 'Val', 'Train', '--scenes', 'Urban') == 0
    assert {path.relative_to(tmp_path / 'o').parts[:2] for path in (tmp_path / 'o').rglob('*.png')} == {
        ('Train', 'Urban'), ('Val', 'Urban'),
    }  # fmt: skip
    assert 'LoveDA: 2 in Train/Urban, 1 in Val/Urban' in capsys.readouterr().out


def test_a_finished_folder_is_left_alone_and_another_source_refused(raw, tmp_path, capsys):
    assert convert(raw, tmp_path / 'o') == 0
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / 'o').rglob('*.png')}
    assert convert(raw, tmp_path / 'o') == 0
    assert 'was complete already' in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / 'o').rglob('*.png')}
    (raw / 'Val/Urban/masks_png/3514.png').write_bytes((raw / 'Val/Rural/masks_png/2522.png').read_bytes())
    assert convert(raw, tmp_path / 'o') == 2
    assert 'Val/Urban: was made from other files (1 tiles differ, 3514 among them)' in error_of(capsys)


def test_a_stopped_conversion_goes_on(raw, tmp_path, monkeypatch):
    copied = []
    original = loveda.copy_tile

    def stopping(name, *arguments):
        if len(copied) == 3:
            raise KeyboardInterrupt
        copied.append(name)
        return original(name, *arguments)

    monkeypatch.setattr(loveda, 'copy_tile', stopping)
    assert convert(raw, tmp_path / 'o') == 130
    assert not (tmp_path / 'o' / 'Train' / 'Rural').exists()
    first = copied[:]
    monkeypatch.setattr(loveda, 'copy_tile', lambda name, *rest: (copied.append(name), original(name, *rest))[1])
    assert convert(raw, tmp_path / 'o') == 0
    assert not set(first) & set(copied[3:])
    assert pngs(tmp_path / 'o') == pngs(raw)


def test_missing_files_are_reported_before_anything_is_written(raw, tmp_path, capsys):
    (raw / 'Val/Urban/masks_png/3514.png').unlink()
    (raw / 'Train/Rural/images_png/2.png').unlink()
    assert convert(raw, tmp_path / 'o') == 2
    line = error_of(capsys)
    assert '2 files are missing' in line
    assert 'Train/Rural/images_png/2.png' in line or 'Val/Urban/masks_png/3514.png' in line
    assert not (tmp_path / 'o').exists()
    assert convert(raw, tmp_path / 'o', '--skip_incomplete', '--scenes', 'Rural') == 0
    assert [path.stem for path in (tmp_path / 'o/Train/Rural/images_png').iterdir()] == ['0']


@pytest.mark.parametrize(
    ('file', 'content', 'words'),
    [
        ('Train/Urban/masks_png/1366.png', np.full((16, 16), 9, np.uint8), '256 of 256 pixels have none of the values'),
        ('Train/Urban/masks_png/1366.png', np.zeros((16, 15), np.uint8), '16 x 16 pixels (height x width), but its'),
        ('Train/Urban/masks_png/1366.png', np.zeros((16, 16, 3), np.uint8), 'has 3 bands, expected one of values'),
        ('Train/Urban/images_png/1366.png', np.zeros((16, 16), np.uint8), 'has 1 band(s), expected three'),
        ('Train/Urban/images_png/1366.png', None, 'truncated or damaged image'),
    ],
)
def test_faulty_files_are_named(raw, tmp_path, capsys, file, content, words):
    if content is None:
        (raw / file).write_bytes((raw / file).read_bytes()[:200])
    else:
        Image.fromarray(content).save(raw / file)
    assert convert(raw, tmp_path / 'o') == 2
    line = error_of(capsys)
    assert words in line
    assert '1366.png' in line
    assert not (tmp_path / 'o' / 'Train' / 'Urban').exists()


def test_a_tolerated_share_of_other_values_becomes_no_data(raw, tmp_path, capsys):
    path = raw / 'Train/Urban/masks_png/1366.png'
    mask = np.array(Image.open(path))
    mask[0, :2] = 200
    Image.fromarray(mask).save(path)
    assert convert(raw, tmp_path / 'o', '--max_unknown', '0.01') == 0
    assert '2 pixels' in capsys.readouterr().out
    written = np.array(Image.open(tmp_path / 'o/Train/Urban/masks_png/1366.png'))
    assert np.array_equal(written, np.where(mask == 200, 0, mask))


def test_files_that_lie_where_they_belong_are_not_deleted(raw, tmp_path, capsys):
    shutil.move(raw, tmp_path / 'loveDA')
    before = pngs(tmp_path / 'loveDA')
    assert convert(tmp_path / 'loveDA', tmp_path / 'loveDA') == 2
    assert 'the files lie there already, as the configs expect them: train with them as they are' in error_of(capsys)
    assert pngs(tmp_path / 'loveDA') == before


def test_other_folders(tmp_path, capsys):
    (tmp_path / 'empty').mkdir()
    assert convert(tmp_path / 'empty', tmp_path / 'o') == 2
    assert 'no LoveDA images found, looked for {Train,Val,Test}/{Urban,Rural}' in error_of(capsys)
    assert convert(tmp_path / 'nowhere', tmp_path / 'o') == 2
    assert 'no such folder or zip archive' in error_of(capsys)
    for options, words in ((('--workers', '0'), '--workers 0'), (('--max_unknown', '2'), '--max_unknown 2.0')):
        assert convert(tmp_path / 'empty', tmp_path / 'o', *options) == 2
        assert words in error_of(capsys)


def test_the_record_says_what_was_converted(raw, tmp_path):
    assert convert(raw, tmp_path / 'o') == 0
    record = json.loads((tmp_path / 'o/Val/Rural/conversion.json').read_text())
    assert record['settings'] == {'dataset': 'LoveDA'}
    assert set(record['tiles']['2522']) == {'split', 'image', 'image_stamp', 'label', 'label_stamp'}
    record = json.loads((tmp_path / 'o/Test/Rural/conversion.json').read_text())
    assert set(record['tiles']['4191']) == {'split', 'image', 'image_stamp'}
