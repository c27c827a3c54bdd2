"""Block masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc_mmseg.functional import block_mask


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    block=st.integers(1, 17),
    ratio=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_blocks_are_uniform_and_cut_at_the_border(height, width, block, ratio, seed):
    generator = torch.Generator().manual_seed(seed)
    mask = block_mask(2, height, width, block_size=block, mask_ratio=ratio, generator=generator)
    assert mask.shape == (2, 1, height, width)
    assert mask.dtype == torch.bool
    for top in range(0, height, block):
        for left in range(0, width, block):
            cells = mask[:, 0, top : top + block, left : left + block].flatten(1)
            assert (cells == cells[:, :1]).all()


@pytest.mark.parametrize('ratio', [0.2, 0.7])
def test_hidden_share_is_the_ratio(ratio):
    generator = torch.Generator().manual_seed(0)
    mask = block_mask(64, 64, 64, block_size=4, mask_ratio=ratio, generator=generator)
    assert 1 - mask.float().mean().item() == pytest.approx(ratio, abs=0.01)
    assert not torch.equal(mask[0], mask[1])


def test_extreme_ratios():
    assert block_mask(2, 8, 8, block_size=3, mask_ratio=0).all()
    assert not block_mask(2, 8, 8, block_size=3, mask_ratio=1).any()


def test_generator_and_device():
    masks = [
        block_mask(1, 32, 32, block_size=4, mask_ratio=0.5, generator=torch.Generator().manual_seed(seed), device='cpu')
        for seed in (1, 1, 2)
    ]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize(
    ('change', 'match'),
    [({'mask_ratio': 1.1}, 'mask_ratio'), ({'mask_ratio': -0.1}, 'mask_ratio'), ({'block_size': 0}, 'block_size')],
)
def test_wrong_arguments_are_named(change, match):
    with pytest.raises(ValueError, match=match):
        block_mask(1, 8, 8, **{'block_size': 4, 'mask_ratio': 0.5, **change})
