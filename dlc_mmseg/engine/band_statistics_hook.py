"""Mean and standard deviation of the training images, for data preprocessors that ask for them."""

from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast_object_list, get_rank
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from dlc_mmseg.datasets.band_statistics import dataset_moments, shared_statistics
from dlc_mmseg.errors import UserError
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.data_preprocessor import PairedDomainDataPreprocessor


@HOOKS.register_module()
class BandStatisticsHook(Hook):
    """Sets ``mean='auto'`` and ``std='auto'`` of the data preprocessor from all training images of both domains.

    Each domain weighs the same, as it does in a batch; pixels without data are left out. Images are read once and
    their statistics kept beside them (``band_statistics.json``), until they change. Checkpoints carry the result: a
    resumed run keeps it, testing needs no images for it. One process reads for all.

    Put it into ``default_hooks``: child configs that set ``custom_hooks`` keep it.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Find and set the statistics, unless the config states them or a resumed run has them.

        Args:
            runner: The runner.

        Raises:
            UserError: If an image cannot be read, or the domains differ in channels.
        """
        preprocessor = unwrapped(runner.model).data_preprocessor
        if not isinstance(preprocessor, PairedDomainDataPreprocessor) or not preprocessor.automatic:
            return
        if preprocessor.knows_statistics and runner._resume:
            return
        outcome: list[Any] = [None]
        if get_rank() == 0:
            try:
                outcome = [training_statistics(runner.train_dataloader.dataset, preprocessor)]
            except UserError as error:
                outcome = [error]
        broadcast_object_list(outcome)
        if isinstance(outcome[0], UserError):
            raise outcome[0]
        preprocessor.set_statistics(*outcome[0])
        mean, std = ([round(value, 4) for value in values] for values in outcome[0])
        print_log(f'data_preprocessor: mean={mean}, std={std} of the training images', logger='current')


def training_statistics(dataset: Any, preprocessor: PairedDomainDataPreprocessor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the images of a training dataset.

    Args:
        dataset: A `PairedDomainDataset`, or one domain.
        preprocessor: Whose order of channels is meant.

    Returns:
        Mean and standard deviation of each channel, in the order after ``bgr_to_rgb``.

    Raises:
        UserError: If an image cannot be read, or the domains differ in channels.
    """
    while hasattr(dataset, 'dataset') and not hasattr(dataset, 'source'):
        dataset = dataset.dataset
    domains = [dataset.source, dataset.target] if hasattr(dataset, 'source') else [dataset]
    mean, std = shared_statistics([dataset_moments(domain) for domain in domains])
    turned = preprocessor._channel_conversion and len(mean) == 3
    return (mean[::-1], std[::-1]) if turned else (mean, std)
