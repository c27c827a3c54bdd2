"""Converted students against the figures of the original implementation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import legacy_network as legacy
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from parity import legacy_state_module

from dlc_mmseg.deploy.legacy.checkpoint_files import convert_checkpoint
from dlc_mmseg.deploy.legacy.keys import convert_network


def load(parity_dir: Path, name: str, folder: Path) -> tuple[dict[str, Any], Any, Any, dict[str, torch.Tensor]]:
    """Figures, the module that makes inputs, the conversion, and the legacy state, by way of files."""
    module = legacy_state_module(parity_dir)
    source, destination = folder / 'legacy.pth', folder / 'converted.pth'
    state = module.load_state(str(parity_dir / f'{name}.npz'))
    torch.save({'state_dict': state, 'meta': {'mmseg_version': '0.16.0', 'iter': 10000}}, source)
    conversion = convert_checkpoint(source, destination)
    written = torch.load(destination, weights_only=True)['state_dict']
    assert list(written) == list(conversion.state)
    conversion.state = written
    with np.load(parity_dir / f'{name}.npz') as data:
        return dict(data), module, conversion, state


def student(conversion: Any, test_cfg: dict[str, Any]) -> torch.nn.Module:
    model = MODELS.build(ConfigDict(conversion.architecture, test_cfg=test_cfg)).eval()
    prefix = 'student.' if conversion.kind == 'adaptation' else ''
    weights = {key: value for key, value in conversion.state.items() if key.startswith(prefix)}
    model.load_state_dict({key.removeprefix(prefix): value for key, value in weights.items()}, strict=True)
    return model


@torch.no_grad()
def check(figures: dict[str, Any], module: Any, conversion: Any, case: str) -> None:
    mode = str(figures[f'{case}/mode'])
    model = student(conversion, {'mode': mode, 'crop_size': (512, 512), 'stride': (256, 256)})
    inputs = module.make_input(int(figures[f'{case}/input_seed']), figures[f'{case}/shape'].tolist())
    size = tuple(inputs.shape[-2:])
    logits = model.inference(inputs, [{'ori_shape': size, 'img_shape': size, 'pad_shape': size}])
    theirs = torch.from_numpy(figures[f'{case}/logits'])
    assert (logits[..., ::8, ::8] - theirs).abs().max().item() < 2e-5  # the project's bound is 1e-4
    if case == str(figures['feat/case']):
        step = int(figures['feat_step'])
        for level, features in enumerate(model.backbone(inputs)):
            theirs = torch.from_numpy(figures[f'feat/{level}'])
            assert (features[..., ::step, ::step] - theirs).abs().max().item() < 1e-5


@pytest.fixture(scope='module')
def daformer(parity_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    return load(parity_dir, 'daformer_mitb0', tmp_path_factory.mktemp('daformer'))


@pytest.fixture(scope='module')
def hrda(parity_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ...]:
    return load(parity_dir, 'hrda_mitb0_uda', tmp_path_factory.mktemp('hrda'))


@pytest.mark.slow
@pytest.mark.parametrize('case', ['sq_whole', 'rect_slide'])
def test_daformer(daformer: tuple[Any, ...], case: str) -> None:
    figures, module, conversion, _ = daformer
    check(figures, module, conversion, case)


@pytest.mark.slow
def test_hrda(hrda: tuple[Any, ...]) -> None:
    figures, module, conversion, _ = hrda
    assert conversion.description == 'adaptation checkpoint, MiT-B0, HRDA with class-wise attention, 6 classes'
    check(figures, module, conversion, 'sq_whole')


def test_the_teacher_is_the_teacher(hrda: tuple[Any, ...]) -> None:
    _, _, conversion, state = hrda
    own = {key[10:]: value for key, value in state.items() if key.startswith('ema_model.')}
    expected = convert_network(own).state
    written = {key[8:]: value for key, value in conversion.state.items() if key.startswith('teacher.')}
    assert set(written) == set(expected)
    assert all(torch.equal(written[key], value) for key, value in expected.items())
    name = 'backbone.layers.0.0.projection.weight'
    assert not torch.equal(conversion.state[f'student.{name}'], conversion.state[f'teacher.{name}'])
    assert {key for key in state if key.startswith('imnet_model.')} == set(conversion.dropped)


@torch.no_grad()
def test_the_reference_of_the_other_tests_is_the_original(daformer: tuple[Any, ...]) -> None:
    figures, module, _, state = daformer
    inputs = module.make_input(int(figures['sq_whole/input_seed']), figures['sq_whole/shape'].tolist())
    difference = legacy.daformer(state, inputs)[..., ::8, ::8] - torch.from_numpy(figures['sq_whole/logits'])
    assert difference.abs().max().item() < 2e-5
