"""Kinds of bad input: how each is injected into a valid pair of domains, and what the user must be told."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

Inject = Callable[[Path, Config], None]
DATA, SOURCE = 'train_dataloader.dataset', 'train_dataloader.dataset.source'
TARGET, VALIDATION = 'train_dataloader.dataset.target', 'val_dataloader.dataset'


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: What it is.
        inject: Puts it into the folder and the config of a valid run.
        where: Beginning of the line: file below the folder (with a slash) or field.
        words: What the line must say.
        severity: How bad it is.
        full: Whether only the full check sees it.
        alone: Whether it is the only problem found.
    """

    name: str
    inject: Inject
    where: str
    words: tuple[str, ...]
    severity: str = 'error'
    full: bool = False
    alone: bool = True


FAULTS: list[Fault] = []


def fault(
    name: str, where: str, *words: str, severity: str = 'error', full: bool = False, alone: bool = True
) -> Callable[[Inject], Inject]:
    def add(inject: Inject) -> Inject:
        FAULTS.append(Fault(name, inject, where, words, severity, full, alone))
        return inject

    return add


def field_fault(
    name: str, path: str, value: Any, *words: str, where: str = '', severity: str = 'error', alone: bool = True
) -> None:
    """A fault that is one value of the config."""

    def inject(root: Path, config: Config) -> None:
        config.merge_from_dict({path: value(root) if callable(value) else deepcopy(value)})  # which takes out _delete_

    FAULTS.append(Fault(name, inject, where or path, words, severity, alone=alone))


def png(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def noise(seed: int, *shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype=dtype)


def shape_labels(size: int = 16) -> np.ndarray:
    labels = np.zeros((size, size), np.uint8)
    labels[: size // 2, :8], labels[: size // 2, 8:] = 1, 2
    return labels


def validation_tested(config: Config) -> dict[str, Any]:
    """A config whose test set is still the validation set where a fault was put into the latter."""
    content: dict[str, Any] = deepcopy(config.to_dict())
    validation, test = (content.get(f'{part}_dataloader') for part in ('val', 'test'))
    if validation and test and isinstance(validation.get('dataset'), dict):
        test['dataset'] = deepcopy(validation['dataset'])
    return content


def each(folder: Path) -> list[Path]:
    return sorted(folder.glob('*.png'))
