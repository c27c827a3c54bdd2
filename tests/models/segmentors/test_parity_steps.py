"""Three training steps of the original MIC (DACS + masked consistency), recorded, repeated by the baseline."""

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


@pytest.fixture(scope='module')
def record(parity_dir):
    return torch.load(parity_dir / 'mic_steps_daformer.pt', weights_only=True)


def build(record, **changes):
    """The baseline with every random draw switched off, at the recorded start."""
    start = convert_network(record['student_init'])
    assert not start.unknown
    config = read_segmentor(start.state)
    config['backbone']['drop_path_rate'] = 0.0
    config['decode_head']['dropout_ratio'] = 0.0
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
    return model.train()


def batch_of(step):
    batch = step['batch']
    size = tuple(batch['img'].shape[-2:])
    samples = {'source': [], 'target': []}
    for labels in batch['gt_semantic_seg']:
        samples['source'].append(SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo={'img_shape': size}))
        samples['target'].append(SegDataSample(metainfo={'img_shape': size}))
    return {'inputs': {'source': batch['img'], 'target': batch['target_img']}, 'data_samples': samples}


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
        self.valid = step['batch']['valid_pseudo_mask'][:, 0]
        self.model.iteration.fill_(step['local_iter'])
        return self.model.train_step(batch_of(step), wrapper)


def test_losses_and_weights_of_three_steps(record, monkeypatch):
    model = build(record)
    recorded = Recorded(model, monkeypatch)
    rate = record['optimizer']['lr'] if isinstance(record['optimizer'], dict) else 0.002
    wrapper = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=rate))
    for step in record['steps']:
        log = recorded.step(step, wrapper, monkeypatch)
        for ours, theirs in (
            ('source.decode.loss_ce', 'decode.loss_seg'),
            ('mix.decode.loss_forward_corrected', 'mix.decode.loss_seg'),
            ('masked.decode.loss_forward_corrected', 'masked.decode.loss_seg'),
        ):
            assert float(log[ours]) == pytest.approx(step['log_vars'][theirs], abs=1e-5), (step['local_iter'], ours)
    for name in ('student', 'teacher'):
        expected = whole_tensors(record, f'{name}_final')
        state = getattr(model, name).state_dict()
        assert expected
        for key, value in expected.items():
            torch.testing.assert_close(state[key], value, atol=1e-4, rtol=0, msg=f'{name} {key}')


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
    pseudo = model.label_target(step['batch']['target_img']).pseudo
    assert (pseudo.labels == step['pseudo_label']).float().mean() > 0.9999
    torch.testing.assert_close(pseudo.weight, step['pseudo_weight'], atol=1e-3, rtol=0)


@pytest.mark.parametrize('change', [{'quality_weight': 'image'}, {'teacher_batch_statistics': False}])
def test_the_compatible_settings_matter(record, monkeypatch, change):
    model = build(record, **change)
    recorded = Recorded(model, monkeypatch)
    wrapper = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.002))
    log = recorded.step(record['steps'][0], wrapper, monkeypatch)
    theirs = record['steps'][0]['log_vars']['masked.decode.loss_seg']
    assert float(log['masked.decode.loss_forward_corrected']) != pytest.approx(theirs, abs=1e-4)
