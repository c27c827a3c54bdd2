"""Classes of which no label holds a pixel, above all because their value is the ignored one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dlc_mmseg.checks.domain_files import Domain
from dlc_mmseg.checks.report import Report

_LABEL_MAP = 'the label_map of a CodedLabelDataset (source_label_map in dlc_custom.py)'


@dataclass(frozen=True)
class LabelPixels:
    """Label pixels of a dataset.

    Attributes:
        domain: The dataset.
        labels: Pixels by label, after ``reduce_zero_label`` and ``label_map``.
        ignored: Pixels whose value in the file is 255.
        complete: Whether all its images were counted.
    """

    domain: Domain
    labels: Mapping[int, int]
    ignored: int
    complete: bool

    @property
    def where(self) -> str:
        """Folder of the label images."""
        return str(self.domain.dataset.data_prefix.get('seg_map_path') or self.domain.name)

    @property
    def absent(self) -> list[int]:
        """Classes without a pixel."""
        return [index for index in range(len(self.domain.classes)) if not self.labels.get(index)]

    @property
    def ignored_share(self) -> str:
        """What 255 makes up of all pixels."""
        return f'255, which is ignored, makes up {self.ignored / max(sum(self.labels.values()), 1):.0%} of the pixels'


def check_presence(pixels: LabelPixels, report: Report) -> bool:
    """Find labels of one dataset that hold no class at all, or hide a class behind the ignored value.

    Args:
        pixels: What was counted.
        report: Receives the finding: an error where at most one class is left.

    Returns:
        Whether nothing was found.
    """
    domain, absent = pixels.domain, pixels.absent
    left = len(domain.classes) - len(absent)
    if not left and (pixels.complete or domain.role == 'source'):
        what = f'{domain.role} labels hold no pixel of any class'
        what += f'; {pixels.ignored_share}' if pixels.ignored else ''
        report.error(pixels.where, what, 'correct reduce_zero_label, metainfo.classes or the label folder')
        return False
    if absent and pixels.ignored and (pixels.complete or left == 1):
        names = ', '.join(domain.classes[index] for index in absent)
        what = f'{pixels.ignored_share} of {domain.role} labels, and none is {names}'
        index = _value_of(absent[0], domain)
        meant = f'if 255 means {domain.classes[absent[0]]}, write {index} in its place or name 255 in {_LABEL_MAP}'
        many = 'if 255 means one of them, write the index of that class in its place'
        remedy = f'{meant if len(absent) == 1 else many}; else correct metainfo.classes'
        (report.error if left == 1 and pixels.complete else report.warning)(pixels.where, what, remedy)
        return False
    return True


def check_joint_presence(counted: Iterable[LabelPixels], report: Report) -> None:
    """Find classes that no label of all datasets of one role holds.

    Args:
        counted: What was counted of the datasets of one role, joined ones among them; those with findings of their own
            left out.
        report: Receives one warning.
    """
    counted = list(counted)
    if not counted or not all(pixels.complete for pixels in counted):
        return
    total: Counter[int] = Counter()
    for pixels in counted:
        total.update(pixels.labels)
    domain = counted[0].domain
    absent = [name for index, name in enumerate(domain.classes) if not total[index]]
    if not absent:
        return
    remedy = 'the network cannot learn these; correct metainfo.classes if they should be there'
    if domain.role != 'source':
        remedy = 'their IoU is nan and left out of the mean; validate on images with all classes or compare with care'
    report.warning(counted[0].where, f'no {domain.role} label holds {", ".join(absent)}', remedy)


def _value_of(index: int, domain: Domain) -> int:
    """Value in the file of a class."""
    return index + bool(getattr(domain.dataset, 'reduce_zero_label', False))
