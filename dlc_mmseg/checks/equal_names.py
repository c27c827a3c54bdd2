"""Images that share a file name, where something is written under it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dlc_mmseg.checks.domain_files import image_paths
from dlc_mmseg.checks.report import Report
from dlc_mmseg.datasets.image_names import equal_names

REMEDY = 'write maps with `dlc-mmseg predict`, which keeps the folders, or rename the images'


def check_equal_names(config: Mapping[str, Any], report: Report) -> None:
    """Find runs that write maps or pictures of several images to one file, or under one name.

    MMSegmentation's metrics write ``{stem}.png`` into one folder, whatever folder the image is from (``--out`` of its
    test tool), so that later maps overwrite earlier ones.

    Args:
        config: The whole config.
        report: Receives one warning for each evaluator concerned.
    """
    for part in ('val', 'test'):
        dataset = (config.get(f'{part}_dataloader') or {}).get('dataset')
        for where in _writers(config, part):
            if not dataset:
                break
            shared = equal_names(image_paths(f'{part}_dataloader.dataset', dataset))
            if shared is not None:
                report.warning(where, shared.what, REMEDY)


def _writers(config: Mapping[str, Any], part: str) -> Iterator[str]:
    """Fields of the evaluators that write a map for each image."""
    evaluators = config.get(f'{part}_evaluator') or ()
    single = isinstance(evaluators, Mapping)
    for index, evaluator in enumerate([evaluators] if single else evaluators):
        if isinstance(evaluator, Mapping) and evaluator.get('output_dir'):
            yield f'{part}_evaluator.output_dir' if single else f'{part}_evaluator.{index}.output_dir'
