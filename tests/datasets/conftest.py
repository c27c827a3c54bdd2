"""Fixtures of the dataset tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_domains import write_domain

from dlc_mmseg.datasets import class_statistics, label_loading, rare_class_sampling, source_labels


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything the datasets log."""
    seen: list[str] = []
    for module in (class_statistics, label_loading, rare_class_sampling, source_labels):
        monkeypatch.setattr(module, 'print_log', lambda text, **_: seen.append(text))
    return seen


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four labelled tiles: class 1 in all but the last, class 2 in the third."""
    return write_domain(tmp_path / 'source', [{1: 60}, {1: 100}, {1: 30, 2: 20}, {0: 256}])


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Three tiles without labels."""
    return write_domain(tmp_path / 'target', 3)
