"""Three training steps of the original MIC, repeated with its recorded masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from parity import legacy_tensor, load_recorded_steps, recorded_samples, recorded_student


@pytest.fixture(scope='module')
def record(parity_dir: Path) -> dict[str, Any]:
    return load_recorded_steps(parity_dir)


@pytest.fixture(scope='module')
def run(record: dict[str, Any]) -> dict[str, Any]:
    """The model after the steps, and what it logged on the way."""
    segmentor, weights = recorded_student(record)
    model = MODELS.build(
        {
            'type': 'MeanTeacherSegmentor',
            'segmentor': segmentor,
            'class_mix': {'type': 'ClassMix'},
            'masked_consistency': {'type': 'MaskedImageConsistency', 'mask_ratio': 0.7, 'block_size': 16},
            'teacher_momentum': 0.1,
            'teacher_batch_statistics': True,
            'pseudo_label_threshold': record['uda']['pseudo_threshold'],
            'quality_weight': 'batch',
        }
    )
    model.student.load_state_dict(weights)
    model.teacher.load_state_dict(record['teacher_init_buffers'], strict=False)
    model.train()
    optimizer = torch.optim.SGD(model.student.parameters(), record['optimizer']['lr'])
    optim_wrapper = OptimWrapper(optimizer)
    logs, seen, gradients = [], [], []

    def keep_gradients(*_: object) -> None:
        keys = record['steps'][0]['grads']
        gradients.append({key: legacy_tensor(model.student, key, gradient=True).clone() for key in keys})

    optimizer.register_step_pre_hook(keep_gradients)
    for step in record['steps']:
        batch, valid = step['batch'], step['batch']['valid_pseudo_mask'][:, 0].bool()
        model.iteration.fill_(step['local_iter'])
        model.class_mix.draw = lambda *_, step=step: step['mix_masks'][:, 0].bool()
        model.masked_consistency.draw = lambda _, step=step: step['block_mask']

        def label(images, samples, valid=valid):
            teacher = type(model).label_target(model, images, samples)
            pseudo = teacher.pseudo._replace(weight=teacher.pseudo.weight * valid)
            seen.append(pseudo)
            return teacher._replace(pseudo=pseudo)

        model.label_target = label
        inputs = {'source': batch['img'], 'target': batch['target_img']}
        samples = recorded_samples(batch['gt_semantic_seg'])
        data = {'inputs': inputs, 'data_samples': {'source': samples, 'target': None}}
        logs.append(model.train_step(data, optim_wrapper))
    return {'model': model, 'logs': logs, 'pseudo': seen, 'gradients': gradients[0]}


def test_losses(record: dict[str, Any], run: dict[str, Any]) -> None:
    names = {
        'decode.loss_seg': 'source.decode.loss_seg',
        'mix.decode.loss_seg': 'mix.decode.loss_forward_corrected',
        'masked.decode.loss_seg': 'masked.decode.loss_forward_corrected',
    }
    for step, log in zip(record['steps'], run['logs'], strict=True):
        for theirs, ours in names.items():
            assert log[ours].item() == pytest.approx(step['log_vars'][theirs], abs=1e-5)


def test_pseudo_labels(record: dict[str, Any], run: dict[str, Any]) -> None:
    for step, pseudo in zip(record['steps'], run['pseudo'], strict=True):
        assert torch.equal(pseudo.labels, step['pseudo_label'])
        torch.testing.assert_close(pseudo.weight, step['pseudo_weight'], rtol=0, atol=1e-6)


def test_gradients_of_the_first_step(record: dict[str, Any], run: dict[str, Any]) -> None:
    for key, theirs in record['steps'][0]['grads'].items():
        torch.testing.assert_close(run['gradients'][key], theirs, rtol=0, atol=1e-4, msg=key)


@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_weights_after_the_last_step(record: dict[str, Any], run: dict[str, Any], network: str) -> None:
    for key, theirs in record[f'{network}_final'].items():
        ours = legacy_tensor(getattr(run['model'], network), key)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4, msg=key)
