"""Shared fixtures: paths of optional real data, skipped with a message where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / 'shared'


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f'{folder} is not there: real-data test left out')
    return folder


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Folder of small real tiles."""
    return _folder('data')


@pytest.fixture(scope='session')
def parity_dir() -> Path:
    """Folder of tensors made by the original implementation."""
    return _folder('parity')


@pytest.fixture(autouse=True, scope='session')
def _mmseg_scope() -> None:
    """What the Runner does: run `custom_imports`, look names of configs up in MMSegmentation's registries."""
    from mmengine.registry import init_default_scope

    import dlc_mmseg.safe_files  # noqa: F401

    init_default_scope('mmseg')
