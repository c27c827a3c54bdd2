"""Classes of two data sets: those of the source, and whether labels of the target have the same ones."""

from __future__ import annotations

from collections.abc import Callable

from dlc_mmseg.converters.raster.class_words import code_word
from dlc_mmseg.converters.raster.cutting import polygons_of
from dlc_mmseg.converters.raster.label_coding import LabelCoding, find_coding
from dlc_mmseg.errors import UserError
from dlc_mmseg.own_data.finding import Found
from dlc_mmseg.own_data.settings import Settings
from dlc_mmseg.own_data.stored_labels import StoredLabels, read_labels

Say = Callable[[str], None]
"""Gets one line for the user."""


def source_labels(found: Found, settings: Settings, say: Say) -> tuple[StoredLabels | None, LabelCoding]:
    """Classes of the source.

    Args:
        found: Its images and labels.
        settings: What the user says.
        say: Gets what is found and guessed, line by line.

    Returns:
        What label images hold (None: polygons), and the classes.

    Raises:
        UserError: If they hold no classes, or not those that the user names.
    """
    if found.polygons is not None:
        polygons = polygons_of(found.polygons)
        reading = found.polygons
        say(f'source labels: {reading.path}: {polygons.remark} (--source_labels, --class_attribute, --background)')
        names = tuple(entry.name for entry in settings.classes) or polygons.classes
        if len(names) != len(polygons.classes):
            what = f'names {len(names)} classes, the polygons have {len(polygons.classes)}'
            raise UserError('--classes', what, f'name those of {", ".join(polygons.classes)} in this order')
        if len(names) < 2:
            raise UserError(reading.path, 'polygons are of one class', 'name what is around them with --background')
        coding = LabelCoding(names, tuple((index,) for index in range(len(names))), (255,), palette=polygons.palette)
        say(f'classes: {", ".join(names)} (--classes)')
        return None, coding
    stored = read_labels(found.layout)
    layout = found.layout
    place = layout.label(layout.labelled[0]) if found.single else f'*{layout.match.label_suffix} in {layout.labels}'
    kind = 'colours' if stored.counts.colours else 'values'
    missing = len(layout.names) - len(layout.labelled)
    tail = f', {missing} images have none and are left out' if missing else ''
    number = '' if found.single else f'{len(layout.labelled)} '
    say(f'source labels: {number}{place}, {len(stored.counts.pixels)} {kind}{tail} (--source_labels)')
    coding = find_coding(stored.counts, settings.classes, settings.ignored)
    _say_classes('classes', coding, stored, say)
    return stored, coding


def _say_classes(what: str, coding: LabelCoding, stored: StoredLabels, say: Say) -> None:
    total = max(1, sum(stored.counts.pixels.values()))
    parts = []
    for name, codes, written in zip(coding.classes, coding.codes, coding.written_codes(), strict=True):
        share = sum(stored.counts.pixels.get(code, 0) for code in codes) / total
        parts.append(f'{name}={written} ({share:.1%})')
    say(f'{what}: {", ".join(parts)} (--classes, --ignored)')
    if coding.ignored:
        words = ', '.join(code_word(code, colours=coding.colours) for code in coding.ignored)
        say(f'no class: {words} (--ignored)')


def target_labels(
    found: Found, source: LabelCoding, settings: Settings, say: Say
) -> tuple[Found, StoredLabels | None, LabelCoding | None]:
    """Labels of the target, if they have the classes of the source; they serve for validation only.

    Args:
        found: Its images and labels.
        source: Classes of the source.
        settings: What the user says.
        say: Gets what is found and guessed, line by line.

    Returns:
        The target, without labels where they do not serve; what these hold; their classes.

    Raises:
        UserError: If the user names other classes than the source has.
    """
    layout = found.layout
    if not layout.labelled or not settings.validate:
        return Found(layout.without_labels(), found.single), None, None
    try:
        stored = read_labels(layout)
        if settings.target_classes:
            coding = find_coding(stored.counts, settings.target_classes, settings.ignored)
        elif stored.counts.colours == source.colours and _covered(stored, source):
            coding = source
        else:
            words = [code_word(code, colours=stored.counts.colours) for code in sorted(stored.counts.pixels)[:12]]
            raise UserError(
                layout.labels, f'labels hold {", ".join(words)}', 'name them with --target_classes NAME=CODE'
            )
    except UserError as error:
        say(f'target labels: left out, since they are not coded as those of the source: {error}')
        return Found(layout.without_labels(), found.single), None, None
    if coding.classes != source.classes:
        raise UserError('--target_classes', 'names other classes than the source has', 'name the same, in their order')
    say(f'target labels: {len(layout.labelled)} in {layout.labels}: used for validation only (--target_labels none)')
    return found, stored, coding


def _covered(stored: StoredLabels, coding: LabelCoding) -> bool:
    known = {code for codes in coding.codes for code in codes} | {*coding.ignored}
    return {*stored.counts.pixels} <= known | (set() if coding.colours else {255})
