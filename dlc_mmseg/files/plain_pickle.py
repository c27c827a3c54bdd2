"""Inert stand-ins for what MMEngine's checkpoints hold beside tensors: NumPy values and log buffers.

`torch.load(weights_only=True)` refuses these types unless they are named as safe, and naming NumPy's own is not safe:
``numpy.ndarray`` can be told to take bytes for object pointers, and a dtype can be rewritten to hold them; either
corrupts memory. The classes here take the data apart themselves and are turned into the real objects afterwards.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer
from numpy.typing import NDArray

_PLAIN_CODE = re.compile(r'[<>=|]?([biufc]\d{1,2}|\?|[SU]\d{1,6})')
_STATISTICS = ('mean', 'max', 'min', 'current')


class _DType:
    """What pickles call ``numpy.dtype``: numbers, booleans and fixed-length strings only."""

    def __init__(self, code: str, *_: object) -> None:
        if not isinstance(code, str) or not _PLAIN_CODE.fullmatch(code):
            raise pickle.UnpicklingError(f'numpy.dtype({code!r})')
        self.plain = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *extended = state[:5]
        if any(part is not None for part in extended) or order not in ('<', '>', '=', '|'):
            raise pickle.UnpicklingError('numpy.dtype with fields')
        self.plain = self.plain.newbyteorder(order)


class _Array:
    """What pickles call ``numpy._core.multiarray._reconstruct``: an array made of its shape, type and bytes."""

    def __init__(self, *_: object) -> None:
        self.plain: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, column_major, data = state
        if not isinstance(dtype, _DType) or not isinstance(data, bytes):
            raise pickle.UnpicklingError('numpy.ndarray of objects')
        flat = np.frombuffer(data, dtype.plain)
        self.plain = flat.reshape(shape, order='F' if column_major else 'C').copy(order='K')


class _ArrayType:
    """What pickles call ``numpy.ndarray``; only ever an argument of `_Array`."""

    def __init__(self, *_: object) -> None:
        raise pickle.UnpicklingError('numpy.ndarray of a buffer')


class _LogBuffer:
    """What pickles call ``mmengine.logging.history_buffer.HistoryBuffer``."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    @property
    def plain(self) -> HistoryBuffer:
        """The buffer; its statistics are those of the class, whatever the file says."""
        values, counts = (plain(self.state.get(name, ())) for name in ('_log_history', '_count_history'))
        buffer: HistoryBuffer = HistoryBuffer(values, counts, int(self.state.get('max_length', 1_000_000)))
        return buffer


def _statistic(owner: object, name: str) -> str:
    """What pickles call ``getattr``: the statistics of a log buffer, of which only the names are kept."""
    if not (isinstance(owner, type) and issubclass(owner, _LogBuffer)) or name not in _STATISTICS:
        raise pickle.UnpicklingError(f'getattr({getattr(owner, "__name__", type(owner).__name__)}, {name!r})')
    return name


def _scalar(dtype: _DType, data: bytes) -> Any:
    """What pickles call ``numpy._core.multiarray.scalar``: a number or string made of its type and bytes."""
    if not isinstance(dtype, _DType) or not isinstance(data, bytes):
        raise pickle.UnpicklingError('numpy scalar of an object')
    (value,) = np.frombuffer(data, dtype.plain)
    return value


def _no_bytes() -> bytes:
    """What pickles call ``bytes``: the data of an empty array."""
    return b''


def stand_ins() -> list[Any]:
    """Stand-ins under the names that pickles use, for `torch.serialization.safe_globals`.

    Torch knows a safe global by its module and name (before 2.6 by nothing else): each name gets its own object.
    """
    named: list[Any] = [
        _named('numpy', 'dtype', _DType),
        _named('numpy', 'ndarray', _ArrayType),
        _named('mmengine.logging.history_buffer', 'HistoryBuffer', _LogBuffer),
        _named('builtins', 'getattr', _statistic),
        _named('builtins', 'bytes', _no_bytes),
    ]
    for package in ('numpy.core', 'numpy._core'):  # before and since NumPy 2
        named.append(_named(f'{package}.multiarray', 'scalar', _scalar))
        named.append(_named(f'{package}.multiarray', '_reconstruct', _Array))
    return named


def plain(value: Any, seen: set[int] | None = None) -> Any:
    """The value with the objects that stand-ins stand for; containers are changed in place where they can be.

    Args:
        value: What was loaded.
        seen: Containers already done, by id.

    Returns:
        The value, or what replaces it.
    """
    if isinstance(value, (_DType, _Array, _LogBuffer)):
        return value.plain
    if type(value) is tuple:
        return tuple(plain(item, seen) for item in value)
    seen = set() if seen is None else seen
    if not isinstance(value, (dict, list)) or id(value) in seen:
        return value
    seen.add(id(value))
    for container in _parts(value):
        for key, item in container.items() if isinstance(container, dict) else enumerate(container):
            container[key] = plain(item, seen)
    return value


def _parts(value: dict[Any, Any] | list[Any]) -> Iterator[dict[Any, Any] | list[Any]]:
    """The container, and the attributes (``_metadata``) of a state dict."""
    yield value
    if getattr(value, '__dict__', None):
        yield vars(value)


def _named(module: str, name: str, thing: Any) -> Any:
    if isinstance(thing, type):
        return type(name, (thing,), {'__module__': module, '__qualname__': name})
    function: Callable[..., Any] = thing

    def call(*args: Any) -> Any:
        return function(*args)

    call.__module__, call.__name__, call.__qualname__ = module, name, name
    return call
