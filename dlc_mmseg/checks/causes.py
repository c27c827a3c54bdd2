"""Why a part could not be built or run, where its exception tells it badly."""

from __future__ import annotations

import re

from dlc_mmseg.checks.report import one_line

RASTER_LOADER = "dict(type='LoadRasterFromFile') (pip install 'dlc-mmseg[raster]')"
_NO_MODULE = re.compile(
    r"No module named '([\w.]+)'|[Cc]ould not (?:import|find) ['\"]?(\w+)|['\"]?(\w+)['\"]? is not installed"
)


def absent_package(error: BaseException) -> str | None:
    """Name of a package that is not installed, if that is what an exception is about.

    Args:
        error: The exception, or what led to it.

    Returns:
        The name; None if it is about something else.
    """
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, ModuleNotFoundError) and cause.name:
            return cause.name.partition('.')[0]
        if isinstance(cause, AttributeError) and "'NoneType' object has no attribute 'imread'" in str(cause):
            return 'tifffile'  # MMCV's `tifffile = None` where it cannot be imported
        if isinstance(cause, (ImportError, RuntimeError)) and (match := _NO_MODULE.search(str(cause))):
            return str(next(filter(None, match.groups()))).partition('.')[0]
    return None


def reason(error: BaseException) -> str:
    """What an exception is about, on one line.

    Args:
        error: The exception.
    """
    package = absent_package(error)
    return one_line(error) if package is None else f'{package} is not installed'


def remedy(error: BaseException, otherwise: str) -> str:
    """What to do about it.

    Args:
        error: The exception.
        otherwise: The remedy if no package is absent.
    """
    package = absent_package(error)
    if package is None:
        return otherwise
    if package in ('gdal', 'osgeo', 'tifffile'):
        return f'install it, or load images with {RASTER_LOADER}'
    return f'install it (pip install {package}), or leave out what needs it'
