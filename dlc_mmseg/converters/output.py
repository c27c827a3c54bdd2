"""A data set folder that appears only when it is complete."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlc_mmseg.converters.sources import TileSource
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import remove_leftovers, write_atomically
from dlc_mmseg.files.locking import try_lock
from dlc_mmseg.files.statistics_file import STATISTICS_FILE_NAME, TileStatistics, write_class_statistics

RECORD = 'conversion.json'
_FORMAT = 'dlc_mmseg conversion'
_VERSION = 1


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False).encode())


def _read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file; empty where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps a second conversion into the same folder out; the system lifts the lock of a killed one."""
    with path.open('a') as file:
        if not try_lock(file):
            raise UserError(path.parent, 'another conversion is writing there', 'wait for it or stop it')
        yield


class OutputFolder:
    """Collects windows in a hidden folder beside the final one and renames it at the end.

    A tile counts as done from the moment its record is in the hidden folder; a killed conversion leaves
    nothing else that a later one would trust.

    Args:
        folder: The final folder.
        sources: What every tile that belongs into it is made from.
        settings: Parameters that decide on the content.
        kinds: Names of the subfolders of images and of labels.
    """

    def __init__(
        self,
        folder: Path,
        sources: dict[str, TileSource],
        settings: dict[str, Any],
        kinds: tuple[str, str] = ('img_dir', 'ann_dir'),
    ) -> None:
        self.folder = folder
        self._partial = folder.parent / f'.{folder.name}.partial'
        self._sources = sources
        self._settings = settings
        self._kinds = kinds
        self._done: set[str] = set()

    @property
    def _marks(self) -> Path:
        return self._partial / '.tiles'

    def complete(self) -> bool:
        """Whether the final folder holds just what is asked for.

        Raises:
            UserError: If it holds something else, which is never overwritten.
        """
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return False
        record = _read_json(self.folder / RECORD)
        if record.get('format') != _FORMAT or record.get('version') != _VERSION:
            found = 'exists and was not written by this command'
        elif record['settings'] != self._settings:
            changed = [key for key, value in self._settings.items() if record['settings'].get(key) != value]
            found = f'was made with other settings ({", ".join(changed) or "fewer or more"} differ)'
        elif changed := self._changed(record['tiles']):
            found = f'was made from other files ({len(changed)} tiles differ, {changed[0]} among them)'
        else:
            return True
        raise UserError(self.folder, found, 'delete it or choose another --out_dir')

    def _changed(self, records: dict[str, Any]) -> list[str]:
        """Tiles that a complete folder lacks, has beyond need, or has from other files."""
        both = records.keys() & self._sources.keys()
        other = [name for name in both if not self._sources[name].matches(records[name])]
        return sorted([*(records.keys() ^ self._sources.keys()), *other])

    @contextmanager
    def opened(self, splits: tuple[str, ...]) -> Iterator[None]:
        """Prepare the hidden folder and keep other conversions out of it.

        Args:
            splits: Subfolders of the folders of images and of labels; ``''`` puts tiles right into these.

        Raises:
            UserError: If nothing can be written there or another conversion is at it.
        """
        try:
            self._partial.mkdir(parents=True, exist_ok=True)
            lock = self._partial / '.lock'
            lock.touch()
        except OSError as error:
            reason = error.strerror
            raise UserError(
                f'--out_dir {self.folder.parent}', f'cannot be written ({reason})', 'name another folder'
            ) from error
        with _locked(lock):
            self._resume()
            labelled = any(source.label is not None for source in self._sources.values())
            for kind in self._kinds if labelled else self._kinds[:1]:
                for split in splits:
                    (self._partial / kind / split).mkdir(parents=True, exist_ok=True)
            yield

    def _resume(self) -> None:
        """Trust the records of an earlier run if settings and sources are the same; else start over."""
        record = self._partial / RECORD
        marks = {path.stem: _read_json(path) for path in self._marks.glob('*.json')}
        same = _read_json(record).get('settings') == self._settings
        if same and all(self._accepts(name, mark) for name, mark in marks.items()):
            self._done = set(marks)
            return
        for entry in self._partial.iterdir():
            if entry.name != '.lock':
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        self._marks.mkdir()
        _write_json(record, {'settings': self._settings})

    def _accepts(self, tile: str, mark: dict[str, Any]) -> bool:
        return tile in self._sources and self._sources[tile].matches(mark.get('source', {}))

    def is_done(self, tile: str) -> bool:
        """Whether an earlier run has converted a tile."""
        return tile in self._done

    def write(self, kind: str, split: str, name: str, data: bytes) -> None:
        """Write one window.

        Args:
            kind: One of the kinds, ``'img_dir'`` or ``'ann_dir'`` unless named otherwise.
            split: ``'train'``, ``'val'``, or ``''``.
            name: File name.
            data: Content.

        Raises:
            UserError: If it cannot be written.
        """
        path = self._partial / kind / split / name
        try:
            path.write_bytes(data)
        except OSError as error:
            raise UserError(
                path,
                f'cannot be written ({error.strerror})',
                'make room or choose another --out_dir, a rerun continues where this one stopped',
            ) from error

    def mark_done(
        self, tile: str, statistics: dict[str, TileStatistics], counts: Mapping[str, int] | None = None
    ) -> None:
        """Record that all windows of a tile are written.

        Args:
            tile: Its name.
            statistics: Label pixels of its windows.
            counts: Whatever is to be counted over all tiles, see `counts`.
        """
        files = {name: [list(entry.size), entry.counts] for name, entry in statistics.items()}
        record = self._sources[tile].record()
        mark = {'source': record, 'files': files, 'counts': dict(counts or {})}
        _write_json(self._marks / f'{tile}.json', mark)

    def counts(self) -> dict[str, int]:
        """What `mark_done` counted, over all tiles; of a complete folder."""
        return {str(name): int(number) for name, number in _read_json(self.folder / RECORD).get('counts', {}).items()}

    def commit(self) -> None:
        """Write class statistics and the record, then give the folder its final name.

        Raises:
            UserError: If the final folder has come into being meanwhile.
        """
        statistics: dict[str, dict[str, TileStatistics]] = {}
        marks = {tile: _read_json(self._marks / f'{tile}.json') for tile in self._sources}
        for tile, mark in marks.items():
            for name, (size, counts) in mark['files'].items():
                entry = TileStatistics((size[0], size[1]), {int(k): v for k, v in counts.items()})
                statistics.setdefault(self._sources[tile].split, {})[name] = entry
        for split, files in statistics.items():
            write_class_statistics(self._partial / self._kinds[1] / split / STATISTICS_FILE_NAME, files)
        remove_leftovers(self._partial)
        tiles = {tile: mark['source'] for tile, mark in marks.items()}
        record = {'format': _FORMAT, 'version': _VERSION, 'settings': self._settings, 'tiles': tiles}
        counted = [Counter(mark.get('counts', {})) for mark in marks.values()]
        record |= {'counts': dict(sum(counted, Counter()))} if any(counted) else {}
        _write_json(self._partial / RECORD, record)
        try:
            os.rename(self._partial, self.folder)
        except OSError as error:
            raise UserError(self.folder, f'cannot take its place ({error.strerror})', 'delete it') from error
        shutil.rmtree(self.folder / self._marks.name)
        (self.folder / '.lock').unlink()
