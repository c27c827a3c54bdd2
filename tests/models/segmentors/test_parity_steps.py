"""Three training steps of the original MIC (DACS + masked consistency), recorded, repeated by the baseline.

The steps are repeated in float64, so that what is left between the two is the rounding of the record (float32) and
not that of the processor at hand.
"""

from __future__ import annotations

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from dlc_mmseg.deploy.legacy.architecture import read_segmentor
from dlc_mmseg.deploy.legacy.keys import convert_network
from dlc_mmseg.functional.windows import Box
from dlc_mmseg.models.segmentors import hrda_encoder_decoder


def load(parity_dir, name):
    return torch.load(parity_dir / f'mic_steps_{name}.pt', weights_only=True)


@pytest.fixture(scope='module')
def record(parity_dir):
    return load(parity_dir, 'daformer')


def build(record, **changes):
    """The baseline with every random draw switched off, at the recorded start."""
    start = convert_network(record['student_init'])
    assert not start.unknown
    config = read_segmentor(start.state)
    config['backbone']['drop_path_rate'] = 0.0
    decode_head = config['decode_head']
    for head in (decode_head, decode_head.get('head'), decode_head.get('scale_attention')):
        if head is not None and head['type'] != 'HRDAHead':
            head['dropout_ratio'] = 0.0
    if config['type'] == 'HRDAEncoderDecoder':
        config.update(crop_size=record['config']['hr_crop_size'], scales=sorted(record['config']['scales']))
    config['test_cfg'] = {'mode': 'whole'}
    model = MODELS.build(
        ConfigDict(
            {
                'type': 'MeanTeacherSegmentor',
                'segmentor': config,
                'data_preprocessor': {'type': 'PairedDomainDataPreprocessor', 'mean': [0.0], 'std': [1.0]},
                'class_mix': {'type': 'ClassMix'},
                'masked_consistency': {'type': 'MaskedImageConsistency', 'block_size': 16, 'update_statistics': True},
                'teacher_momentum': 1 - record['uda']['alpha'],
                'teacher_batch_statistics': True,
                'pseudo_label_threshold': record['uda']['pseudo_threshold'],
                'quality_weight': 'batch',
                **changes,
            }
        )
    )
    model.student.load_state_dict(start.state)
    buffers = {**record['student_init'], **record['teacher_init_buffers']}
    model.teacher.load_state_dict(convert_network(buffers).state)
    return model.double().train()


def batch_of(step):
    batch = step['batch']
    size = tuple(batch['img'].shape[-2:])
    samples = {'source': [], 'target': []}
    for labels in batch['gt_semantic_seg']:
        samples['source'].append(SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo={'img_shape': size}))
        samples['target'].append(SegDataSample(metainfo={'img_shape': size}))
    inputs = {'source': batch['img'].double(), 'target': batch['target_img'].double()}
    return {'inputs': inputs, 'data_samples': samples}


class Recorded:
    """Hands prepared batches and recorded draws to the model."""

    def __init__(self, model, monkeypatch):
        self.model = model
        self.valid = None
        monkeypatch.setattr(model.data_preprocessor, 'forward', lambda data, training: data)
        label_target = model.label_target

        def with_recorded_padding(images, data_samples=None):
            output = label_target(images, data_samples)
            return output._replace(pseudo=output.pseudo._replace(weight=output.pseudo.weight * self.valid))

        monkeypatch.setattr(model, 'label_target', with_recorded_padding)

    def step(self, step, wrapper, monkeypatch):
        pasted, kept = step['mix_masks'][:, 0].bool(), step['block_mask'].bool()
        monkeypatch.setattr(self.model.class_mix, 'draw', lambda labels, num_classes: pasted)
        monkeypatch.setattr(self.model.masked_consistency, 'draw', lambda images: kept)
        boxes = iter(step.get('hr_crop_boxes_source_mix_masked', ()))

        def recorded_box(*_, **__):
            top, bottom, left, right = next(boxes)
            return Box(top, left, bottom, right)

        monkeypatch.setattr(hrda_encoder_decoder, 'random_box', recorded_box)
        self.valid = step['batch']['valid_pseudo_mask'][:, 0]
        self.model.iteration.fill_(step['local_iter'])
        return self.model.train_step(batch_of(step), wrapper)


@pytest.mark.parametrize('name', ['daformer', pytest.param('hrda', marks=pytest.mark.slow)])
def test_losses_weights_and_statistics_of_three_steps(name, parity_dir, monkeypatch):
    record = load(parity_dir, name)
    model = build(record)
    recorded = Recorded(model, monkeypatch)
    wrapper = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=record['optimizer']['lr']))
    rounding = record['fp32_vs_fp64']  # how far the original is from its own run in float64
    for step in record['steps']:
        log = recorded.step(step, wrapper, monkeypatch)
        recorded_losses = {key: value for key, value in step['log_vars'].items() if 'loss' in key}
        assert len(recorded_losses) == (6 if name == 'hrda' else 3)
        for key, value in recorded_losses.items():
            assert float(log[our_name(key)].detach()) == pytest.approx(value, abs=2 * rounding['log_vars']), key
    for network in ('student', 'teacher'):
        expected = whole_tensors(record, f'{network}_final')
        state = getattr(model, network).state_dict()
        assert {'running_mean', 'running_var'} <= {key.split('.')[-1] for key in expected}
        for key, value in expected.items():
            limit = {'atol': 2 * rounding[f'{network}_final'], 'rtol': 0, 'check_dtype': False}
            torch.testing.assert_close(state[key], value, **limit, msg=f'{network} {key}')


def our_name(key):
    """``mix.decode.hr.loss_seg`` is ``mix.detail.loss_forward_corrected``; without a branch it is the source's."""
    *branch, _, _ = key.replace('.hr.', '.').split('.')
    head, loss = 'detail' if '.hr.' in key else 'decode', 'loss_forward_corrected' if branch else 'loss_ce'
    return '.'.join([*(branch or ['source']), head, loss])


def whole_tensors(record, field):
    """Recorded tensors under their new names; halves of a fused projection are left out."""
    recorded = dict(record[field])
    for key in list(recorded):
        if '.attn.q.' in key and key.replace('.attn.q.', '.attn.kv.') not in recorded:
            del recorded[key]
    return convert_network(recorded).state


def test_pseudo_labels_of_the_first_step(record, monkeypatch):
    model = build(record)
    recorded = Recorded(model, monkeypatch)
    step = record['steps'][0]
    recorded.valid = step['batch']['valid_pseudo_mask'][:, 0]
    model.follow_student()
    pseudo = model.label_target(step['batch']['target_img'].double()).pseudo
    assert torch.equal(pseudo.labels, step['pseudo_label'])
    torch.testing.assert_close(pseudo.weight, step['pseudo_weight'].double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize('change', [{'quality_weight': 'image'}, {'teacher_batch_statistics': False}])
def test_the_compatible_settings_matter(record, monkeypatch, change):
    model = build(record, **change)
    recorded = Recorded(model, monkeypatch)
    wrapper = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.002))
    log = recorded.step(record['steps'][0], wrapper, monkeypatch)
    theirs = record['steps'][0]['log_vars']['masked.decode.loss_seg']
    assert float(log['masked.decode.loss_forward_corrected']) != pytest.approx(theirs, abs=1e-4)
