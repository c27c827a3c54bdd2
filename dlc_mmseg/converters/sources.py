"""What a converted tile was made from, remembered so that a rerun can tell whether it still is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlc_mmseg.converters.raw_files import RawFile


@dataclass(frozen=True)
class TileSource:
    """The raw files of one tile in one variant.

    Attributes:
        split: Part of the data set.
        image: Image file.
        label: Label file.
    """

    split: str
    image: RawFile
    label: RawFile

    def record(self) -> dict[str, str]:
        """Names, checksums and stamps, for a JSON file; reads plain files once."""
        return {
            'split': self.split,
            'image': f'{self.image.name} {self.image.checksum()}',
            'image_stamp': self.image.stamp,
            'label': f'{self.label.name} {self.label.checksum()}',
            'label_stamp': self.label.stamp,
        }

    def matches(self, record: dict[str, Any]) -> bool:
        """Whether a record was made from the same content; files are read only where their stamp has changed."""
        return record.get('split') == self.split and all(
            _same(raw, str(record.get(kind)), record.get(f'{kind}_stamp'))
            for kind, raw in (('image', self.image), ('label', self.label))
        )


def _same(raw: RawFile, known: str, stamp: Any) -> bool:
    name, _, checksum = known.rpartition(' ')
    return name == raw.name and (stamp == raw.stamp or checksum == raw.checksum())
