"""Read checkpoints without executing code that they may carry."""

from __future__ import annotations

import importlib
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from dlc_mmseg.errors import UserError


def _history_statistic(owner: object, name: str) -> Callable[..., Any]:
    """Stand-in for ``getattr`` in MMEngine's checkpoints: only the statistics of its log buffers."""
    if owner is not HistoryBuffer or name not in ('mean', 'max', 'min', 'current'):
        raise pickle.UnpicklingError(f'attribute {name!r} of {owner!r} has no place in a checkpoint')
    statistic: Callable[..., Any] = getattr(HistoryBuffer, name)
    return statistic


def load_checkpoint_file(path: str | Path, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load a local checkpoint written by MMEngine, or any file of plain tensors and containers.

    Args:
        path: The file.
        map_location: As in `torch.load`.

    Returns:
        What the file holds.

    Raises:
        UserError: If the file is missing, damaged, or holds objects other than tensors, numbers, containers and
            MMEngine's log buffers.
    """
    try:
        with torch.serialization.safe_globals(_allowed()):
            loaded = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise UserError(f'{path}: no such checkpoint; give the .pth file that training wrote to its work_dir') from None
    except pickle.UnpicklingError as error:
        found = re.search(r'GLOBAL (\S+)|attribute .* checkpoint', str(error))
        raise UserError(
            f'{path}: refused, it holds {found.group(0) if found else "objects"} beside tensors, numbers and '
            f'containers and could run code on loading; take a checkpoint that holds a state_dict only'
        ) from error
    except (EOFError, RuntimeError, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f'{path}: cannot be read ({reason}); the file is cut off or damaged') from error
    if not isinstance(loaded, dict):
        raise UserError(f'{path}: holds a {type(loaded).__name__}, no state dict; take a checkpoint file')
    return loaded


def _allowed() -> list[Any]:
    """Types that MMEngine's checkpoints hold beside tensors, for either naming of numpy's modules."""
    multiarray = importlib.import_module('numpy._core.multiarray' if np.__version__ >= '2' else 'numpy.core.multiarray')
    scalar, reconstruct = multiarray.scalar, multiarray._reconstruct
    kinds = ('f8', 'f4', 'i8', 'i4', 'u8', 'u4', 'u1', '?')
    numpy_types = [np.dtype, np.ndarray, *{type(np.dtype(kind)) for kind in kinds}]
    return [
        HistoryBuffer,
        *numpy_types,
        *((scalar, f'{module}.multiarray.scalar') for module in ('numpy.core', 'numpy._core')),
        *((reconstruct, f'{module}.multiarray._reconstruct') for module in ('numpy.core', 'numpy._core')),
        (_history_statistic, 'builtins.getattr'),
    ]
