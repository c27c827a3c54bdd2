"""Classes, palettes and ignored labels of the datasets of a config."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dlc_mmseg.checks.domain_files import Domain, dataset_configs
from dlc_mmseg.checks.report import Report


def check_classes(domains: Sequence[Domain], report: Report) -> None:
    """Compare the classes of all datasets with those of the source.

    Args:
        domains: The datasets.
        report: Receives what differs.
    """
    for domain in domains:
        names = domain.classes
        if not _check_spelling(domain, report):
            continue
        twice = [name for name, count in Counter(names).items() if count > 1]
        if len(names) < 2:
            remedy = 'set metainfo=dict(classes=(...), palette=[...])'
            report.error(domain.name, 'names fewer than two classes', remedy)
        elif twice:
            remedy = 'give each class one name of its own'
            report.error(f'{domain.name}.metainfo.classes', f'names {", ".join(twice)} more than once', remedy)
        ignored = getattr(domain.dataset, 'ignore_index', 255)
        if isinstance(ignored, int) and 0 <= ignored < len(names):
            what = f'{ignored} is the class {names[ignored]}, which would be ignored'
            report.error(f'{domain.name}.ignore_index', what, 'set it to 255')
    first = next((domain for domain in domains if len(domain.classes) > 1), None)
    for domain in domains:
        if first is not None and len(domain.classes) > 1 and domain.classes != first.classes:
            what = f'classes {_list(domain.classes)} differ from {_list(first.classes)} of {first.name}'
            remedy = 'give all datasets the same classes in the same order'
            report.error(f'{domain.name}.metainfo.classes', what, remedy)


def _check_spelling(domain: Domain, report: Report) -> bool:
    """Find a text where names are expected, and what a file of names (or an editor) put into them unseen."""
    where, given = f'{domain.name}.metainfo.classes', domain.dataset.metainfo.get('classes')
    if isinstance(given, str):
        remedy = "give names in parentheses, such as ('ground', 'roof'), or an existing file with one name per line"
        report.error(where, f'{given!r} is no list of names and no file', remedy)
        return False
    for index, name in enumerate(domain.classes):
        if not isinstance(name, str) or name != name.strip() or not name or _unseen(name):
            what = f'{name!r}, the name of class {index}, is no name that shows'
            remedy = 'write names without line ends, blanks at their ends, byte order marks or empty lines of a file'
            report.error(where, what, remedy)
            return False
    return True


def _unseen(name: str) -> bool:
    return any(char == '\ufeff' or unicodedata.category(char) == 'Cc' for char in name)


def check_palettes(config: Mapping[str, Any], report: Report) -> None:
    """Check the palettes that a config gives.

    Args:
        config: The whole config.
        report: Receives palettes that do not fit their classes.
    """
    for _, name, dataset in dataset_configs(config):
        metainfo = dataset.get('metainfo') or {}
        palette, classes = metainfo.get('palette'), metainfo.get('classes')
        if palette is None or not isinstance(classes, (list, tuple)):
            continue
        where = f'{name}.metainfo.palette'
        if len(palette) != len(classes):
            remedy = 'give one RGB colour per class, in the order of the classes'
            report.error(where, f'has {len(palette)} colours for {len(classes)} classes', remedy)
            continue
        wrong = [colour for colour in palette if not _is_colour(colour)]
        if wrong:
            report.error(where, f'{wrong[0]} is no colour', 'give three numbers from 0 to 255 per class')
            continue
        twice = [list(colour) for colour, count in Counter(map(tuple, palette)).items() if count > 1]
        if twice:
            remedy = 'give classes different colours, or pictures cannot tell them apart'
            report.warning(where, f'{twice[0]} stands for more than one class', remedy)


def _is_colour(colour: Any) -> bool:
    return (
        isinstance(colour, (list, tuple))
        and len(colour) == 3
        and all(isinstance(value, int) and 0 <= value <= 255 for value in colour)
    )


def _list(names: Sequence[str]) -> str:
    return f'({", ".join(names)})'
