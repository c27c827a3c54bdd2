"""A wrapped model in MMSegmentation's own inference tools."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toy
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


def build(**changes):
    torch.manual_seed(0)
    model = MODELS.build(toy.dlc(**changes))
    model.init_weights()
    return model.eval()


@pytest.mark.parametrize('kind', ['DLCSegmentor', 'MeanTeacherSegmentor'])
def test_init_model_and_inference_model(tmp_path, kind):
    without = {} if kind == 'DLCSegmentor' else dict.fromkeys(('transition', 'volume_loss', 'convexity_loss'))
    config = {key: value for key, value in toy.dlc(type=kind).items() if key not in without}
    model = MODELS.build(config)
    model.init_weights()
    checkpoint = tmp_path / 'iter_1.pth'
    meta = {'dataset_meta': {'classes': ('a', 'b', 'c'), 'palette': [[0, 0, 0], [9, 9, 9], [200, 0, 0]]}}
    torch.save({'state_dict': model.state_dict(), 'meta': meta}, checkpoint)
    pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}, {'type': 'PackSegInputs'}]
    loaded = init_model(Config({'model': config, 'test_pipeline': pipeline}), str(checkpoint), device='cpu')
    assert loaded.dataset_meta['classes'] == ('a', 'b', 'c')
    image = np.random.default_rng(0).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    found = inference_model(loaded, image).seg_logits.data
    data = {'inputs': [torch.from_numpy(image).permute(2, 0, 1)], 'data_samples': [SegDataSample()]}
    data['data_samples'][0].set_metainfo({'img_shape': (16, 24), 'ori_shape': (16, 24)})
    torch.testing.assert_close(found, model.eval().test_step(data)[0].seg_logits.data)


def test_arguments_of_init_model_that_would_mean_something_are_refused():
    with pytest.raises(ValueError, match='init_cfg or load_from'):
        build(pretrained='weights.pth')


@pytest.mark.parametrize('predict_with', ['student', 'teacher'])
def test_flips_are_averaged(predict_with):
    model = build(predict_with=predict_with)
    image = torch.randint(0, 255, (3, 16, 24), dtype=torch.uint8)
    data = {'inputs': [[image], [image.flip(2)]], 'data_samples': []}
    for flip in (False, True):
        meta = {'img_shape': (16, 24), 'ori_shape': (16, 24), 'flip': flip, 'flip_direction': 'horizontal'}
        meta['img_path'] = 'tile.png'
        data['data_samples'].append([SegDataSample(metainfo=meta)])
    with torch.no_grad():
        (merged,) = SegTTAModel(module=model).test_step(data)
        network = model.inference_network
        views = [model.data_preprocessor({'inputs': [view]})['inputs'] for view in (image, image.flip(2))]
        metas = [{'img_shape': (16, 24)}]
        logits = network.encode_decode(views[0], metas), network.encode_decode(views[1], metas).flip(3)
    probs = sum(part.softmax(dim=1) for part in logits)
    assert torch.equal(merged.pred_sem_seg.data, probs.argmax(dim=1))
