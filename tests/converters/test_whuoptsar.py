"""WHU-OPT-SAR scenes to tiles."""

from __future__ import annotations

import hashlib
from pathlib import Path

import mmcv
import numpy as np
import pytest
from PIL import Image

from dlc_mmseg.cli import main
from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.converters.whuoptsar import read_ids, recognise, whu_opt_sar
from dlc_mmseg.datasets.class_statistics import compute_class_statistics
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import read_class_statistics

CUT = ('--clip_size', '32', '--stride_size', '16', '--workers', '1')
TRAIN, TEST = 'NH49E004021', 'NH49E001014'


def convert(raw: Path, out: Path, *options: str) -> int:
    return main(['convert-whuoptsar', '--dataset_path', str(raw), '--out_dir', str(out), *CUT, *options])


def draw(raw, *scenes: str, size: tuple[int, int] = (64, 48), label_size: tuple[int, int] | None = None) -> None:
    """Scenes of four optical bands (blue, green, red, near infrared), one of radar, and codes."""
    for scene in scenes:
        raw.images[scene] = raw.rng.integers(0, 256, (*size, 4), dtype=np.uint8)
        raw.images[f'sar {scene}'] = raw.rng.integers(0, 256, size, dtype=np.uint8)
        raw.labels[scene] = raw.rng.integers(0, 8, label_size or size, dtype=np.uint8) * 10
        raw.save(f'optical/{scene}.tif', raw.images[scene])
        raw.save(f'sar/{scene}.tif', raw.images[f'sar {scene}'])
        raw.save(f'lbl/{scene}.tif', raw.labels[scene])


def read(out: Path, variant: str, split: str, name: str, kind: str = 'img_dir') -> np.ndarray:
    """A window as stored: channels in the order of the file."""
    return np.asarray(Image.open(out / f'{variant}_32_s16' / kind / split / name))


def test_official_division():
    """Against a digest of the published list, names only, in its order."""
    dataset = whu_opt_sar()
    train, val = dataset.splits['train'], dataset.splits['val']
    assert (len(train), len(val), len({*train, *val})) == (80, 20, 100)
    digest = hashlib.sha256(' '.join(train + val).encode()).hexdigest()
    assert digest == '2f5d1148d1c171009218b4b473e3c3d7b9d1f46d530edeaac07a0bbc558255b1'


@pytest.mark.parametrize(
    ('raw', 'expected'),
    [
        (RawFile(Path('w/optical/NH49E001013.tif')), ('NH49E001013', 'optical')),
        (RawFile(Path('w/optical.zip'), ('NH49E001013.tif',)), ('NH49E001013', 'optical')),
        (RawFile(Path('w/drive.zip'), ('sar/NH49E001013.tif',)), ('NH49E001013', 'sar')),
        (RawFile(Path('w/lbl/NH49E001013.tif')), ('NH49E001013', 'full')),
        (RawFile(Path('w/predictions/NH49E001013.tif')), None),
    ],
)
def test_names(raw, expected):
    assert recognise(raw) == expected


def test_layout_bands_and_labels(raw, tmp_path):
    draw(raw, TRAIN, TEST)
    assert convert(raw.root, tmp_path) == 0
    for split, scene in (('train', TRAIN), ('val', TEST)):
        name, window = f'{scene}_16_32_48_64.png', np.s_[32:64, 16:48]
        optical = read(tmp_path, 'optical', split, name)
        assert np.array_equal(optical, raw.images[scene][..., [2, 1, 0]][window])
        sar = read(tmp_path, 'sar', split, name)
        assert sar.shape == (32, 32, 3)
        assert (sar == raw.images[f'sar {scene}'][window][..., None]).all()
        expected = np.where(raw.labels[scene] == 70, 0, raw.labels[scene] // 10)[window]
        for variant in ('optical', 'sar'):
            assert np.array_equal(read(tmp_path, variant, split, name, 'ann_dir'), expected)
            folder = tmp_path / f'{variant}_32_s16' / 'ann_dir' / split
            assert read_class_statistics(folder / 'class_statistics.json') == compute_class_statistics(folder)
    tiles = [sorted(path.name for path in tmp_path.glob(f'{v}_32_s16/*/*/*.png')) for v in ('optical', 'sar')]
    assert tiles[0] == tiles[1]
    assert len(tiles[0]) == 2 * 2 * 6


def test_mmseg_reads_red_as_red(raw, tmp_path):
    draw(raw, TRAIN)
    assert convert(raw.root, tmp_path, '--modalities', 'optical') == 0
    assert not (tmp_path / 'sar_32_s16').exists()
    bgr = mmcv.imread(tmp_path / 'optical_32_s16/img_dir/train' / f'{TRAIN}_0_0_32_32.png')
    assert np.array_equal(bgr, raw.images[TRAIN][:32, :32, :3])


def test_options_on_bands_and_classes(raw, tmp_path):
    draw(raw, TRAIN)
    options = ('--rgb_bands', '1', '2', '3', '--optical-channels', '4', '--sar_channels', '1', '--num_classes', '8')
    assert convert(raw.root, tmp_path, *options) == 0
    name = f'{TRAIN}_0_0_32_32.png'
    assert np.array_equal(read(tmp_path, 'optical', 'train', name), raw.images[TRAIN][:32, :32])
    unchanged = mmcv.imread(tmp_path / 'optical_32_s16/img_dir/train' / name, 'unchanged')
    assert np.array_equal(unchanged, raw.images[TRAIN][:32, :32, [2, 1, 0, 3]])
    assert np.array_equal(read(tmp_path, 'sar', 'train', name), raw.images[f'sar {TRAIN}'][:32, :32])
    assert np.array_equal(read(tmp_path, 'sar', 'train', name, 'ann_dir'), raw.labels[TRAIN][:32, :32] // 10)


def test_deep_files_are_scaled(raw, tmp_path):
    draw(raw, TRAIN)
    deep = raw.rng.integers(1, 4000, (64, 48), dtype=np.uint16)
    raw.save(f'sar/{TRAIN}.tif', deep)
    assert convert(raw.root, tmp_path / 'fixed', '--sar_range', '0', '4080') == 0
    name = f'{TRAIN}_0_0_32_32.png'
    sar = read(tmp_path / 'fixed', 'sar', 'train', name)[..., 0]
    assert np.abs(sar - deep[:32, :32] / 16).max() <= 0.51
    assert convert(raw.root, tmp_path / 'auto') == 0
    low, high = np.percentile(deep, (2, 98))
    sar = read(tmp_path / 'auto', 'sar', 'train', name)[..., 0]
    assert np.abs(sar - ((deep[:32, :32] - low) / (high - low) * 255).clip(0, 255)).max() <= 0.51


def test_own_lists(raw, tmp_path, capsys):
    draw(raw, 'a', 'b', TRAIN)
    (tmp_path / 'train.txt').write_bytes(b'b.tif\r\n\r\n# a remark\r\n')
    (tmp_path / 'val.txt').write_text('a  # the second\n')
    options = ('--train_ids', str(tmp_path / 'train.txt'), '--val_ids', str(tmp_path / 'val.txt'))
    assert convert(raw.root, tmp_path / 'o', *options) == 0
    for split, scene in (('train', 'b'), ('val', 'a')):
        folder = tmp_path / 'o/sar_32_s16/img_dir' / split
        assert {path.name.split('_')[0] for path in folder.iterdir()} == {scene}
    (tmp_path / 'val.txt').write_text('a\nc\n')
    assert convert(raw.root, tmp_path / 'p', *options) == 2
    assert 'scene c of the id lists has no files' in capsys.readouterr().err
    (tmp_path / 'val.txt').write_text('a\nb\n')
    assert convert(raw.root, tmp_path / 'p', *options) == 2
    assert 'scene b is in both' in capsys.readouterr().err
    assert convert(raw.root, tmp_path / 'p', *options[:2]) == 2
    assert 'give both lists or none' in capsys.readouterr().err


def test_id_list_of_a_windows_editor(tmp_path):
    (tmp_path / 'ids.txt').write_bytes(b'\xef\xbb\xbfa.tif\r\n\r\nb\r\n')
    assert read_ids(tmp_path / 'ids.txt') == ('a', 'b')


def test_id_list_that_is_missing_or_empty(tmp_path):
    with pytest.raises(UserError, match='list of scenes cannot be read'):
        read_ids(tmp_path / 'nowhere.txt')
    (tmp_path / 'empty.txt').write_text('# nothing\n')
    with pytest.raises(UserError, match='list of scenes is empty'):
        read_ids(tmp_path / 'empty.txt')


@pytest.mark.parametrize('code', [5, 80, 255])
def test_unknown_code(raw, tmp_path, capsys, code):
    draw(raw, TRAIN)
    raw.labels[TRAIN][10, 20] = code
    raw.save(f'lbl/{TRAIN}.tif', raw.labels[TRAIN])
    assert convert(raw.root, tmp_path) == 2
    message = capsys.readouterr().err
    assert (
        f'1 of 3072 pixels have no class code (0, 10, .., 70), the first at row 10, column 20: {code}: repair'
        in message
    )
    assert convert(raw.root, tmp_path, '--max_unknown', '0.001') == 0
    assert read(tmp_path, 'sar', 'train', f'{TRAIN}_0_0_32_32.png', 'ann_dir')[10, 20] == 255


def test_size_mismatch_and_the_common_part(raw, tmp_path, capsys):
    draw(raw, TRAIN, label_size=(64, 47))
    assert convert(raw.root, tmp_path) == 2
    message = capsys.readouterr().err
    assert f'optical/{TRAIN}.tif: 64 x 48 pixels' in message
    assert 'has 64 x 47' in message
    assert '--max_size_difference 1' in message
    assert convert(raw.root, tmp_path, '--max_size_difference', '1') == 0
    window = read(tmp_path, 'optical', 'train', f'{TRAIN}_15_32_47_64.png')
    assert np.array_equal(window, raw.images[TRAIN][32:64, 15:47, [2, 1, 0]])


def test_files_of_different_places_have_no_common_part(raw, tmp_path, capsys):
    draw(raw, TRAIN, label_size=(64, 40))
    assert convert(raw.root, tmp_path) == 2
    message = capsys.readouterr().err
    assert 'has 64 x 40' in message
    assert 'use files of the same tile' in message
    assert '--max_size_difference' not in message


def test_labels_compressed_with_loss_are_not_tolerated(raw, tmp_path, capsys):
    draw(raw, TRAIN)
    noise = np.random.default_rng(0).integers(-9, 10, raw.labels[TRAIN].shape)
    raw.save(f'lbl/{TRAIN}.tif', np.clip(raw.labels[TRAIN] + noise, 0, 255).astype(np.uint8))
    assert convert(raw.root, tmp_path) == 2
    message = capsys.readouterr().err
    assert 'compressed with loss' in message
    assert '--max_unknown' not in message


def test_small_scene_is_extended_and_ignored(raw, tmp_path):
    draw(raw, TRAIN, size=(20, 48))
    assert convert(raw.root, tmp_path) == 0
    labels = read(tmp_path, 'sar', 'train', f'{TRAIN}_0_0_32_32.png', 'ann_dir')
    assert (labels[20:] == 255).all()
    assert (labels[:20] < 7).all()


@pytest.mark.parametrize(
    ('options', 'problem'),
    [
        (('--rgb_bands', '0', '1', '2'), '--rgb_bands 0 1 2: bands are counted from 1'),
        (('--rgb_bands', '5', '1', '2'), 'has 4 band(s), but band 5 is asked for'),
        (('--sar_range', '5', '5'), '--sar_range 5 5: is no range: give the smaller value first'),
        (('--max_size_difference', '-1'), '--max_size_difference -1: is negative: give 0 or more'),
        (('--stride_size', '40'), '--stride_size 40'),
    ],
)
def test_impossible_options(raw, tmp_path, capsys, options, problem):
    draw(raw, TRAIN)
    assert convert(raw.root, tmp_path / 'o', *options) == 2
    assert problem in capsys.readouterr().err


def test_wrong_kinds_of_file(raw, tmp_path, capsys):
    draw(raw, TRAIN)
    raw.save(f'sar/{TRAIN}.tif', np.zeros((64, 48, 3), np.uint8))
    assert convert(raw.root, tmp_path) == 2
    assert f'sar/{TRAIN}.tif: has 3 bands, expected one' in capsys.readouterr().err
    raw.save(f'lbl/{TRAIN}.tif', np.zeros((64, 48, 3), np.uint8))
    assert convert(raw.root, tmp_path) == 2
    assert f'lbl/{TRAIN}.tif: has 3 band(s) of uint8, expected one of class codes' in capsys.readouterr().err


def test_missing_label(raw, tmp_path, capsys):
    draw(raw, TRAIN, TEST)
    (raw.root / f'lbl/{TEST}.tif').unlink()
    assert convert(raw.root, tmp_path / 'o') == 2
    assert f'add lbl/{TEST}.tif' in capsys.readouterr().err
    assert not (tmp_path / 'o').exists()


def test_help_has_an_example_and_says_which_lists(capsys):
    with pytest.raises(SystemExit):
        main(['convert-whuoptsar', '--help'])
    text = ' '.join(capsys.readouterr().out.split())
    assert 'python tools/convert_datasets/whuoptsar.py --dataset_path' in text
    assert 'lists the figures of DLC were measured with are not public' in text
