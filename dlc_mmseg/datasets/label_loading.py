"""Steps of a pipeline that load labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcv.transforms import LoadAnnotations
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmseg.registry import TRANSFORMS

from dlc_mmseg.datasets.nesting import leaf_datasets


def loads_labels(step: Mapping[str, Any] | Any) -> bool:
    """Whether a step of a pipeline loads labels.

    Args:
        step: Config of a transform, or a built one.

    Returns:
        True for `LoadAnnotations`, classes derived from it, and other annotation loaders of MMSegmentation, which
        all are named ``Load...Annotation...``.
    """
    kind = step.get('type') if isinstance(step, Mapping) else type(step)
    name = str(kind if isinstance(kind, str) else getattr(kind, '__name__', '')).rpartition('.')[2]
    if name.startswith('Load') and 'Annotation' in name:
        return True
    if isinstance(kind, str):
        kind = TRANSFORMS.get(kind)
    return isinstance(kind, type) and issubclass(kind, LoadAnnotations)


def drop_label_loading(dataset: Any) -> None:
    """Take steps that load labels out of a dataset's pipeline: labels of the target are never read in training.

    Args:
        dataset: A built dataset; changed in place.
    """
    for leaf in leaf_datasets(dataset):
        kept = [step for step in leaf.pipeline.transforms if not loads_labels(step)]
        if len(kept) < len(leaf.pipeline.transforms):
            names = ', '.join(type(step).__name__ for step in leaf.pipeline.transforms if loads_labels(step))
            leaf.pipeline = Compose(kept)
            print_log(f'{names} left out of the target pipeline: its labels stay unseen', logger='current')
