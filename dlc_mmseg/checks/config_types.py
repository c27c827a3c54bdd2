"""What the ``type`` of a config stands for: a registered name, a dotted path, or the class itself.

MMEngine's pure-Python configs (`read_base`) hold classes, which `Config.to_dict` turns into dotted paths; text configs
hold names, with a scope (``mmengine.InfiniteSampler``) or without. Checks compare what these resolve to.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config.lazy import LazyAttr, LazyObject
from mmengine.registry import Registry

from dlc_mmseg.checks.report import RAISED


def resolve(part: Any, registry: Registry) -> Any:
    """The class or function that builds a part.

    Args:
        part: Config of the part, or its type.
        registry: Where names are looked up.

    Returns:
        The class or function; None if there is no such name, or no type.
    """
    kind = part.get('type') if isinstance(part, Mapping) else part
    try:
        if isinstance(kind, (LazyObject, LazyAttr)):
            return kind.build()
        return registry.get(kind) if isinstance(kind, str) else kind
    except RAISED:  # importing the module of a dotted path may raise anything
        return None


def is_kind(part: Any, registry: Registry, *classes: type | str) -> bool:
    """Whether a part is built by one of some classes or by a subclass.

    Args:
        part: Config of the part, or its type.
        registry: Where names are looked up.
        classes: Classes, or their registered names.
    """
    wanted = tuple(found for found in (resolve(item, registry) for item in classes) if inspect.isclass(found))
    built = resolve(part, registry)
    return inspect.isclass(built) and issubclass(built, wanted)


def type_name(part: Any) -> str:
    """The short name of a part's type, for messages: without module or scope; empty if there is none.

    Args:
        part: Config of the part, or its type.
    """
    kind = part.get('type') if isinstance(part, Mapping) else part
    if kind is None:
        return ''
    return str(getattr(kind, '__name__', None) or kind).rpartition('.')[2]


def takes(built: Any, name: str) -> bool:
    """Whether a class or function has an argument of a name.

    Args:
        built: The class or function.
        name: Name of the argument.
    """
    return name in parameters_of(built)


def parameters_of(built: Any) -> Mapping[str, inspect.Parameter]:
    """Parameters of a class or function; none where they cannot be told.

    Args:
        built: The class or function.
    """
    try:
        return inspect.signature(built).parameters
    except (TypeError, ValueError):
        return {}
