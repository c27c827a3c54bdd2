"""Labelled images of the target domain, which training never learns from: to measure on and to look at."""

from __future__ import annotations

from typing import Any

from mmengine.runner import Runner
from mmseg.registry import DATASETS

from dlc_mmseg.engine.iteration_randomness import kept_randomness
from dlc_mmseg.errors import UserError


def labelled_target(runner: Runner, config: dict[str, Any] | None, hook: str) -> Any:
    """The dataset that a hook measures on.

    Args:
        runner: The runner.
        config: The hook's ``labelled_target``, a dataset with a test pipeline; None takes the run's validation set.
        hook: The hook's name, for messages.

    Returns:
        The dataset; None where there is none.

    Raises:
        UserError: If the config gives no labels.
    """
    if config is None:
        return None if runner.val_loop is None else runner.val_loop.dataloader.dataset
    dataset = DATASETS.build(config)
    with kept_randomness():
        labelled = len(dataset) > 0 and 'gt_sem_seg' in dataset[0]['data_samples']
    if not labelled:
        raise UserError(
            f'{hook}.labelled_target',
            'gives no labelled images',
            'set data_prefix.seg_map_path and LoadAnnotations in its pipeline, or labelled_target=None to take the '
            'validation set',
        )
    return dataset
