"""Loggers that are quiet for a while, without silencing those of the rest of the process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def muted(*loggers: logging.Logger, below: int) -> Iterator[None]:
    """Keep some loggers from saying what is less severe than a level.

    Loggers below them (``torch.onnx`` below ``torch``) are quiet too, unless they have a level of their own.

    Args:
        loggers: The loggers.
        below: The lowest level that is still let through.
    """
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(max(logger.getEffectiveLevel(), below))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
