"""MMEngine's Runner in two processes (gloo): one run, other samples, and resuming on one or two."""

from __future__ import annotations

import pytest
import torch
from adaptation_run import ITERATIONS, differing, forked, in_group, runner_of, write_domains
from mmengine.runner import runner as runner_module
from torch.nn.modules.batchnorm import _BatchNorm

from dlc_mmseg.datasets import PairedDomainDataset

WRAPPER = {'model_wrapper_cfg': {'type': 'BranchwiseDistributedDataParallel'}}


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(runner_module, 'collect_env', dict)


def in_two(folder, work_dir, group, **changes):
    """Run in two processes; final state and draws of each."""

    def member(_rank):
        draws = []
        get = PairedDomainDataset.__getitem__
        PairedDomainDataset.__getitem__ = lambda self, draw: draws.append(draw.ordinal) or get(self, draw)
        runner = runner_of(folder, work_dir, launcher='pytorch', cfg=WRAPPER, **changes)
        runner.train()
        return runner.model.module.state_dict(), draws, torch.rand(3).tolist()

    return in_group(member, group)


@pytest.mark.slow
def test_two_processes_and_resuming_on_another_number(tmp_path):
    folder, cut, whole = write_domains(tmp_path / 'domains'), tmp_path / 'cut', tmp_path / 'whole'
    (ours, drawn, random), (theirs, other, other_random) = in_two(folder, cut, tmp_path / 'a', iterations=4)
    assert differing(ours, theirs) == []
    assert sorted(drawn + other) == list(range(2 * 2 * 4))
    assert random != other_random
    saved = torch.load(cut / 'iter_4.pth', weights_only=False)
    assert differing(saved['state_dict'], ours) == []

    (resumed, *_), _ = in_two(folder, cut, tmp_path / 'b', resume=True)
    (uninterrupted, *_), _ = in_two(folder, whole, tmp_path / 'c')
    assert differing(resumed, uninterrupted) == []

    (cut / 'last_checkpoint').write_text(str(cut / 'iter_6.pth'))
    assert forked(lambda: runner_of(folder, cut, iterations=ITERATIONS, resume=True).train()) == [0]


def test_batch_norms_are_synchronised_by_choice(tmp_path):
    """Torch synchronises them on GPUs only: here they are what is to be synchronised, under the names of before."""
    folder = write_domains(tmp_path / 'domains')

    def member(_rank):
        networks = []
        for number, sync_bn in enumerate((None, 'torch')):
            settings = {**WRAPPER, 'sync_bn': sync_bn}
            runner = runner_of(folder, tmp_path / f'work{number}', launcher='pytorch', cfg=settings)
            networks.append(runner.model.module.train())
        kinds = [
            {type(part).__name__ for part in half.modules() if isinstance(part, _BatchNorm)}
            for network in networks
            for half in (network.student, network.teacher)
        ]
        return kinds, [sorted(network.state_dict()) for network in networks]

    for kinds, names in in_group(member, tmp_path / 'group'):
        assert kinds == [{'BatchNorm2d'}] * 2 + [{'SyncBatchNorm'}] * 2
        assert names[0] == names[1]
