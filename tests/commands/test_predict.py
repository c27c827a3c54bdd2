"""`dlc-mmseg predict` as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import toy
from cloud_optimised import faults_of_cog
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image
from rasterio.transform import from_origin
from rasters import UTM, write_raster
from tiny_domains import CLASSES, PALETTE
from tiny_run import run_config

from dlc_mmseg import cli
from dlc_mmseg.deploy.maps import prediction
from dlc_mmseg.deploy.maps.window_classifier import WindowClassifier

TRANSFORM = from_origin(400_000, 5_500_000, 0.5, 0.5)
WINDOWS = ['--window', '64', '--overlap', '16']


@pytest.fixture
def model(tmp_path, monkeypatch) -> tuple[str, str]:
    """Config and checkpoint of a toy network; its directory is the current one."""
    monkeypatch.chdir(tmp_path)
    init_default_scope('mmseg')
    torch.manual_seed(0)
    config = run_config(Path('data'))
    config.default_hooks.visualization = {'type': 'SegVisualizationHook'}
    built = MODELS.build(config.model)
    with torch.no_grad():  # an untrained network sees little: enlarge its view
        for name, value in built.named_parameters():
            value.mul_(4 if name.endswith('conv_seg.weight') else 1)
    meta = {'dataset_meta': {'classes': CLASSES, 'palette': PALETTE}}
    torch.save({'state_dict': built.state_dict(), 'meta': meta}, 'model.pth')
    Config(config.to_dict()).dump('config.py')
    return 'config.py', 'model.pth'


def scene(height: int = 150, width: int = 200, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(1, 255, (-(-height // 10), -(-width // 10), 3)).astype('uint8')
    return coarse.repeat(10, 0).repeat(10, 1)[:height, :width]


def georeferenced(path: str, image: np.ndarray | None = None, **options: Any) -> np.ndarray:
    image = scene() if image is None else image
    write_raster(Path(path), image, crs=UTM, transform=TRANSFORM, photometric='RGB', **options)
    return image


def predict(*arguments: str) -> int:
    return cli.main(['predict', *arguments])


def read(path: str) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read().squeeze()


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding='utf-8') as file:
        return list(csv.DictReader(file))


def test_a_map_keeps_what_its_image_says_of_the_world(model, capsys):
    image = scene()
    image[:30, :40] = 0
    georeferenced('images/scene.tif', image, nodata=0)
    assert predict(*model, 'images', '--out', 'maps', *WINDOWS) == 0
    with rasterio.open('maps/scene.tif') as file:
        assert (file.crs.to_string(), file.transform, file.shape) == (UTM, TRANSFORM, (150, 200))
        assert (file.nodata, file.dtypes) == (255, ('uint8',))
        assert [file.colormap(1)[index][:3] for index in range(3)] == [tuple(colour) for colour in PALETTE]
        assert json.loads(file.tags()['CLASSES']) == list(CLASSES)
        labels = file.read(1)
    np.testing.assert_array_equal(labels == 255, (image == 0).all(-1))
    assert set(np.unique(labels)) <= {0, 1, 2, 255}
    assert len(np.unique(labels)) > 2
    assert faults_of_cog('maps/scene.tif') == []
    assert '<Category>ground</Category>' in Path('maps/scene.tif.aux.xml').read_text()
    rows = table('maps/scene_areas.csv')
    assert [int(row['pixels']) for row in rows] == [int((labels == index).sum()) for index in range(3)]
    assert [float(row['square_metres']) for row in rows] == [int(row['pixels']) / 4 for row in rows]
    assert sum(float(row['share']) for row in rows) == pytest.approx(1, abs=1e-5)
    assert 'maps/scene.tif: ' in capsys.readouterr().out
    assert sorted(path.name for path in Path('maps').iterdir()) == ['scene.tif', 'scene.tif.aux.xml', 'scene_areas.csv']


def test_windows_give_what_a_single_pass_gives(model):
    image = georeferenced('scene.tif', scene(128, 160))
    assert predict(*model, 'scene.tif', '--out', 'one.tif', '--window', '512', '--probabilities', 'float32') == 0
    assert predict(*model, 'scene.tif', '--out', 'many.tif', *WINDOWS, '--probabilities', 'float32') == 0
    config = Config.fromfile('config.py')
    network = MODELS.build(config.model).eval()
    network.load_state_dict(torch.load('model.pth')['state_dict'])
    pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)
    sizes = dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), (128, 160))
    with torch.no_grad():
        sample = network.test_step({'inputs': [pixels], 'data_samples': [toy.SegDataSample(metainfo=sizes)]})[0]
    expected = sample.seg_logits.data.softmax(0).numpy()
    np.testing.assert_allclose(read('one_probabilities.tif'), expected, atol=1e-5)
    np.testing.assert_array_equal(read('one.tif'), expected.argmax(0))
    many = read('many_probabilities.tif')
    assert np.abs(many - expected).max() < 0.2  # the border of windows sees less
    assert np.abs(many - expected).mean() < 0.01
    assert (read('many.tif') == expected.argmax(0)).mean() > 0.95


def test_everything_that_may_be_asked_for(model):
    image = scene()
    image[:30, :40] = 0
    georeferenced('scene.tif', image, nodata=0)
    options = ['--probabilities', '--confidence', '--polygons', '--average', 'd4', '--amp', '--batch-size', '3']
    assert predict(*model, 'scene.tif', '--out', 'maps', *WINDOWS, *options) == 0
    probabilities, confidence, labels = (
        read(f'maps/scene{name}.tif') for name in ('_probabilities', '_confidence', '')
    )
    valid = labels < 255
    assert (probabilities[:, ~valid] == 255).all()
    assert (confidence[~valid] == 255).all()
    np.testing.assert_allclose(probabilities[:, valid].astype(int).sum(0), 254, atol=2)
    np.testing.assert_array_equal(probabilities.max(0)[valid], confidence[valid])
    at_label = np.take_along_axis(probabilities, labels[None] % 3, 0)[0]
    assert (at_label[valid] == confidence[valid]).all()
    with rasterio.open('maps/scene_probabilities.tif') as file:
        assert file.descriptions == CLASSES
        assert file.scales == pytest.approx((1 / 254,) * 3)
        assert (file.nodata, file.crs.to_string()) == (255, UTM)
    assert faults_of_cog('maps/scene_probabilities.tif') == []
    assert json.loads(Path('maps/scene.geojson').read_text())['features']


def test_images_of_other_kinds_lie_where_they_lay(model):
    Image.fromarray(scene(70, 90)).save('plain.png')
    Image.fromarray(scene(70, 90)).save('world.jpg')
    Path('world.jgw').write_text('0.5\n0\n0\n-0.5\n400000.25\n5499999.75\n')
    assert predict(*model, 'plain.png', 'world.jpg', '--out', 'maps', *WINDOWS) == 0
    with rasterio.open('maps/plain.tif') as file:
        assert file.shape == (70, 90)
        assert file.crs is None
        assert file.transform.is_identity
    with rasterio.open('maps/world.tif') as file:
        assert file.crs is None
        assert file.transform == TRANSFORM
    assert Path('maps/world.tfw').read_text() == Path('world.jgw').read_text()
    assert not Path('maps/plain.tfw').exists()
    rows = table('maps/plain_areas.csv')
    assert {row['square_metres'] for row in rows} == {''}


def test_equal_names_and_companions(model):
    for name in ('north/a', 'south/a', 'zeta', 'alpha'):
        georeferenced(f'images/{name}.tif', scene(64, 64, seed=len(name)))
    Path('images/alpha.tfw').write_text('0.5\n0\n0\n-0.5\n1\n1\n')
    Path('images/class_statistics.json').write_text('{}')
    assert predict(*model, 'images', '--out', 'maps', *WINDOWS) == 0
    found = sorted(str(path.relative_to('maps')) for path in Path('maps').rglob('*.tif'))
    assert found == ['alpha.tif', 'north/a.tif', 'south/a.tif', 'zeta.tif']


def test_a_failed_file_does_not_end_the_others(model, capsys):
    for name in ('a', 'c'):
        georeferenced(f'images/{name}.tif', scene(64, 64))
    Path('images/b.tif').write_bytes(b'II*\0 broken')
    assert predict(*model, 'images', '--out', 'maps', *WINDOWS) == 2
    printed = capsys.readouterr()
    assert 'failed: images/b.tif' in printed.err
    assert '1 of 3 images could not be mapped' in printed.err
    assert sorted(path.name for path in Path('maps').glob('*.tif')) == ['a.tif', 'c.tif']
    assert not [path for path in Path('maps').iterdir() if path.name.startswith('.')]


def test_a_killed_run_goes_on_and_what_is_there_is_kept(model, monkeypatch, capsys):
    georeferenced('images/a.tif', scene(64, 64))
    georeferenced('images/b.tif', scene(300, 90))
    assert predict(*model, 'images/b.tif', '--out', 'whole', *WINDOWS) == 0
    windows = []
    original = WindowClassifier.__call__

    def counting(self, images, nodata):
        windows.append(len(images))
        if len(windows) == 9:
            raise KeyboardInterrupt
        return original(self, images, nodata)

    monkeypatch.setattr(prediction, '_SECONDS_BETWEEN_NOTES', 0)
    monkeypatch.setattr(WindowClassifier, '__call__', counting)
    assert predict(*model, 'images', '--out', 'maps', *WINDOWS) == 130
    assert not Path('maps/b.tif').exists()
    capsys.readouterr()
    assert predict(*model, 'images', '--out', 'maps', *WINDOWS) == 0
    assert 'maps/a.tif: there already' in capsys.readouterr().out
    total = 1 + 2 * 6  # windows of a and b
    assert total < len(windows) < total + 9  # b went on where it was, but for the windows that overlap
    np.testing.assert_array_equal(read('maps/b.tif'), read('whole/b.tif'))
    assert not [path for path in Path('maps').iterdir() if path.name.startswith('.')]
    assert predict(*model, 'images', '--out', 'maps', *WINDOWS, '--average', 'flips') == 0  # other settings: made anew
    assert 'there already' not in capsys.readouterr().out


def test_a_map_that_is_there_follows_options_that_change_what_lies_beside_it(model, capsys):
    georeferenced('scene.tif', scene(64, 64))
    assert predict(*model, 'scene.tif', '--out', 'maps', *WINDOWS, '--probabilities') == 0
    assert predict(*model, 'scene.tif', '--out', 'maps', *WINDOWS, '--probabilities', 'float32') == 0
    assert read('maps/scene_probabilities.tif').dtype == np.float32
    capsys.readouterr()
    assert predict(*model, 'scene.tif', '--out', 'maps', *WINDOWS, '--probabilities', 'float32') == 0
    assert 'there already' in capsys.readouterr().out


@pytest.mark.parametrize('kind', ['geojson', 'gpkg'])
def test_outlines_that_are_there_follow_the_smallest_area(model, kind):
    georeferenced('scene.tif', scene(64, 64))
    outlines, counts = Path(f'maps/scene.{kind}'), []
    for area in ('0', '0', '20', '0'):
        before = outlines.stat().st_mtime_ns if outlines.is_file() else 0
        command = ('scene.tif', '--out', 'maps', *WINDOWS, '--polygons', kind, '--min_area', area)
        assert predict(*model, *command) == 0
        counts.append((number_of_outlines(outlines), outlines.stat().st_mtime_ns != before))
    (everything, _), same, fewer, again = counts
    assert same == (everything, False)
    assert fewer == (fewer[0], True)
    assert fewer[0] < everything
    assert again == (everything, True)


def number_of_outlines(path: Path) -> int:
    import pyogrio

    return int(pyogrio.read_info(path)['features'])


def test_a_map_that_is_there_follows_how_the_config_reads_images(model, capsys):
    georeferenced('scene.tif', scene(64, 64))
    config = Config.fromfile('config.py')
    steps = [{'type': 'LoadRasterFromFile', 'nodata': None}, {'type': 'PackRasterInputs'}]
    config.test_dataloader = {'dataset': {'type': 'BaseSegDataset', 'pipeline': steps}}
    config.dump('config.py')
    assert predict(*model, 'scene.tif', '--out', 'maps', *WINDOWS) == 0
    steps[0] = {'type': 'LoadRasterFromFile', 'bands': [3, 2, 1]}
    config.test_dataloader = {'dataset': {'type': 'BaseSegDataset', 'pipeline': steps}}
    config.dump('config.py')
    capsys.readouterr()
    assert predict(*model, 'scene.tif', '--out', 'maps', *WINDOWS) == 0
    assert 'there already' not in capsys.readouterr().out


def test_processes_of_torchrun_share_the_images(model, monkeypatch):
    for name in 'abc':
        georeferenced(f'images/{name}.tif', scene(64, 64))
    monkeypatch.setenv('WORLD_SIZE', '2')
    found = []
    for rank in range(2):
        monkeypatch.setenv('RANK', str(rank))
        assert predict(*model, 'images', '--out', f'maps{rank}', *WINDOWS) == 0
        found += sorted(path.name for path in Path(f'maps{rank}').glob('*.tif'))
    assert sorted(found) == ['a.tif', 'b.tif', 'c.tif']


def test_a_plain_segmentor_of_mmseg_does_as_well(model):
    segmentor = toy.segmentor()
    segmentor.data_preprocessor = {'type': 'SegDataPreProcessor', 'mean': [127.5] * 3, 'std': [60.0] * 3}
    torch.save(MODELS.build(segmentor).state_dict(), 'plain.pth')
    Config({'default_scope': 'mmseg', 'model': segmentor.to_dict()}).dump('plain.py')
    georeferenced('scene.tif')
    assert predict('plain.py', 'plain.pth', 'scene.tif', '--out', 'map.tif', *WINDOWS) == 0
    with rasterio.open('map.tif') as file:
        assert json.loads(file.tags()['CLASSES']) == ['class 0', 'class 1', 'class 2']


def test_memory_does_not_change_the_map(model, monkeypatch):
    from dlc_mmseg.deploy.maps import blending

    georeferenced('scene.tif', scene(130, 700))
    assert predict(*model, 'scene.tif', '--out', 'wide.tif', *WINDOWS) == 0
    monkeypatch.setattr(blending, '_MEBIBYTE', 2**10 * 64)
    assert predict(*model, 'scene.tif', '--out', 'narrow.tif', *WINDOWS, '--memory', '20') == 0
    np.testing.assert_array_equal(read('narrow.tif'), read('wide.tif'))


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['absent.tif', '--out', 'maps'], ['absent.tif', 'does not exist']),
        (['scene.tif', '--out', 'maps', '--memory', '1'], ['--memory', 'at least']),
        (['scene.tif', '--out', 'maps', '--bands', '1', '2'], ['2 channels', '--bands']),
        (['scene.tif', '--out', 'maps', '--device', 'nowhere'], ['--device', 'nowhere']),
        (['scene.tif', '--out', '.'], ['would overwrite']),
        (['scene.tif', '--out', 'maps', '--cfg-options', 'model.unknown=1'], ['does not build', 'unknown']),
        (['scene.tif', '--out', 'maps', '--window', '64', '--overlap', '63'], ['--overlap', 'at most 32']),
    ],
)
def test_what_cannot_be_is_told_in_one_line(model, capsys, arguments, words):
    georeferenced('scene.tif', scene(1500, 1500) if '--memory' in arguments else None)
    assert predict(*model, *arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(('failed', 'dlc-mmseg'))]
    assert all(word in ' '.join(lines) for word in words), lines
    assert len(lines) <= 2
