"""Files of folders: links to folders followed once, and what is passed over named in the log."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

log = logging.getLogger(__name__)

_LEFTOVERS = {"__macosx", "thumbs.db", "desktop.ini", "dicomdir"}
_ARCHIVES = (
    ("zip", 0, b"PK\x03\x04"),
    ("gzip", 0, b"\x1f\x8b\x08"),
    ("tar", 257, b"ustar"),
    ("bzip2", 0, b"BZh"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    ("rar", 0, b"Rar!\x1a\x07"),
)
_ARCHIVE_SUFFIXES = {".zip", ".gz", ".tgz", ".tar", ".bz2", ".tbz", ".xz", ".txz", ".zst", ".7z", ".rar"}
_HEAD_BYTES = 512


def walk(folder: str) -> Iterator[str]:
    """Files below a folder in sorted order, without hidden ones, leftovers and archives.

    Links to folders come after all that is below the folder itself, and only where they lead to what is not read yet;
    a link in a circle ends there. Folders that cannot be listed come last, as if they were files.
    """
    denied: list[str] = []
    links: list[str] = []
    seen: set[tuple[int, int]] = set()
    yield from _files_below(folder, seen, links, denied)
    for link in links:  # grows meanwhile
        if _identity(link) in seen:
            log.warning("%s: passed over, as it leads to a folder that is read already", link)
        else:
            yield from _files_below(link, seen, links, denied)
    yield from denied


def archive_kind(head: bytes) -> str | None:
    """Kind of the archive that a file is, by its first 512 bytes; None for any other file."""
    return next((kind for kind, at, magic in _ARCHIVES if head.startswith(magic, at)), None)


def _files_below(folder: str, seen: set[tuple[int, int]], links: list[str], denied: list[str]) -> Iterator[str]:
    for root, folders, files in os.walk(folder, onerror=lambda error: denied.append(str(error.filename))):
        identity = _identity(root)
        if identity in seen:
            folders.clear()
            continue
        if identity is not None:
            seen.add(identity)
        kept = sorted(name for name in folders if not _is_leftover(name))
        linked = {name for name in kept if os.path.islink(os.path.join(root, name))}
        links += [os.path.join(root, name) for name in kept if name in linked]
        folders[:] = [name for name in kept if name not in linked]
        for name in sorted(files):
            path = os.path.join(root, name)
            if not _is_leftover(name) and not _is_archive(path):
                yield path


def _identity(folder: str) -> tuple[int, int] | None:
    """Device and inode of a folder, which all its names share; None where it cannot be looked at."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_archive(path: str) -> bool:
    """True for an archive that is called one, which is named in the log."""
    if os.path.splitext(path)[1].lower() not in _ARCHIVE_SUFFIXES or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as stream:
            kind = archive_kind(stream.read(_HEAD_BYTES))
    except OSError:
        return False
    if kind is not None:
        log.warning("%s: passed over, as it is an archive (%s); unpack it to read what is in it", path, kind)
    return kind is not None


def _is_leftover(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LEFTOVERS
