"""Labels of a test set that is not the validation set: training reads them not, but the test would be for nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from dlc_mmseg.checks.class_presence import check_joint_presence
from dlc_mmseg.checks.classes import check_classes
from dlc_mmseg.checks.domain_files import Domain, image_folder, unlisted_domains
from dlc_mmseg.checks.folder_contents import check_folder
from dlc_mmseg.checks.image_files import check_files, check_sizes
from dlc_mmseg.checks.label_files import check_label_files, check_label_kinds, check_values, count_labels_of
from dlc_mmseg.checks.report import Report, Track, silent
from dlc_mmseg.datasets.domain import missing_files
from dlc_mmseg.datasets.nesting import leaf_configs


def check_test_labels(
    config: Mapping[str, Any], domains: Sequence[Domain], report: Report, *, full: bool, track: Track = silent
) -> None:
    """Find test labels that are there and wrong, in their files, kind, size or values, and other classes than trained.

    MMSegmentation's metrics count values that are no class nowhere. A test set that is not there, or has no labels,
    stops the test itself with a message of its own.

    Args:
        config: The whole config.
        domains: What training reads, labels of validation included, which are checked as such.
        report: Receives warnings.
        full: Count all labels instead of a sample.
        track: Shows the progress.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset')
    if not isinstance(dataset, Mapping) or dataset == (config.get('val_dataloader') or {}).get('dataset'):
        return
    validated = {
        str(domain.dataset.data_prefix.get('seg_map_path')) for domain in domains if domain.role == 'validation'
    }
    found = Report()
    for name, leaf in leaf_configs(dataset, 'test_dataloader.dataset'):
        if not os.path.isdir(image_folder(leaf)):
            continue
        for domain in unlisted_domains(name, leaf, found):
            if _has_other_classes(domain, domains[:1], found):
                continue
            if str(domain.dataset.data_prefix.get('seg_map_path')) not in validated:
                with found.attempt(name):
                    _check(domain, found, full=full, track=track)
    for problem in found.problems:
        report.warning(problem.where, problem.what, problem.remedy)


def _has_other_classes(domain: Domain, trained: Sequence[Domain], found: Report) -> bool:
    classes = Report()
    check_classes([*trained, domain], classes)
    named = [problem for problem in classes.problems if problem.where.startswith(domain.name)]
    for problem in named:
        found.error(problem.where, problem.what, problem.remedy)
    return bool(named)


def _check(domain: Domain, found: Report, *, full: bool, track: Track) -> None:
    labels = [tile.label for tile in domain.tiles if tile.label]
    folder = str(domain.dataset.data_prefix.get('seg_map_path') or '')
    if len(missing_files(labels)) == len(labels) and not (os.path.isdir(folder) and os.listdir(folder)):
        return
    check_folder(domain, found)
    check_label_files(domain, found)
    headers = check_files(domain, found, full=True, track=track) if full else {}
    check_label_kinds(domain, headers, found)
    check_sizes(domain, headers, found)
    counts = count_labels_of(domain, found, known={}, full=full, track=track)
    pixels = check_values(domain, counts, int(getattr(domain.dataset, 'ignore_index', 255)), found)
    if pixels is not None:
        check_joint_presence([pixels], found)
