"""Models built outside the Runner are those that the Runner builds."""

from __future__ import annotations

import torch
import toy
from mmengine.config import Config
from mmseg.registry import MODELS

from dlc_mmseg.deploy.noise.predicting import load_model
from dlc_mmseg.deploy.selection.candidates import load_candidates


def test_a_preprocessor_beside_the_model_is_the_models(tmp_path):
    segmentor, preprocessor = toy.segmentor(), {**toy.preprocessor(), 'bgr_to_rgb': True}
    torch.save(MODELS.build({**segmentor, 'data_preprocessor': preprocessor}).state_dict(), tmp_path / 'model.pth')
    config = Config({'default_scope': 'mmseg', 'model': segmentor, 'data_preprocessor': preprocessor})
    model = load_model(config, tmp_path / 'model.pth')
    (candidate,) = load_candidates(config, tmp_path / 'model.pth', 'predicting')
    for built in (model, candidate.network):
        torch.testing.assert_close(built.data_preprocessor.mean.flatten(), torch.tensor(preprocessor['mean']))
        assert built.data_preprocessor._channel_conversion
    assert 'data_preprocessor' not in config.model  # the caller's config stays
