"""Checksums of the raw files behind each converted tile, by which a rerun notices that one has changed."""

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
        label: Label file; None of a part without labels.
    """

    split: str
    image: RawFile
    label: RawFile | None

    def record(self) -> dict[str, str]:
        """Names, checksums and stamps, for a JSON file; reads plain files once."""
        record = {'split': self.split}
        for kind, raw in self._files():
            record |= {kind: f'{raw.name} {raw.checksum()}', f'{kind}_stamp': raw.stamp}
        return record

    def matches(self, record: dict[str, Any]) -> bool:
        """Whether a record was made from the same content; files are read only where their stamp has changed."""
        files = self._files()
        kinds = {kind for kind in ('image', 'label') if kind in record}
        return (
            record.get('split') == self.split
            and kinds == {kind for kind, _ in files}
            and all(_same(raw, str(record.get(kind)), record.get(f'{kind}_stamp')) for kind, raw in files)
        )

    def _files(self) -> list[tuple[str, RawFile]]:
        return [('image', self.image)] + ([] if self.label is None else [('label', self.label)])


def _same(raw: RawFile, known: str, stamp: Any) -> bool:
    name, _, checksum = known.rpartition(' ')
    return name == raw.name and (stamp == raw.stamp or checksum == raw.checksum())
