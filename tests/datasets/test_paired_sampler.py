from __future__ import annotations

from itertools import chain, islice

import pytest
from mmseg.registry import DATA_SAMPLERS

from dlc_mmseg.datasets import paired_sampler
from dlc_mmseg.datasets.paired_sampler import Draw, PairedDomainSampler


def _of_rank(monkeypatch: pytest.MonkeyPatch, rank: int, world: int) -> PairedDomainSampler:
    monkeypatch.setattr(paired_sampler, 'get_dist_info', lambda: (rank, world))
    return PairedDomainSampler(range(10), seed=1)


def test_ranks_share_all_draws_and_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinals = [[draw.ordinal for draw in islice(_of_rank(monkeypatch, rank, 3), 20)] for rank in range(3)]
    assert sorted(chain(*ordinals)) == list(range(60))


@pytest.mark.parametrize('world', [1, 3])
def test_skip_continues_where_an_uninterrupted_run_would(monkeypatch: pytest.MonkeyPatch, world: int) -> None:
    for rank in range(world):
        whole = list(islice(_of_rank(monkeypatch, rank, world), 30))
        resumed = _of_rank(monkeypatch, rank, world)
        resumed.skip(12)
        assert list(islice(resumed, 18)) == whole[12:]
        assert list(islice(resumed, 18)) == whole[12:]  # every iterator starts there


def test_other_number_of_ranks_continues_with_unseen_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, iterations = 8, 5
    seen = set()
    for rank in range(2):
        seen |= set(islice(_of_rank(monkeypatch, rank, 2), iterations * batch // 2))
    for rank in range(4):
        sampler = _of_rank(monkeypatch, rank, 4)
        sampler.skip(iterations * batch // 4)
        seen |= set(islice(sampler, batch // 4))
    assert sorted(draw.ordinal for draw in seen) == list(range((iterations + 1) * batch))


def test_built_from_a_config_with_the_runners_seed() -> None:
    sampler = DATA_SAMPLERS.build({'type': 'PairedDomainSampler'}, default_args={'dataset': range(10), 'seed': 5})
    assert next(iter(sampler)) == Draw(5, 0)
    assert len(sampler) == 10
    sampler.set_seed(6)
    assert next(iter(sampler)) == (6, 0)
    assert PairedDomainSampler(range(10)).seed >= 0


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match='seed is -1'):
        PairedDomainSampler(range(3), seed=-1)
    with pytest.raises(ValueError, match='num_samples is -2'):
        PairedDomainSampler(range(3), seed=1).skip(-2)
