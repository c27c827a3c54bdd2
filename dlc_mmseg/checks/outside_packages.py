"""Parts of a model that another package brings, MMPreTrain above all."""

from __future__ import annotations

import importlib.util

_INSTALLED_BY = {'mmpretrain': 'pip install "dlc-mmseg[mmpretrain]"'}


def missing_package(kind: str) -> tuple[str, str] | None:
    """Which package a type belongs to, if it is not installed.

    Args:
        kind: Type as a config names it, ``scope.Name``.

    Returns:
        What is wrong and the remedy; None if the type names no scope, or one that is installed.
    """
    scope, dot, _ = kind.partition('.')
    if not dot or not scope.isidentifier() or importlib.util.find_spec(scope) is not None:
        return None
    return f'{kind!r} is a part of {scope}, which is not installed', _INSTALLED_BY.get(scope, f'pip install {scope}')
