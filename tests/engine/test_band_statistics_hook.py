"""``mean='auto'``: found when training starts, carried by checkpoints, used by inference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from PIL import Image
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.checks import Options, check_config
from dlc_mmseg.deploy.noise.predicting import load_model
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file


def automatic(root, **changes):
    config = run_config(root, **changes)
    config.model.data_preprocessor.update(mean='auto', std='auto', bgr_to_rgb=True)
    config.default_hooks.band_statistics = {'type': 'BandStatisticsHook'}
    return config


def expected(root) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (RGB) where each domain weighs the same, from the files."""
    domains = [
        np.concatenate(
            [np.asarray(Image.open(path), float).reshape(-1, 3) for path in (root / domain / 'img').iterdir()]
        )
        for domain in ('source', 'target')
    ]
    mean = np.mean([pixels.mean(0) for pixels in domains], axis=0)
    return mean, np.sqrt(np.mean([np.square(pixels - mean).mean(0) for pixels in domains], axis=0))


def test_training_finds_them_and_checkpoints_carry_them(tmp_path):
    write_pair(tmp_path)
    mean, std = expected(tmp_path)
    config = automatic(tmp_path)
    runner = runner_of(config)
    runner.train()
    checkpoint = tmp_path / 'work/iter_2.pth'
    state = load_checkpoint_file(checkpoint)['state_dict']
    np.testing.assert_allclose(state['data_preprocessor.mean'].flatten(), mean, rtol=1e-5)
    np.testing.assert_allclose(state['data_preprocessor.std'].flatten(), std, rtol=1e-5)
    model = load_model(config, checkpoint)  # `mim test` and inference read no training images
    torch.testing.assert_close(model.data_preprocessor.mean, runner.model.data_preprocessor.mean)

    resumed = runner_of(automatic(tmp_path, resume=True, train_cfg={**config.train_cfg, 'max_iters': 3}))
    (tmp_path / 'source/img/t00.png').write_bytes((tmp_path / 'source/img/t01.png').read_bytes())
    resumed.train()
    torch.testing.assert_close(resumed.model.data_preprocessor.mean, runner.model.data_preprocessor.mean)


def test_a_run_without_the_hook_is_told_beforehand(tmp_path):
    write_pair(tmp_path)
    config = automatic(tmp_path)
    del config.default_hooks['band_statistics']
    (problem,) = check_config(config.to_dict(), Options()).problems
    assert problem.where == 'model.data_preprocessor.mean'
    assert 'BandStatisticsHook' in problem.remedy
    config = automatic(tmp_path)
    assert not check_config(config.to_dict(), Options()).problems


def test_one_auto_alone_is_told_beforehand(tmp_path):
    write_pair(tmp_path)
    config = automatic(tmp_path)
    config.model.data_preprocessor.std = [1.0, 1, 1]
    assert any("'auto' for both" in problem.remedy for problem in check_config(config.to_dict(), Options()).problems)
    with pytest.raises(ValueError, match="'auto' for both"):
        MODELS.build(config.model.data_preprocessor)
