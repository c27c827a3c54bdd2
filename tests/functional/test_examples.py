"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import dlc_mmseg.functional
from dlc_mmseg import windows

MODULES = [
    windows,
    *(
        importlib.import_module(f'{dlc_mmseg.functional.__name__}.{module.name}')
        for module in pkgutil.iter_modules(dlc_mmseg.functional.__path__)
    ),
]
WITH_EXAMPLES = [module for module in MODULES if any(test.examples for test in doctest.DocTestFinder().find(module))]


def test_there_are_examples():
    assert len(WITH_EXAMPLES) >= 6


@pytest.mark.parametrize('module', WITH_EXAMPLES, ids=lambda module: module.__name__)
def test_examples(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
