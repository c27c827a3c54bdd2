from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import legacy_network as legacy
import pytest
import torch
from mmseg.registry import MODELS

from dlc_mmseg.cli import main
from dlc_mmseg.deploy.legacy.target_model import build_model

CLASSES = 5
SHAPES = legacy.segmentor_shapes(classes=CLASSES)
ROOT = Path(__file__).resolve().parents[3]

CONFIG = """
custom_imports = dict(imports=['dlc_mmseg'], allow_failed_imports=False)
widths = [8, 16, 40, 64]
head = dict(type='DAFormerHead', in_channels=widths, channels=8, embed_dims=8, num_classes={classes})
model = dict(
    type='DLCSegmentor',
    segmentor=dict(
        type='HRDAEncoderDecoder',
        crop_size=(64, 64),
        backbone=dict(
            type='LegacyMixVisionTransformer',
            embed_dims=8,
            num_layers=(1, 1, 1, 1),
            init_cfg=dict(type='Pretrained', checkpoint='https://nowhere.invalid/mit.pth')),
        decode_head=dict(type='HRDAHead', head=head, scale_attention=dict(fusion='conv', **head))),
    transition=dict(type='NoiseTransitionMatrix'))
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    path = tmp_path / 'release.pth'
    state = legacy.uda_state(SHAPES, classes=CLASSES)
    torch.save({'state_dict': state, 'meta': {'iter': 10000}, 'optimizer': {'param_groups': []}}, path)
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / 'config.py'
    path.write_text(CONFIG.format(classes=CLASSES))
    return path


def test_a_release_fills_its_config(
    release: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    destination = tmp_path / 'out' / 'converted.pth'
    assert main(['convert-checkpoint', str(release), str(destination), '--config', str(config)]) == 0
    content = torch.load(destination, weights_only=True)
    build_model(config).load_state_dict(content['state_dict'], strict=True)
    assert content['state_dict']['iteration'].item() == 10000
    assert content['meta']['iter'] == 10000
    assert content['meta']['converted_from'] == 'release.pth'
    assert 'ntm_correct.convex_matrix.weight' in content['meta']['dropped']
    output = capsys.readouterr().out
    assert 'HRDA with class-wise attention, 5 classes' in output
    assert 'dropped: ntm_correct.convex_matrix.weight, ntm_correct.convex_matrix.identity' in output
    assert 'imnet_model.* (' in output
    assert 'start afresh: iteration' in output


def test_verbose_lists_every_key(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['convert-checkpoint', str(release), str(tmp_path / 'x.pth'), '--verbose']) == 0
    output = capsys.readouterr().out
    for key in torch.load(release, weights_only=True)['state_dict']:
        assert key in output


def test_a_converted_encoder_loads_through_init_cfg(tmp_path: Path) -> None:
    source, destination = tmp_path / 'mit.pth', tmp_path / 'mit_mmseg.pth'
    state = legacy.random_state(legacy.backbone_shapes(8, (1, 1, 1, 1)))
    torch.save({**state, 'head.weight': torch.zeros(10, 64), 'head.bias': torch.zeros(10)}, source)
    assert main(['convert-checkpoint', str(source), str(destination)]) == 0
    backbone = MODELS.build(
        {
            'type': 'LegacyMixVisionTransformer',
            'embed_dims': 8,
            'num_layers': (1, 1, 1, 1),
            'init_cfg': {'type': 'Pretrained', 'checkpoint': str(destination)},
        }
    )
    backbone.init_weights()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            backbone.eval()(images)[-1], legacy.encoder(state, images, '')[-1], rtol=0, atol=2e-5
        )


def test_what_does_not_fit_is_one_line_and_writes_nothing(
    release: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG.format(classes=CLASSES + 1))
    destination = tmp_path / 'converted.pth'
    assert main(['convert-checkpoint', str(release), str(destination), '--config', str(config)]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert 'release.pth' in error
    assert 'conv_seg.weight' in error
    assert not destination.exists()


@pytest.mark.parametrize(
    'text', ['model = dict(type="Nonsense")', 'x = 1', 'def broken(', 'raise RuntimeError("no")', None]
)
def test_a_broken_config_is_one_line(
    release: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    if text is None:
        config.unlink()
    else:
        config.write_text(text)
    assert main(['convert-checkpoint', str(release), str(tmp_path / 'x.pth'), '--config', str(config)]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert 'config.py' in error


def test_the_script_is_the_command() -> None:
    script = ROOT / 'tools' / 'convert_checkpoint.py'
    output = subprocess.run([sys.executable, str(script), '--help'], capture_output=True, text=True, check=True)
    assert 'examples:' in output.stdout
    assert '--config' in output.stdout
