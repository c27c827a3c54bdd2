"""Files of a downloaded data set, whether they lie in folders, in zip archives or in zips inside a zip."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO

from dlc_mmseg.errors import UserError

# zipfile raises the last two for compressions that it does not know and for encrypted members
_BAD_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError)
_REMEDY = 'download it again, or extract it and pass the folder'
_PIECE = 1 << 24
_UNREADABLE = 'give the right to read it, or download it again'


class _Section(io.RawIOBase):
    """A byte range of a file as a file of its own: an uncompressed zip inside a zip, without unpacking it."""

    def __init__(self, file: IO[bytes], start: int, length: int) -> None:
        self._file, self._start, self._length, self._position = file, start, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self._file.seek(self._start + self._position)
        data = self._file.read(max(0, min(len(buffer), self._length - self._position)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


@dataclass(frozen=True)
class RawFile:
    """One file of a data set, readable in any process.

    Attributes:
        path: The file itself, or the zip archive that holds it.
        members: Names inside the archive, from the outermost to the innermost; empty for a plain file.
        stamp: Same stamp, same content: size and time of a plain file, size and CRC in an archive.
    """

    path: Path
    members: tuple[str, ...] = ()
    stamp: str = ''

    @property
    def name(self) -> str:
        """File name without folders."""
        return PurePosixPath(self.members[-1]).name if self.members else self.path.name

    @property
    def folder(self) -> str:
        """Name of the folder that holds the file; at the top of an archive, the archive's name."""
        if not self.members:
            return self.path.parent.name
        parent = PurePosixPath(self.members[-1]).parent.name
        archive = self.members[-2] if len(self.members) > 1 else self.path.name
        return parent or PurePosixPath(archive).stem

    def __str__(self) -> str:
        return ':'.join([str(self.path), *self.members])

    def checksum(self) -> str:
        """Size and CRC-32 of the content, known of an archived file, computed of a plain one.

        Raises:
            UserError: If the file is gone.
        """
        if self.members:
            return self.stamp
        try:
            return _checksum(self.path, self.stamp) if self.stamp else _checksum.__wrapped__(self.path, '')
        except OSError as error:
            raise UserError(self, f'cannot be read ({error.strerror or error})', _UNREADABLE) from error

    def read(self) -> bytes:
        """Whole content, in memory: nothing is ever unpacked to disk.

        Raises:
            UserError: If the file is gone or the archive is damaged.
        """
        try:
            if not self.members:
                return self.path.read_bytes()
            with self.path.open('rb') as file:
                return _read_member(file, self.members)
        except OSError as error:
            raise UserError(self, f'cannot be read ({error.strerror or error})', _UNREADABLE) from error
        except _BAD_ZIP as error:
            raise UserError(self, f'damaged zip archive ({error})', _REMEDY) from error


@lru_cache(maxsize=256)
def _checksum(path: Path, _stamp: str) -> str:
    """Size and CRC-32 of a file, by pieces: orthophotos are larger than memories."""
    length, checksum = 0, 0
    with path.open('rb') as file:
        while data := file.read(_PIECE):
            length, checksum = length + len(data), zlib.crc32(data, checksum)
    return f'{length}-{checksum:08x}'


@contextmanager
def _nested(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: IO[bytes]) -> Iterator[IO[bytes]]:
    """A zip inside a zip as a seekable file; directly where it is stored uncompressed, else through zlib."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        with archive.open(info) as inner:
            yield inner
        return
    file.seek(info.header_offset)
    header = file.read(30)
    start = info.header_offset + 30 + int.from_bytes(header[26:28], 'little')
    start += int.from_bytes(header[28:30], 'little')
    yield io.BufferedReader(_Section(file, start, info.file_size), buffer_size=1 << 20)


def _read_member(file: IO[bytes], members: tuple[str, ...]) -> bytes:
    with zipfile.ZipFile(file) as archive:
        if len(members) == 1:
            return archive.read(members[0])
        with _nested(archive, archive.getinfo(members[0]), file) as inner:
            return _read_member(inner, members[1:])


def _members(file: IO[bytes], suffixes: tuple[str, ...], depth: int = 0) -> Iterator[tuple[tuple[str, ...], str]]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename
            if name.startswith('__MACOSX/') or PurePosixPath(name).name.startswith('.'):
                continue
            if name.lower().endswith(suffixes):
                yield (name,), f'{info.file_size}-{info.CRC:08x}'
            elif name.lower().endswith('.zip') and depth == 0:
                with _nested(archive, info, file) as inner:
                    for rest, stamp in _members(inner, suffixes, depth + 1):
                        yield (name, *rest), stamp


def _in_archive(path: Path, suffixes: tuple[str, ...]) -> list[RawFile]:
    try:
        with path.open('rb') as file:
            return [RawFile(path, members, stamp) for members, stamp in _members(file, suffixes)]
    except OSError as error:
        raise UserError(path, f'cannot be read ({error.strerror or error})', _UNREADABLE) from error
    except _BAD_ZIP as error:
        raise UserError(path, f'damaged zip archive ({error})', _REMEDY) from error


def raw_file(path: Path) -> RawFile:
    """A plain file with its stamp.

    Args:
        path: The file.

    Raises:
        UserError: If it is not there.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(path, f'cannot be read ({error.strerror or error})', _UNREADABLE) from error
    return RawFile(path, stamp=f'{status.st_size}-{status.st_mtime_ns}')


def find_raw_files(root: Path, suffixes: tuple[str, ...] = ('.tif', '.tiff')) -> list[RawFile]:
    """All files with given suffixes under a folder or in a zip archive.

    Args:
        root: Folder, searched with all its subfolders and the zip archives in them, or one zip archive.
            An archive inside an archive is looked into as well (the ISPRS' ``Potsdam.zip``).
        suffixes: Lower-case file name endings.

    Returns:
        The files, extracted ones before archived ones, each group sorted by name.

    Raises:
        UserError: If ``root`` does not exist or an archive is damaged.
    """
    if root.is_file():
        return _in_archive(root, suffixes)
    if not root.is_dir():
        raise UserError(
            f'--dataset_path {root}', 'no such folder or zip archive', 'give the one that holds the published files'
        )
    plain: list[RawFile] = []
    archived: list[RawFile] = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith('.') and name != '__MACOSX')
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith('.'):
                continue
            if name.lower().endswith(suffixes):
                plain.append(raw_file(path))
            elif name.lower().endswith('.zip'):
                archived += _in_archive(path, suffixes)
    return plain + archived
