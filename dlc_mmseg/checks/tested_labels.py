"""Labels of a test set that is not the validation set: training reads neither, but the test would be for nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dlc_mmseg.checks.class_presence import check_presence
from dlc_mmseg.checks.domain_files import Domain, unlisted_domains
from dlc_mmseg.checks.label_files import check_label_files, check_label_kinds, count_labels_of, label_pixels
from dlc_mmseg.checks.report import Report, Track, silent


def check_test_labels(
    config: Mapping[str, Any], validation: Collection[str], report: Report, *, full: bool, track: Track = silent
) -> None:
    """Find test labels that hide a class behind the ignored value, or hold no class at all.

    Whatever else is wrong with a test set stops the test itself, with a message of its own.

    Args:
        config: The whole config.
        validation: Folders of labels that are validated on and checked as such.
        report: Receives one warning for each dataset concerned.
        full: Count all labels instead of a sample.
        track: Shows the progress.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset')
    if not isinstance(dataset, Mapping) or dataset == (config.get('val_dataloader') or {}).get('dataset'):
        return
    for domain in unlisted_domains('test_dataloader.dataset', dataset):
        if str(domain.dataset.data_prefix.get('seg_map_path')) in validation:
            continue
        found = Report()
        _check(domain, found, full=full, track=track)
        for problem in found.problems:
            report.warning(problem.where, problem.what, problem.remedy)


def _check(domain: Domain, found: Report, *, full: bool, track: Track) -> None:
    aside = Report()
    check_label_files(domain, aside)
    check_label_kinds(domain, {}, aside)
    counts = count_labels_of(domain, aside, known={}, full=full, track=track)
    pixels, strange, _ = label_pixels(domain, counts, int(getattr(domain.dataset, 'ignore_index', 255)))
    if counts and not strange and not aside.errors:
        check_presence(pixels, found)
