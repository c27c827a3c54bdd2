"""From two data sets to a config, saying what was found and guessed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlc_mmseg.converters.raster.label_coding import LabelCoding
from dlc_mmseg.errors import UserError
from dlc_mmseg.own_data.bands import BandChoice, choose_bands
from dlc_mmseg.own_data.brightness import EIGHT_BITS, full_brightness
from dlc_mmseg.own_data.config_files import check_loads, config_name, ready_configs, write_configs
from dlc_mmseg.own_data.domain_facts import DomainFacts, Track, read_domain
from dlc_mmseg.own_data.domain_labels import Say, source_labels, target_labels
from dlc_mmseg.own_data.finding import Found, Wanted, find_data
from dlc_mmseg.own_data.questions import Ask
from dlc_mmseg.own_data.settings import FROM_SCRATCH, Settings
from dlc_mmseg.own_data.split_choice import choose_splits
from dlc_mmseg.own_data.splits import relative_to_root
from dlc_mmseg.own_data.stored_labels import StoredLabels
from dlc_mmseg.own_data.tiles import Place, cut, place_as_it_lies, why_cut

DIFFERENCE = 1.25
"""Ratio of pixel sizes from which things look so different in size that it is worth a warning."""


@dataclass(frozen=True)
class Prepared:
    """What was written.

    Attributes:
        config: The config to adapt with.
        source_only: The one without adaptation.
        source: The labelled data set.
        target: The other one.
        target_rasters: What tiles of the target were cut from, or its only raster; None where images stay as they lie.
        validated: Whether target labels serve for validation.
        measured: Whether images are normalised with their own mean and standard deviation; False keeps those of the
            images that the network was pre-trained on.
    """

    config: Path
    source_only: Path
    source: Place
    target: Place
    target_rasters: Path | None
    validated: bool
    measured: bool


def prepare(settings: Settings, shipped: Path, ask: Ask, say: Say, track: Track) -> Prepared:
    """Look at both data sets, cut what are no tiles, and write the configs.

    Args:
        settings: What the user says.
        shipped: Folder of the configs that come with the package.
        ask: Called where files leave something open.
        say: Gets what is found and guessed, line by line.
        track: Shows progress.

    Returns:
        What was written.

    Raises:
        UserError: If the data sets do not serve, or something cannot be written.
    """
    found = {wanted.role: find_data(wanted, ask) for wanted in (settings.source, settings.target)}
    sizes = {'source': settings.source_pixel_size, 'target': settings.target_pixel_size}
    facts = {role: read_domain(found[role], sizes[role], f'reading {role}', track) for role in found}
    for role in found:
        say(_images_line(role, found[role], facts[role]))
    bands = choose_bands(facts['source'].bands, facts['target'].bands, settings.source_bands, settings.target_bands)
    if bands.remark:
        say(f'bands: {bands.remark} (--source_bands, --target_bands)')
    stored, coding = source_labels(found['source'], settings, say)
    found['target'], target_stored, target_coding = target_labels(found['target'], coding, settings, say)
    factor = _resampling(facts['source'], facts['target'], settings, say)
    places = {
        'source': _placed(settings.source, found['source'], facts['source'], stored, coding, factor, settings, say),
        'target': _placed(
            settings.target, found['target'], facts['target'], target_stored, target_coding, 1.0, settings, say
        ),
    }
    written = {role: choose_splits(role, places[role], settings, say) for role in places}
    return _write(settings, shipped, places, bands, written, found['target'], say)


def _images_line(role: str, found: Found, facts: DomainFacts) -> str:
    layout = found.layout
    if found.single:
        what = f'{layout.image(layout.names[0])}'
    else:
        what = f'{len(layout.names)} *{layout.match.image_suffix} in {layout.images}'
    size = 'pixel size unknown' if facts.pixel_size is None else f'pixels of {facts.pixel_size:.3g} m'
    told = '' if facts.size_told else f', --{role}_pixel_size'
    return f'{role} images: {what}, {facts.sizes()}, {facts.kinds()}, {size} (--{role}_images{told})'


def _resampling(source: DomainFacts, target: DomainFacts, settings: Settings, say: Say) -> float:
    """Pixels of the source per pixel of its tiles."""
    if source.pixel_size is None or target.pixel_size is None:
        if settings.resample:
            unknown = 'source' if source.pixel_size is None else 'target'
            what = f'the pixel size of the {unknown} is unknown'
            raise UserError('--resample', what, f'give it with --{unknown}_pixel_size')
        return 1.0
    ratio = target.pixel_size / source.pixel_size
    if settings.resample:
        say(f'source is resampled from {source.pixel_size:.3g} to {target.pixel_size:.3g} m per pixel')
        return ratio
    if max(ratio, 1 / ratio) > DIFFERENCE:
        say(
            f'warning: pixels are of {source.pixel_size:.3g} m in the source and {target.pixel_size:.3g} m in the '
            f'target: the same things differ in size {max(ratio, 1 / ratio):.2g} times '
            f'(--resample brings the source to {target.pixel_size:.3g} m)'
        )
    return 1.0


def _placed(
    wanted: Wanted,
    found: Found,
    facts: DomainFacts,
    stored: StoredLabels | None,
    coding: LabelCoding | None,
    factor: float,
    settings: Settings,
    say: Say,
) -> Place:
    reason = why_cut(found, facts, stored, settings.cut) or ('they are resampled' if factor != 1 else '')
    if not reason:
        return place_as_it_lies(found, wanted.place, coding)
    folder = settings.out_dir / settings.title / wanted.role
    say(
        f'{wanted.role} images are cut into tiles of {settings.tile_size} pixels in {folder}, as {reason} (--tile_size)'
    )
    return cut(
        found,
        folder,
        coding,
        tile_size=settings.tile_size,
        factor=factor,
        keep_unlabelled=wanted.role == 'target',
        workers=settings.workers,
        say=say,
    )


def _write(
    settings: Settings,
    shipped: Path,
    places: dict[Any, Place],
    bands: BandChoice,
    splits: dict[Any, dict[str, str | list[str] | None]],
    target_found: Found,
    say: Say,
) -> Prepared:
    title, folder = settings.title, settings.config_dir
    texts: dict[str, str] = {}
    named: dict[tuple[str, str], str | None] = {}
    for role, parts in splits.items():
        for part, names in parts.items():
            if isinstance(names, list):
                file = f'{title}_{role}_{part}.txt'
                texts[file] = '\n'.join(names) + '\n'
                named[role, part] = relative_to_root(folder / file, places[role].root)
            else:
                named[role, part] = names
    brightness = max(
        full_brightness([place.image_file(name) for name in place.names], numbers)
        for place, numbers in ((places['source'], bands.source), (places['target'], bands.target))
    )
    if brightness != EIGHT_BITS:
        say(f'full brightness: {brightness:g}, for changes of colour (value_range of the config)')
    measured = settings.network in (None, *FROM_SCRATCH) or brightness != EIGHT_BITS
    values = _values(settings, places, bands, named) | {'value_range': brightness}
    values |= {'mean': 'auto', 'std': 'auto'} if measured else {}
    main = config_name('dlc', title)
    doc = (
        f'DLC from {_plain(settings.source.place)} to {_plain(settings.target.place)}, written by `dlc-mmseg init`.\n\n'
        'The block holds what was found; edit it where it is wrong, and look at it again with\n'
        f'`dlc-mmseg check {(folder / main).as_posix()}`.\n'
    )
    texts |= ready_configs(shipped, title, values, doc, network=settings.network, iterations=settings.iterations)
    check_loads(texts, title)
    written = write_configs(folder, texts, overwrite=settings.overwrite)
    say(f'written: {folder / main}' if written else f'{folder / main}: there already')
    return Prepared(
        config=folder / main,
        source_only=folder / config_name('source_only', title),
        source=places['source'],
        target=places['target'],
        target_rasters=_rasters(settings.target, target_found, places['target']),
        validated=named['target', 'val'] is not None,
        measured=measured,
    )


def _rasters(wanted: Wanted, found: Found, place: Place) -> Path | None:
    if found.single:
        return wanted.place
    return found.layout.images if place.image_folder != found.layout.images else None


def _values(
    settings: Settings, places: dict[Any, Place], bands: BandChoice, named: dict[tuple[str, str], str | None]
) -> dict[str, Any]:
    source, target = places['source'], places['target']
    assert source.coding is not None
    validated = named['target', 'val'] is not None and target.coding is not None
    return {
        'source_root': source.root.as_posix(),
        'source_images': source.images,
        'source_image_suffix': source.image_suffix,
        'source_labels': source.labels,
        'source_label_suffix': source.label_suffix,
        'target_root': target.root.as_posix(),
        'target_images': target.images,
        'target_image_suffix': target.image_suffix,
        'target_labels': target.labels or 'lbl',
        'target_label_suffix': target.label_suffix if target.labels else '.png',
        'classes': source.coding.classes,
        'palette': [list(colour) for colour in source.coding.palette],
        'source_label_map': source.coding.label_map(),
        'target_label_map': target.coding.label_map() if validated and target.coding is not None else None,
        'source_bands': None if bands.source is None else list(bands.source),
        'target_bands': None if bands.target is None else list(bands.target),
        'source_split': named['source', 'train'],
        'target_split': named['target', 'train'],
        'map_split': named['target', 'maps'],
        'validation_split': named['target', 'val'] if validated else None,
        'preset': settings.preset,
    }


def _plain(path: Path) -> str:
    return path.as_posix().replace('\\', '/').replace('"', "'")
