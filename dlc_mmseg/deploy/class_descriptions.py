"""Names and colours of the classes that a model knows."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmseg.registry import DATASETS

from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file


class Classes(NamedTuple):
    """The classes of a model.

    Attributes:
        names: In the order of the output channels.
        palette: RGB of each; None if unknown.
    """

    names: tuple[str, ...]
    palette: list[list[int]] | None


def described_classes(config: Config, checkpoint: str | Path, count: int) -> Classes:
    """Names and colours from the checkpoint, or else from the config's test data.

    Args:
        config: A whole config.
        checkpoint: Checkpoint of its model.
        count: Number of classes that the model has.

    Returns:
        The classes; ``class 0`` and so on, without colours, where nothing that is known fits.
    """
    meta = load_checkpoint_file(checkpoint, mmap=True).get('meta') or {}
    described = dict(meta.get('dataset_meta') or {})
    if not described.get('classes'):
        dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
        kind = DATASETS.get(dataset['type']) if isinstance(dataset.get('type'), str) else dataset.get('type')
        described = {**(getattr(kind, 'METAINFO', None) or {}), **(dataset.get('metainfo') or {})}
    names = tuple(str(name) for name in described.get('classes') or ())
    if len(names) != count:
        return Classes(tuple(f'class {index}' for index in range(count)), None)
    palette = [[int(part) for part in colour] for colour in described.get('palette') or ()]
    return Classes(names, palette if len(palette) == count else None)
