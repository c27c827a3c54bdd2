"""A run continued by MMEngine's Runner sees the draws that the uninterrupted run sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module
from tiny_domains import dataset_config
from torch import Tensor

import dlc_mmseg.datasets  # noqa: F401, registers the dataset and the sampler


class _Recorder(BaseModel):
    """Remembers what it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[Any] = []

    def forward(self, mode: str, **domains: dict[str, Any]) -> dict[str, Tensor]:
        self.seen.append([torch.stack(domains[name]['inputs']).tolist() for name in ('source', 'target')])
        return {'loss': self.weight**2}

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        losses = self.forward('loss', **data)
        optim_wrapper.update_params(losses['loss'])
        return losses


def _train(work_dir: Path, configs: list[dict[str, Any]], iterations: int, workers: int, resume: bool) -> list[Any]:
    runner = Runner(
        model=_Recorder(),
        work_dir=str(work_dir),
        train_dataloader={
            'batch_size': 2,
            'num_workers': workers,
            'persistent_workers': workers > 0,
            'sampler': {'type': 'PairedDomainSampler'},
            'dataset': {
                'type': 'PairedDomainDataset',
                'source': configs[0],
                'target': configs[1],
                'rare_class_sampling': {'temperature': 0.1, 'min_pixels': 5, 'min_crop_ratio': 1.0},
            },
        },
        train_cfg={'by_epoch': False, 'max_iters': iterations},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 0.1}},
        default_hooks={'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 1}},
        randomness={'seed': 11},
        default_scope='mmseg',
        experiment_name=f'{work_dir.name}_{iterations}_{workers}_{resume}',
        resume=resume,
        log_level='ERROR',
    )
    runner.train()
    if runner.train_dataloader._iterator is not None:  # or the workers are waited for when garbage is collected
        runner.train_dataloader._iterator._shutdown_workers()
    return runner.model.seen


@pytest.mark.parametrize('workers', [0, 2])
def test_resumed_run_sees_the_same_draws(
    tmp_path: Path, source: Path, target: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, 'collect_env', dict)  # asks compilers for their version: slow
    configs = [dataset_config(source, augment=True), dataset_config(target, labelled=False, augment=True)]
    whole = _train(tmp_path / 'whole', configs, 5, 0, resume=False)
    assert len(whole) == 5
    assert len({str(batch) for batch in whole}) == 5
    assert _train(tmp_path / 'cut', configs, 2, workers, resume=False) == whole[:2]
    assert _train(tmp_path / 'cut', configs, 5, workers, resume=True)[-3:] == whole[2:]
