"""Which images train and which ones validate."""

from __future__ import annotations

from dlc_mmseg.own_data.domain_labels import Say
from dlc_mmseg.own_data.settings import Settings
from dlc_mmseg.own_data.splits import evenly, find_splits, read_split, relative_to_root
from dlc_mmseg.own_data.tiles import Place


def choose_splits(role: str, place: Place, settings: Settings, say: Say) -> dict[str, str | list[str] | None]:
    """Images to train on and to validate on.

    Args:
        role: ``source`` or ``target``.
        place: Where they lie.
        settings: What the user says.
        say: Gets what is found and guessed, line by line.

    Returns:
        By part, ``train``, ``val`` and ``maps``: a split file that is there, relative to the root; or the names for one
        to be written; or None, which takes every image to train on and to map, and none to validate on.
    """
    wanted = settings.source if role == 'source' else settings.target
    folder = wanted.place if wanted.place.is_dir() else wanted.place.parent
    there = find_splits(folder, {*place.origins.values()})
    as_it_lies = place.names == tuple(place.origins.values())
    train: str | list[str] | None = None
    usable = place.labelled if role == 'source' else place.names
    if 'train' in there:
        listed = set(read_split(there['train']))
        chosen = [name for name in usable if place.origins[name] in listed]
        train = relative_to_root(there['train'], place.root) if as_it_lies and len(chosen) == len(listed) else chosen
        say(f'{role} images to train on: the {len(chosen)} that {there["train"]} names (or edit {role}_split)')
    elif place.surplus or len(usable) < len(place.names):
        train = list(usable)
    maps = list(place.names) if role == 'target' and place.surplus else None
    if role == 'source' or not place.labelled:
        return {'train': train, 'val': None, 'maps': maps}
    listed = set(read_split(there['val'])) if 'val' in there else set()
    named = [name for name in place.labelled if place.origins[name] in listed]
    chosen = evenly(named or list(place.labelled), settings.validate)
    say(
        f'validation: {len(chosen)} of {len(place.labelled)} labelled target images'
        + (f', as {there["val"]} names' if named else ', evenly spread')
        + ' (--validate)'
    )
    whole = as_it_lies and len(named) == len(listed) == len(chosen)
    val = relative_to_root(there['val'], place.root) if whole and named else chosen
    return {'train': train, 'val': val, 'maps': maps}
