"""`dlc-mmseg init`: from two data sets of any usual kind to a config that passes the checks and trains."""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import DATASETS
from PIL import Image
from rasters import UTM, write_raster
from vectors import write_polygons

from dlc_mmseg import cli

CODES = np.array([0, 40, 200], np.uint8)
COLOURS = np.array([(255, 0, 0), (0, 0, 255), (0, 0, 0)], np.uint8)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def scene(seed, size=(64, 64), classes=3):
    """Blocks of classes, and an image in which they can be told apart."""
    random = np.random.default_rng(seed)
    truth = np.repeat(np.repeat(random.integers(0, classes, (size[0] // 8, size[1] // 8)), 8, 0), 8, 1)
    image = 60 * truth[..., None] + 40 + random.integers(0, 30, (*size, 3))
    return image.astype(np.uint8), truth.astype(np.uint8)


def save(path, array, **more):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if str(path).endswith('.tif'):
        write_raster(Path(path), array, **more)
    else:
        Image.fromarray(array).save(path)


def place(metres=0.5):
    rasterio = pytest.importorskip('rasterio')
    return {'crs': UTM, 'transform': rasterio.transform.from_origin(5e5, 5e6, metres, metres)}


def folders(code=lambda truth: truth, image='{}/img/{}.png', label='{}/lbl/{}.png'):
    """A labelled source and a target without labels."""
    for number in range(3):
        pixels, truth = scene(number)
        save(image.format('src', f's{number}'), pixels)
        save(label.format('src', f's{number}'), code(truth))
        save(f'tgt/t{number}.jpg', scene(10 + number)[0])


def init(*arguments, places=('src', 'tgt')):
    return cli.main(['init', *places, '--yes', '--name', 'a2b', '--preset', 'cpu', '--workers', '1', *arguments])


def ready(capsys, *arguments, places=('src', 'tgt')):
    """The config, and what was said; the checks have found nothing wrong."""
    status = init(*arguments, places=places)
    captured = capsys.readouterr()
    assert status == 0, captured.out + captured.err
    return Config.fromfile('configs/dlc_a2b.py'), captured.out


def train(config, iterations=2):
    """A few steps of the written config, as `mim train` takes them."""
    config.work_dir = 'work'
    config.train_cfg.max_iters = iterations
    config.train_cfg.val_interval = iterations
    config.train_dataloader.update(num_workers=0, persistent_workers=False, batch_size=2)
    config.model.transition.total_iterations = iterations
    config.custom_hooks = []
    config.default_hooks.checkpoint.interval = iterations
    for loader in (config.val_dataloader, config.test_dataloader):
        if loader:
            loader.update(num_workers=0, persistent_workers=False)
    Runner.from_cfg(config).train()
    assert Path('work', f'iter_{iterations}.pth').is_file()


LABELS = {
    'indices': (lambda truth: truth, None),
    'mask': (lambda truth: (truth > 1).astype(np.uint8) * 255, {'class_0': 0, 'class_1': 255}),
    'codes': (lambda truth: CODES[truth], {'class_0': 0, 'class_1': 40, 'class_2': 200}),
    'colours': (
        lambda truth: COLOURS[truth],
        {'class_0': (0, 0, 0), 'class_1': (0, 0, 255), 'class_2': (255, 0, 0)},
    ),
}


@pytest.mark.parametrize('kind', LABELS)
def test_labels_of_every_coding(capsys, kind):
    code, label_map = LABELS[kind]
    folders(code)
    config, said = ready(capsys)
    assert config.train_dataloader.dataset.source.label_map == label_map
    assert 'no problems found in 3 source and 3 target images' in said
    assert 'source labels: 3 *.png in src/lbl' in said
    if kind == 'colours':
        assert config.train_dataloader.dataset.source.metainfo.palette == [[0, 0, 0], [0, 0, 255], [255, 0, 0]]


@pytest.mark.parametrize('form', ['P', '1'])
def test_palette_and_one_bit_pngs(capsys, form):
    for number in range(3):
        pixels, truth = scene(number, classes=2 if form == '1' else 3)
        save(f'src/img/s{number}.png', pixels)
        image = Image.fromarray(truth)
        if form == 'P':
            image.putpalette(COLOURS.reshape(-1).tolist())
        else:
            image = Image.fromarray(truth.astype(bool))
        Path('src/lbl').mkdir(exist_ok=True)
        image.save(f'src/lbl/s{number}.png')
        save(f'tgt/t{number}.jpg', scene(10 + number)[0])
    config, _ = ready(capsys)
    source = config.train_dataloader.dataset.source
    assert source.label_map is None
    if form == 'P':
        assert source.metainfo.palette == COLOURS.tolist()
    config, _ = ready(capsys, '--classes', 'a=1', 'b=0', *(['--ignored', '2'] if form == 'P' else []), '--overwrite')


@pytest.mark.slow
def test_the_written_config_trains_and_is_validated(capsys):
    folders(image='{}/{}_RGB.png', label='{}/{}_label.png')
    for number in range(3):
        save(f'tgt/lbl/t{number}.png', scene(10 + number)[1])
    config, said = ready(capsys, '--classes', 'ground', 'tree', 'house', '--validate', '2')
    assert 'validation: 2 of 3 labelled target images, evenly spread' in said
    assert Path('configs/a2b_target_val.txt').read_text().split() == ['t0', 't1']
    assert config.train_dataloader.dataset.source.metainfo.classes == ('ground', 'tree', 'house')
    train(config)


def test_folders_that_hold_more_than_the_images(capsys):
    """``a.png`` beside ``a_mask.png``, an image without a label, labels below the images."""
    folders(image='{}/{}.png', label='{}/{}_mask.png')
    save('src/alone.png', scene(9)[0])
    _, said = ready(capsys)
    assert '1 images have none and are left out' in said
    assert Path('configs/a2b_source_train.txt').read_text().split() == ['s0', 's1', 's2']
    assert 'no problems found in 3 source and 3 target images' in said


def test_split_files_of_the_data_set_are_used(capsys):
    folders()
    for number in range(3):
        save(f'tgt/lbl/t{number}.png', scene(10 + number)[1])
    Path('tgt/train.txt').write_text('t0\nt1\n')
    Path('tgt/val.txt').write_text('t2\n')
    config, said = ready(capsys)
    assert config.train_dataloader.dataset.target.ann_file == 'train.txt'
    assert config.val_dataloader.dataset.ann_file == 'val.txt'
    assert '3 source and 2 target images, 1 validation image' in said


def test_names_that_begin_differently_are_cut(capsys):
    folders(image='{}/x/img_{}.png', label='{}/y/mask_{}.png')
    config, said = ready(capsys)
    assert 'names of images and labels begin differently' in said
    assert config.train_dataloader.dataset.source.data_root == 'data/a2b/source'
    assert sorted(path.name for path in Path('data/a2b/source/lbl').glob('*.tif')) == [
        f'img_s{number}.tif' for number in range(3)
    ]


def rasters(source_pixel=0.5, target_pixel=0.5, code=lambda truth: truth):
    pixels, truth = scene(0, (128, 160))
    save('geo/a.tif', pixels, **place(source_pixel))
    if code is not None:
        save('geo/a_labels.tif', code(truth), **place(source_pixel))
    save('geo_b/b.tif', scene(1, (96, 128))[0], **place(target_pixel))


RASTERS = ('geo/a.tif', 'geo_b/b.tif')


@pytest.mark.parametrize('kind', LABELS)
def test_two_rasters_and_a_label_raster(capsys, kind):
    rasters(code=LABELS[kind][0])
    config, said = ready(capsys, '--tile_size', '64', '--cut', 'always', places=RASTERS)
    assert config.train_dataloader.dataset.source.label_map is None  # tiles hold indices
    assert 'data/a2b/source: 6 tiles cut' in said
    assert 'no problems found in 6 source and 4 target images' in said
    assert 'dlc-mmseg predict configs/dlc_a2b.py work_dirs/dlc_a2b/iter_1000.pth geo_b/b.tif --out maps' in said
    if kind == 'codes':
        train(config)


def listed(dataset):
    return sorted(
        Path(entry['img_path']).as_posix() for entry in DATASETS.build({**dataset, 'pipeline': []}).load_data_list()
    )


@pytest.mark.parametrize('folder', ['', 'geo/'])
def test_small_rasters_in_one_folder_with_their_labels(capsys, folder):
    """Neither labels nor the other raster count as images of the target, in no dataset."""
    pixels, truth = scene(0, (96, 128))
    save(f'{folder}a.tif', pixels, **place())
    save(f'{folder}a_labels.tif', truth, **place())
    save(f'{folder}b.tif', scene(1, (64, 80))[0], **place())
    config, said = ready(capsys, places=(f'{folder}a.tif', f'{folder}b.tif'))
    assert 'no problems found in 1 source and 1 target images' in said
    for dataset in (config.train_dataloader.dataset.target, config.test_dataloader.dataset):
        assert listed(dataset) == ['data/a2b/target/img/b.tif']


def test_other_images_below_the_target_are_not_mapped(capsys):
    folders(image='{}/img/{}.jpg')
    for number in range(3):
        save(f'tgt/labels/t{number}.jpg', scene(20 + number)[0])  # named as labels, which JPEGs cannot be
    config, said = ready(capsys, '--target_labels', 'none')
    assert config.test_dataloader.dataset.ann_file
    for dataset in (config.train_dataloader.dataset.target, config.test_dataloader.dataset):
        assert listed(dataset) == [f'tgt/t{number}.jpg' for number in range(3)]
    assert 'dlc-mmseg compare configs/dlc_a2b.py' in said
    assert '--images' not in said


def test_polygons(capsys):
    rasters(code=None)
    boxes = [(5e5, 5e6 - 30, 5e5 + 40, 5e6), (5e5 + 40, 5e6 - 64, 5e5 + 80, 5e6 - 10)]
    write_polygons(Path('geo/landuse.gpkg'), boxes, landuse=['tree', 'house'], owner=['x', 'y'])
    config, said = ready(capsys, '--tile_size', '64', places=RASTERS)
    assert "2 polygons, classes from the attribute 'landuse', no class outside of them" in said
    assert config.train_dataloader.dataset.source.metainfo.classes == ('house', 'tree')
    config, _ = ready(
        capsys, '--tile_size', '64', '--background', 'ground', '--overwrite', '--out_dir', 'o', places=RASTERS
    )
    assert config.train_dataloader.dataset.source.metainfo.classes == ('ground', 'house', 'tree')


def test_folders_of_rasters_with_polygons_between_them(capsys):
    for number in range(2):
        rasterio = pytest.importorskip('rasterio')
        transform = rasterio.transform.from_origin(5e5 + 48 * number, 5e6, 0.5, 0.5)
        save(f'src/s{number}.tif', scene(number, (96, 96))[0], crs=UTM, transform=transform)
        save(f'tgt/t{number}.tif', scene(9 + number, (96, 96))[0], **place())
    write_polygons(Path('src/houses.geojson'), [(5e5 + 30, 5e6 - 30, 5e5 + 60, 5e6 - 10)], height=[4])
    config, said = ready(capsys, '--tile_size', '64', '--cut', 'always')
    assert config.train_dataloader.dataset.source.metainfo.classes == ('background', 'houses')
    assert "1 polygon, one class, 'background' outside of them" in said
    assert 'dlc-mmseg predict configs/dlc_a2b.py work_dirs/dlc_a2b/iter_1000.pth tgt --out maps' in said


def test_pictures_need_no_rasterio(capsys, monkeypatch):
    folders()
    monkeypatch.setitem(sys.modules, 'rasterio', None)
    ready(capsys)


def test_other_pixel_sizes_are_warned_of_and_resampled(capsys):
    rasters(0.25, 0.5)
    _, said = ready(capsys, '--tile_size', '64', places=RASTERS)
    assert 'warning: pixels are of 0.25 m in the source and 0.5 m in the target' in said
    assert '--resample' in said
    _, said = ready(capsys, '--tile_size', '64', '--resample', '--out_dir', 'o', '--overwrite', places=RASTERS)
    assert 'warning' not in said
    with Image.open('o/a2b/source/img/a_0_0_64_64.tif') as image:
        assert image.size == (64, 64)
    assert sorted(path.name for path in Path('o/a2b/source/img').glob('*.tif')) == [
        'a_0_0_64_64.tif',
        'a_16_0_80_64.tif',
    ]


def test_pixel_sizes_of_pictures_are_told(capsys):
    folders()
    sizes = ['--source_pixel_size', '0.1', '--target_pixel_size', '0.2']
    _, said = ready(capsys, *sizes)
    assert 'warning: pixels are of 0.1 m in the source and 0.2 m in the target' in said
    _, said = ready(capsys, *sizes, '--resample', '--overwrite')
    assert 'source images are cut into tiles of 512 pixels in data/a2b/source, as they are resampled' in said
    with Image.open('data/a2b/source/lbl/s0.tif') as image:
        assert image.size == (32, 32)


def test_bands_and_types(capsys):
    pixels, truth = scene(0, (64, 64))
    deep = np.concatenate([pixels, pixels[..., :1]], 2).astype(np.uint16) * 11
    for number in range(2):
        save(f'src/img/s{number}.tif', deep, **place())
        save(f'src/lbl/s{number}.tif', truth, **place())
        save(f'tgt/t{number}.tif', deep[..., :3], **place())
    config, said = ready(capsys)
    assert 'source has 4 bands, target 3: the first 3 of each' in said
    assert config.train_dataloader.dataset.source.pipeline[0].bands == [1, 2, 3]
    assert '4 bands of uint16' in said
    assert config.model.strong_augmentation.value_range == 2100
    config, said = ready(capsys, '--source_bands', '1', '4', '--target_bands', '2', '3', '--overwrite')
    assert config.model.segmentor.backbone.in_channels == 2


def test_every_command_to_go_on_is_one_line_that_a_shell_takes(capsys):
    folders()
    Path('src').rename("a user's data (ü)")
    _, said = ready(capsys, places=("a user's data (ü)", 'tgt'))
    lines = said.split('To go on:\n')[1].splitlines()
    assert all(line.startswith('#') for line in lines[::2])
    commands = [shlex.split(line) for line in lines[1::2]]
    assert [words[0] for words in commands] == ['mim', 'mim', 'mim', 'dlc-mmseg', 'dlc-mmseg']
    for words in commands:
        configs = [word for word in words if word.startswith('configs/')]
        assert all(Path(word).is_file() for word in configs)


def test_a_second_call_leaves_everything_as_it_is(capsys):
    rasters()
    ready(capsys, '--tile_size', '64', places=RASTERS)
    stamps = {path: path.stat().st_mtime_ns for path in Path().rglob('*') if path.is_file()}
    _, said = ready(capsys, '--tile_size', '64', places=RASTERS)
    assert 'configs/dlc_a2b.py: there already' in said
    assert 'tiles there already' in said
    assert {path: path.stat().st_mtime_ns for path in Path().rglob('*') if path.is_file()} == stamps


def refused(capsys, *arguments, **more):
    assert init(*arguments, **more) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith('dlc-mmseg init')]
    assert len(error) == 1
    return error[0]


@pytest.mark.parametrize(('network', 'mean'), [('small', 'auto'), ('resnet18', [123.675, 116.28, 103.53])])
def test_pretrained_networks_keep_the_mean_they_were_trained_with(capsys, network, mean):
    folders()
    config, said = ready(capsys, '--network', network)
    assert config.model.data_preprocessor.mean == mean
    assert ('keeps those that its network was trained with' in said) == (mean != 'auto')


@pytest.mark.parametrize(('iterations', 'interval'), [(40, 2), (400, 25), (1000, 50)])
def test_short_runs_log_often_enough_to_be_followed(capsys, iterations, interval):
    folders()
    config, _ = ready(capsys, '--iterations', str(iterations))
    assert config.default_hooks.logger.interval == interval


def test_refusals_leave_nothing(capsys):
    folders()
    save('src/old_labels/s0.png', scene(0)[1])
    error = refused(capsys)
    assert 'name it with --source_labels' in error
    assert init('--source_labels', 'lbl') == 0
    text = Path('configs/dlc_a2b.py').read_text()
    Path('configs/dlc_a2b.py').write_text('# mine')
    assert 'is there with other content' in refused(capsys, '--source_labels', 'lbl')
    assert Path('configs/dlc_a2b.py').read_text() == '# mine'
    assert init('--source_labels', 'lbl', '--overwrite') == 0
    assert Path('configs/dlc_a2b.py').read_text() == text


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--classes', 'a', 'b'], '--classes: names 2 classes, src/lbl holds 0, 1, 2'),
        (['--iterations', '3'], '--iterations 3: is too small'),
        (
            ['--network', 'huge'],
            "dlc_a2b.py: the network of presets is 'huge'",
        ),
        (['--name', 'a/b'], '--name a/b: is no name'),
        (['--resample'], 'give it with --source_pixel_size'),
        (['--source_bands', '1', '2', '--target_bands', '1'], 'source has 2 bands, target 1'),
        (['--source_labels', 'tgt'], 'label was compressed with loss (JPEG)'),
    ],
)
def test_faults_are_told_in_one_line(capsys, arguments, message):
    folders()
    assert message in refused(capsys, *arguments)
    assert not Path('configs').exists()


def test_without_a_terminal_nothing_waits_for_an_answer(capsys, monkeypatch):
    folders()
    save('src/old_labels/s0.png', scene(0)[1])
    monkeypatch.setattr(sys, 'stdin', io.StringIO('1\n'))
    assert cli.main(['init', 'src', 'tgt', '--workers', '1']) == 2
    assert '--source_labels' in capsys.readouterr().err


def test_target_labels_of_another_coding_are_left_out_or_named(capsys):
    folders()
    for number in range(3):
        save(f'tgt/lbl/t{number}.png', CODES[scene(10 + number)[1]] + 1)
    config, said = ready(capsys)
    assert 'target labels: left out, since they are not coded as those of the source' in said
    assert '--target_classes' in said
    assert config.val_dataloader is None
    named = ['--classes', 'a', 'b', 'c', '--target_classes', 'a=1', 'b=41', 'c=201', '--overwrite']
    config, said = ready(capsys, *named)
    assert config.val_dataloader.dataset.label_map == {'a': 1, 'b': 41, 'c': 201}


def test_labels_compressed_with_loss_are_refused_for_what_they_are(capsys):
    folders()
    for number in range(3):
        Image.open(f'src/lbl/s{number}.png').convert('RGB').point(lambda value: value * 90).save(
            f'src/lbl/s{number}.jpg', quality=40
        )
        Path(f'src/lbl/s{number}.png').unlink()
    assert 'compressed with loss (JPEG)' in refused(capsys)


def drone(shared_data, tmp_path):
    """Two sites as folders: codes 40, 80, .. in the source, no labels in the target."""
    sites = shared_data / 'drone_mini'
    names = sorted(path.stem for path in (sites / '1d4f/img').iterdir())[:8]
    for name in names:
        with Image.open(sites / '1d4f/img' / f'{name}.jpg') as image:
            save(f'site_a/images/{name}.jpg', np.asarray(image))
        with Image.open(sites / '1d4f/lbl' / f'{name}.png') as image:
            label = np.asarray(image)
        save(f'site_a/labels/{name}.png', np.where(label == 255, 0, label * 40 + 40).astype(np.uint8))
    for path in sorted((sites / 'ec09/img').iterdir())[:4]:
        with Image.open(path) as image:
            save(f'site_b/{path.name}', np.asarray(image))
    return names


@pytest.mark.slow
def test_drone_images_with_raw_codes(shared_data, tmp_path, capsys):
    drone(shared_data, tmp_path)
    classes = ['building=40', 'clutter=80', 'vegetation=120', 'ground=160']
    config, _ = ready(capsys, '--classes', *classes, '--ignored', '0', places=('site_a', 'site_b'))
    assert config.train_dataloader.dataset.source.label_map == {
        'building': 40,
        'clutter': 80,
        'vegetation': 120,
        'ground': 160,
        'ignored': 0,
    }
    train(config)


@pytest.mark.slow
def test_a_mosaic_of_drone_images(shared_data, tmp_path, capsys):
    names = drone(shared_data, tmp_path)

    def mosaic(pattern):
        tiles = [np.asarray(Image.open(pattern.format(name))) for name in names]
        return np.concatenate([np.concatenate(tiles[:4], 1), np.concatenate(tiles[4:], 1)], 0)

    save('geo/site_a.tif', mosaic('site_a/images/{}.jpg'), **place(0.1))
    save('geo/site_a_labels.tif', mosaic('site_a/labels/{}.png'), nodata=0, **place(0.1))
    save('geo_b/site_b.tif', mosaic('site_a/images/{}.jpg')[::-1], **place(0.15))
    config, said = ready(capsys, '--resample', '--tile_size', '256', places=('geo/site_a.tif', 'geo_b/site_b.tif'))
    assert 'no class: 0 (--ignored)' in said
    assert len(config.train_dataloader.dataset.source.metainfo.classes) == 4
    train(config)
