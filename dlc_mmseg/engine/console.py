"""Which lines of a log go to the console; the log file holds all of them."""

from __future__ import annotations

import logging

_FILE_ONLY = (
    '\n------------------------------------------------------------\nSystem environment:',
    'Config:\n',
    'Hooks will be executed in the following order:',
    'Distributed training is not used, all SyncBatchNorm',
    'Exp name: ',
    'The previous best checkpoint ',
    'Checkpoints will be saved to ',  # the summary of the run says so
    'The prefix is not set in metric class ',
    '"FileClient" will be deprecated',  # of the framework's own calls
    '"HardDiskBackend" is the alias',
)


class ConsoleFilter(logging.Filter):
    """Keeps the hundreds of lines that MMEngine writes of config, environment and hooks away from the console."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is for the console.

        Args:
            record: Of any logger.
        """
        return not record.getMessage().startswith(_FILE_ONLY)


def quiet_console(logger: logging.Logger) -> None:
    """Leave to a logger's files what is not for people; without a file everything stays on the console.

    Args:
        logger: With handlers for the console and, in the process that logs, for a file.
    """
    if any(isinstance(handler, logging.FileHandler) for handler in logger.handlers):
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(ConsoleFilter())
