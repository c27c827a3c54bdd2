"""Images that a dataset lists and that are not there, and why."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from dlc_mmseg.checks.report import Report
from dlc_mmseg.datasets.domain import missing_files
from dlc_mmseg.datasets.split_file import name_faults


class Listing(NamedTuple):
    """Where the images of a dataset are listed.

    Attributes:
        role: What the dataset is for.
        name: Field of the config that holds it.
        folder: Folder of the images.
        suffix: How their names end.
        split: File that names them; empty where the folder is listed.
    """

    role: str
    name: str
    folder: str
    suffix: str
    split: str


def report_missing(paths: Sequence[str], listing: Listing, report: Report) -> set[str]:
    """Find images that do not exist.

    Args:
        paths: Images as listed.
        listing: Where.
        report: Receives lines of a split file that explain missing images, and those that nothing explains.

    Returns:
        The missing ones.
    """
    missing = set(missing_files(paths))
    unexplained = sorted(missing - _explained(listing, missing, report))
    if unexplained:
        named = f'image is named in {listing.split} but does not exist' if listing.split else 'image is missing'
        report.files('error', unexplained, f'{listing.role} {named}', _remedy(unexplained[0], listing))
    return missing


def _explained(listing: Listing, missing: set[str], report: Report) -> set[str]:
    """Missing images whose line of the split file tells why they are."""
    if not missing or not listing.split or '://' in listing.split:
        return set()

    def image(name: str) -> str:
        return os.path.join(listing.folder, name + listing.suffix)

    names: set[str] = set()
    for fault in name_faults(listing.split, lambda name: os.path.exists(image(name))):
        report.error(listing.split, f'{listing.role} split file: {fault.what}', fault.remedy)
        names.update(fault.names)
    return missing & {image(name) for name in names}


def _remedy(missing: str, listing: Listing) -> str:
    """What to do about an image that is not there; one of another ending in its place is named."""
    folder, name = os.path.split(missing)
    stem = name.removesuffix(listing.suffix).casefold()
    names = sorted(os.listdir(folder or '.')) if os.path.isdir(folder or '.') else []
    other = next((found for found in names if os.path.splitext(found)[0].casefold() == stem), None)
    if other is not None:
        return f'rename {other} to {name}: names of all images must end in {listing.suffix!r}'
    return f'correct {listing.split or listing.name}: one name per line, without img_suffix ({listing.suffix!r})'
