"""Finds the images of a data set and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlc_mmseg.converters.raster.name_matching import NameMatch
from dlc_mmseg.converters.raster.polygon_labels import (
    PolygonReading,
    choose_layer,
    is_vector,
    list_attributes,
    list_layers,
)
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.image_files import IMAGE_SUFFIXES
from dlc_mmseg.own_data.layout import Layout, image_layouts, pair_layouts
from dlc_mmseg.own_data.questions import Ask, Question, choose
from dlc_mmseg.own_data.series import LABEL_WORDS, Series, are_labels, list_series, list_vectors

Role = Literal['source', 'target']
NO_LABELS = 'none'
"""Given for labels: there are none to be used."""
_OTHER_PARTS = ('val', 'valid', 'validation', 'test', 'eval')


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user says about a data set; the rest is looked for.

    Attributes:
        role: Which of the two it is.
        place: Folder, or raster.
        images: Folder of the images.
        labels: Folder, label raster, file of polygons, or `NO_LABELS`.
        class_attribute: Attribute of the polygons' class.
        layer: Layer of the polygons.
        background: Class outside of polygons.
    """

    role: Role
    place: Path
    images: Path | None = None
    labels: Path | None = None
    class_attribute: str | None = None
    layer: str | None = None
    background: str | None = None


@dataclass(frozen=True)
class Found:
    """Images of a data set, and their labels.

    Attributes:
        layout: Where they lie.
        single: Whether it is one raster instead of a folder.
        polygons: Labels that are no images.
    """

    layout: Layout
    single: bool = False
    polygons: PolygonReading | None = None


def find_data(wanted: Wanted, ask: Ask) -> Found:
    """Find images and labels.

    Args:
        wanted: What is known.
        ask: Called where files leave something open.

    Returns:
        What was found; of the source with labels.

    Raises:
        UserError: If there are no images, or no labels of the source.
    """
    if not wanted.place.exists():
        raise UserError(wanted.place, 'no such folder or file', f'give the folder of the {wanted.role} images')
    found = _of_raster(wanted, ask) if wanted.place.is_file() else _of_folder(wanted, ask)
    if wanted.role == 'source' and not found.layout.labelled and found.polygons is None:
        what = f'no labels of {len(found.layout.names)} images found'
        remedy = 'name their folder, raster or polygons with --source_labels; or source and target are mixed up'
        raise UserError(wanted.place, what, remedy)
    return found


def _of_raster(wanted: Wanted, ask: Ask) -> Found:
    image = wanted.place
    labels = wanted.labels if wanted.labels is not None else _beside(wanted, ask)
    alone = Layout(image.parent, None, NameMatch('', image.suffix, '', '', ()), (image.stem,))
    if labels is None or str(labels) == NO_LABELS:
        return Found(alone, single=True)
    if not labels.is_file():
        raise UserError(_option(wanted, 'labels'), f'{labels} is no file', 'give the label raster or polygons of it')
    if is_vector(labels):
        return Found(alone, single=True, polygons=_polygons(labels, wanted, ask))
    match = NameMatch(image.stem, image.suffix, labels.stem, labels.suffix, ('',))
    return Found(Layout(image.parent, labels.parent, match), single=True)


def _beside(wanted: Wanted, ask: Ask) -> Path | None:
    """Label raster or polygons in the folder of a raster."""
    folder, image = wanted.place.parent, wanted.place
    others = [path for path in sorted(folder.iterdir()) if path != image and path.suffix.lower() in IMAGE_SUFFIXES]
    rasters = [path for path in others if not is_vector(path) and not path.name.startswith('.')]
    labels = [path for path in rasters if are_labels(Series(folder, (path.name,)))]
    named = [path for path in labels if path.stem.startswith(image.stem)]
    candidates = [*(named or labels), *list_vectors(folder)]
    if not candidates or (wanted.role == 'target' and not named):
        return None
    choices = tuple(map(str, candidates))
    question = Question(str(image), 'has several files beside it that may be its labels', choices, '--source_labels')
    return candidates[choose(choices, question, ask)]


def _of_folder(wanted: Wanted, ask: Ask) -> Found:
    place = wanted.place if wanted.images is None else _folder(wanted.images, wanted, 'images')
    unlabelled = wanted.labels is not None and str(wanted.labels) == NO_LABELS
    given = None if unlabelled else wanted.labels
    if given is not None and given.is_file():
        if not is_vector(given):
            raise UserError(_option(wanted, 'labels'), f'{given} is one file, {place} is a folder', 'give a folder')
        layout = _images_alone(list_series(place), wanted, ask)
        return Found(layout, polygons=_polygons(given, wanted, ask))
    if given is not None:
        labels = list_series(_folder(given, wanted, 'labels'))
        images = [series for series in list_series(place) if series not in labels]
        layouts = pair_layouts([series for series in images if not are_labels(series)] or images, labels)
        if not layouts:
            what = f'no label in {given} has the name of an image in {place}'
            raise UserError(_option(wanted, 'labels'), what, 'give the folder of the labels of these images')
        return Found(_one(layouts, wanted, ask))
    series = list_series(place)
    around = series if wanted.images is None else list_series(wanted.place)
    labels = [entry for entry in around if are_labels(entry)]
    images = [entry for entry in series if entry not in labels]
    if not labels:
        labels = _neighbours(place)
    layouts = [] if unlabelled else pair_layouts(images, labels)
    vectors = [] if unlabelled or wanted.role == 'target' else list_vectors(wanted.place)
    if vectors and not layouts:
        choices = tuple(map(str, vectors))
        question = Question(str(place), 'holds several files of polygons', choices, '--source_labels')
        chosen = vectors[choose(choices, question, ask)]
        return Found(_images_alone(images, wanted, ask), polygons=_polygons(chosen, wanted, ask))
    return Found(_one(layouts, wanted, ask) if layouts else _images_alone(images or series, wanted, ask))


def _neighbours(place: Path) -> list[Series]:
    """Labels in a folder beside that of the images, if it is named so."""
    beside = [path for path in sorted(place.resolve().parent.iterdir()) if path.name.lower() in LABEL_WORDS]
    folders = [place.parent / path.name if place.name else path for path in beside if path.is_dir()]
    found = []
    for folder in folders:
        try:
            found += [series for series in list_series(folder) if are_labels(series)]
        except UserError:  # a folder of something else
            continue
    return found


def _images_alone(series: Sequence[Series], wanted: Wanted, ask: Ask) -> Layout:
    if not series:
        raise UserError(wanted.place, 'holds no image', f'give the folder of the {wanted.role} images')
    return _one(image_layouts(series), wanted, ask)


def _one(layouts: Sequence[Layout], wanted: Wanted, ask: Ask) -> Layout:
    """The only layout; of parts named train, val .. the one to train on; else the one that is asked for."""
    if len(layouts) > 1:
        parts = [layout for layout in layouts if not {*_lower_parts(layout.images)} & {*_OTHER_PARTS}]
        disjoint = len({layout.images for layout in layouts}) == len(layouts)
        layouts = parts if len(parts) == 1 and disjoint else layouts
    by_labels = len({layout.images for layout in layouts}) == 1
    kind = 'labels' if by_labels and len({layout.labels for layout in layouts}) > 1 else 'images'
    folders = [layout.labels if kind == 'labels' else layout.images for layout in layouts]
    choices = tuple(f'{folder} (*{_ending(layout, kind)})' for folder, layout in zip(folders, layouts, strict=True))
    what = f'has {len(choices)} sets of files that may be the {kind}'
    return layouts[choose(choices, Question(str(wanted.place), what, choices, _option(wanted, kind)), ask)]


def _ending(layout: Layout, kind: str) -> str:
    return layout.match.label_suffix if kind == 'labels' else layout.match.image_suffix


def _lower_parts(path: Path) -> list[str]:
    return [part.lower() for part in path.parts]


def _polygons(path: Path, wanted: Wanted, ask: Ask) -> PolygonReading:
    layers = list_layers(path)
    layer = wanted.layer
    if layer is None and len(layers) > 1:
        question = Question(str(path), f'has {len(layers)} layers of polygons', tuple(layers), '--label_layer')
        layer = layers[ask(question)]
    layer = choose_layer(path, layer)
    attribute = wanted.class_attribute
    if attribute is None:
        attributes = list_attributes(path, layer)
        if attributes:
            what = 'has several attributes that may name the class'
            attribute = attributes[
                choose(attributes, Question(str(path), what, tuple(attributes), '--class_attribute'), ask)
            ]
    return PolygonReading(path, layer, attribute, wanted.background)


def _folder(path: Path, wanted: Wanted, kind: str) -> Path:
    inside = wanted.place / path
    chosen = path if path.is_dir() or not inside.is_dir() else inside
    if not chosen.is_dir():
        raise UserError(_option(wanted, kind), f'{path} is no folder', 'correct the path')
    return chosen


def _option(wanted: Wanted, kind: str) -> str:
    return f'--{wanted.role}_{kind}'
