"""A few items of many, evenly spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar('Item')


def spread_indices(count: int, limit: int | None) -> Sequence[int]:
    """Indices of some of many items, evenly spread and with both ends.

    Args:
        count: Number of items.
        limit: Most indices to return; None takes all.

    Returns:
        Ascending indices in ``0..count - 1``, each once.

    Example:
        >>> spread_indices(11, 3)
        [0, 5, 10]
    """
    if limit is None or limit >= count:
        return range(count)
    return [round(position * (count - 1) / max(limit - 1, 1)) for position in range(limit)]


def spread(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Some of many items, evenly spread and with both ends.

    Args:
        items: What to choose from.
        limit: Most items to return; None takes all.

    Returns:
        The chosen items in their order.
    """
    return [items[index] for index in spread_indices(len(items), limit)]
