"""Endless sampler whose draws are numbered, so that a resumed run continues with the very next one."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from itertools import count
from typing import NamedTuple

from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """Index into `PairedDomainDataset` that fixes everything random about the item.

    Attributes:
        seed: Seed of the run.
        ordinal: Number of the draw, counted over all processes from the start of training.
    """

    seed: int
    ordinal: int


@DATA_SAMPLERS.register_module()
class PairedDomainSampler(Sampler[Draw]):
    """Yields numbered draws without end; for iteration-based training.

    The n-th draw of rank r among W ranks has the ordinal ``n * W + r``: ranks never share a draw, and a run
    continued on another number of ranks with the same total batch size goes on with the draws not yet seen.

    Resuming: MMEngine's iteration loop moves the sampler on by itself, OneDL's by `skip`, OpenMMLab's by loading
    and dropping the batches; both arrive at the same draw. Not so with OneDL's ``fast_forward_on_resume=True``,
    which starts over at the first draw. If the config gives no seed, the resumed run has drawn a new one before
    it reads that of the checkpoint: call `set_seed` with the latter before the first batch.

    Args:
        dataset: The `PairedDomainDataset` drawn from; its length is reported as this sampler's.
        seed: Seed of the run, not negative; the Runner passes its own. None draws one and shares it among ranks.

    Raises:
        ValueError: If the seed is negative.
    """

    def __init__(self, dataset: Sized, seed: int | None = None) -> None:
        self.dataset = dataset
        self.rank, self.world_size = get_dist_info()
        self.seed = 0
        self._skipped = 0
        self.set_seed(int(sync_random_seed()) if seed is None else seed)

    def set_seed(self, seed: int) -> None:
        """Replace the seed; draws already handed out keep theirs.

        Args:
            seed: Seed of the run, equal on all ranks.

        Raises:
            ValueError: If the seed is negative.
        """
        if seed < 0:
            raise ValueError(f'seed is {seed}: give an integer of at least 0')
        self.seed = int(seed)

    def skip(self, num_samples: int) -> None:
        """Start the next iteration at an absolute position.

        Args:
            num_samples: Draws that this rank has used since the start of training: iterations times batch size.

        Raises:
            ValueError: If the number is negative.
        """
        if num_samples < 0:
            raise ValueError(f'num_samples is {num_samples}: give the draws used so far, at least 0')
        self._skipped = int(num_samples)

    def __iter__(self) -> Iterator[Draw]:
        """Draws of this rank from the position set by `skip` on."""
        for ordinal in count(self.rank + self._skipped * self.world_size, self.world_size):
            yield Draw(self.seed, ordinal)

    def __len__(self) -> int:
        """Length of the dataset; the sampler itself never ends."""
        return len(self.dataset)
