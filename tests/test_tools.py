"""MMSegmentation's own tools take the configs and checkpoints of this package as they are."""

from __future__ import annotations

import json
import runpy
import sys
from copy import deepcopy
from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS, TRANSFORMS
from PIL import Image
from test_configs import CONFIGS
from tiny_run import run_config, write_pair

from dlc_mmseg.datasets.browsable_pair import BrowsablePair

TOOLS = Path(mmseg.__path__[0], '.mim', 'tools')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A config and a checkpoint of its model, as after training."""
    root = tmp_path_factory.mktemp('tools')
    write_pair(root)
    config = run_config(root)
    config.visualizer.name = 'visualizer'
    config.train_dataloader.dataset.rare_class_sampling = None
    config.dump(root / 'config.py')
    model = MODELS.build(deepcopy(config.model.to_dict()))
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, root / 'trained.pth')
    return root


def run(monkeypatch, folder: Path, tool: str, *arguments: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    runpy.run_path(str(TOOLS / tool), run_name='__main__')


@pytest.mark.parametrize('options', [[], ['--tta']])
def test_test(folder, monkeypatch, options):
    work_dir = f'tested{len(options)}'
    run(monkeypatch, folder, 'test.py', 'config.py', 'trained.pth', '--work-dir', work_dir, *options)
    (measured,) = folder.glob(f'{work_dir}/*/*.json')
    assert 'mIoU' in json.loads(measured.read_text(encoding='utf-8'))


def test_browse_dataset_shows_both_domains(folder, monkeypatch):
    arguments = ['--output-dir', 'seen', '--not-show', '--cfg-options', 'visualizer.alpha=0.0']  # labels unseen
    run(monkeypatch, folder, 'analysis_tools/browse_dataset.py', 'config.py', *arguments)
    pictures = sorted((folder / 'seen').iterdir())
    assert len(pictures) == 4
    with Image.open(pictures[0]) as picture:
        assert picture.size == (32, 16)


@pytest.mark.parametrize(
    ('tool', 'arguments'),
    [
        ('analysis_tools/get_flops.py', ['--shape', '32', '32']),
        ('deployment/pytorch2torchscript.py', ['--shape', '32', '32', '--output-file', 'traced.pt']),
        ('misc/print_config.py', []),
    ],
)
def test_tools_that_take_a_config(folder, monkeypatch, tool, arguments):
    run(monkeypatch, folder, tool, 'config.py', *arguments)


def test_the_traced_model_is_the_one_that_predicts(folder, monkeypatch):
    arguments = ['--checkpoint', 'trained.pth', '--shape', '32', '48', '--output-file', 'own.pt']
    run(monkeypatch, folder, 'deployment/pytorch2torchscript.py', 'config.py', *arguments)
    model = MODELS.build(run_config(folder).model.to_dict()).eval()
    model.load_state_dict(torch.load(folder / 'trained.pth', weights_only=True)['state_dict'])
    images = torch.rand(1, 3, 32, 48)
    traced = torch.jit.load(folder / 'own.pt')(images)
    expected = model.inference_network.encode_decode(images, [{'img_shape': (32, 48)}])
    torch.testing.assert_close(traced, expected, rtol=1e-4, atol=1e-4)


def test_publish_model(folder, monkeypatch):
    run(monkeypatch, folder, 'misc/publish_model.py', 'trained.pth', 'published.pth')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_brings_test_time_augmentation(path):
    config = Config.fromfile(path)
    assert config.tta_model.type == 'SegTTAModel'
    read, augmented = config.tta_pipeline
    assert read == config.test_dataloader.dataset.pipeline[0]
    flips, *rest = augmented.transforms
    assert [step for (step,) in rest] == config.test_dataloader.dataset.pipeline[1:]
    assert len(flips) == 3
    TRANSFORMS.build(augmented)


def test_a_pair_has_a_picture_only_when_it_is_asked_for(folder):
    dataset = DATASETS.build(run_config(folder).train_dataloader.dataset.to_dict())
    item = dataset[0]
    assert isinstance(item, BrowsablePair)
    assert sorted(item) == ['source', 'target']
    assert item['inputs'].shape == (3, 16, 32)
    assert torch.equal(item['inputs'][..., 16:], item['target']['inputs'])
    labels = item['data_samples'].gt_sem_seg.data
    assert torch.equal(labels[..., :16].long(), item['source']['data_samples'].gt_sem_seg.data.long())
    assert (labels[..., 16:] == 255).all()
    with pytest.raises(KeyError):
        item['other']


@pytest.mark.parametrize('size', [(8, 12), (20, 4)])
def test_halves_of_other_sizes_and_types(size):
    from mmseg.structures import SegDataSample

    def half(shape, kind):
        return {
            'inputs': torch.rand(3, *shape).to(kind),
            'data_samples': SegDataSample(metainfo={'img_path': 'a/b.tif'}),
        }

    item = BrowsablePair(source=half((10, 10), torch.float32), target=half(size, torch.float64))
    assert item['inputs'].shape == (3, max(10, size[0]), 10 + size[1])
    assert item['inputs'].dtype == torch.uint8
    assert int(item['inputs'].max()) == 255


def test_what_tools_pass_is_not_taken_for_settings():
    config = run_config(Path('nowhere')).model.to_dict()
    with pytest.raises(ValueError, match=r'give it as segmentor\.test_cfg'):
        MODELS.build({**config, 'test_cfg': {'mode': 'slide'}})
    with pytest.raises(ValueError, match=r'give the settings as segmentor\.decode_head'):
        MODELS.build({**config, 'decode_head': {'type': 'FCNHead', 'num_classes': 9}})
