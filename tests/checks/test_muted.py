"""Loggers that are quiet for a while, and all others, which are not."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import pytest
from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from dlc_mmseg.checks.muted import muted
from dlc_mmseg.checks.optimizer import check_optimizer
from dlc_mmseg.checks.report import Report

NAMES = ('talkative', 'talkative.part', 'user')


class Heard(logging.Handler):
    """Keeps what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(f'{record.name} {record.levelname}')


@pytest.fixture
def heard():
    handler = Heard()
    for name in NAMES:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).propagate = False
    yield handler.lines
    for name in NAMES:
        logging.getLogger(name).removeHandler(handler)
        logging.getLogger(name).propagate = True


def speak():
    for name in NAMES:
        logging.getLogger(name).warning('words')
        logging.getLogger(name).error('words')


def test_others_speak_meanwhile_and_all_afterwards(heard):
    everything = [
        f'{name} {level}' for name in ('talkative', 'talkative.part', 'user') for level in ('WARNING', 'ERROR')
    ]
    speak()  # loggers remember which levels are on
    assert heard == everything
    heard.clear()
    with contextlib.suppress(KeyError), muted(logging.getLogger('talkative'), below=logging.ERROR):
        speak()
        raise KeyError
    assert heard == ['talkative ERROR', 'talkative.part ERROR', 'user WARNING', 'user ERROR']
    heard.clear()
    speak()
    assert heard == everything


def test_a_logger_that_says_less_already_does_not_say_more(heard):
    logging.getLogger('talkative').setLevel(logging.CRITICAL)
    try:
        with muted(logging.getLogger('talkative.part'), below=logging.ERROR):
            speak()
    finally:
        logging.getLogger('talkative').setLevel(logging.NOTSET)
    assert heard == ['user WARNING', 'user ERROR']


class SpeakingConstructor(DefaultOptimWrapperConstructor):
    """Speaks while it builds, as another thread might."""

    def __call__(self, model: Any) -> OptimWrapper:
        """Speak, and build."""
        speak()
        MMLogger.get_current_instance().error('words')
        return super().__call__(model)


def test_the_check_of_the_optimizer_silences_no_other_logger(heard):
    own = Heard()
    MMLogger.get_current_instance().addHandler(own)
    wrapper = {'constructor': SpeakingConstructor, 'optimizer': {'type': 'AdamW', 'lr': 1e-3}}
    report = Report()
    check_optimizer({'train_cfg': {'max_iters': 2}, 'optim_wrapper': wrapper}, nn.Linear(2, 2), report)
    MMLogger.get_current_instance().removeHandler(own)
    assert heard[-2:] == ['user WARNING', 'user ERROR']
    assert 'mmengine ERROR' not in own.lines
    assert report.problems == []
