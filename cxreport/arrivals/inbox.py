"""Inbox: the folder that received instances are stored in, for nobody else to read, under names that tell nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from cxreport.errors import OutputError, UsageError
from cxreport.reading.pseudonym import keyed_digest

_PARTIAL = ".part"
_SUFFIX = ".dcm"
_DIGITS = 24


def private_folder(folder: Path) -> Path:
    """A folder that its owner alone can look into; made where there is none.

    The mode is looked at rather than tried: the system lets root read everything.

    Raises:
        UsageError: others can look into it, it belongs to somebody else, or it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror}).") from error
    if os.name == "nt":
        return folder
    if status.st_uid != os.geteuid():
        raise UsageError(f"{folder}: belongs to another user.", hint="Name a folder of your own, or a new one.")
    if stat.S_IMODE(status.st_mode) & 0o077:
        hint = f"chmod 700 {folder}, or name a new folder."
        raise UsageError(f"{folder}: others can look into it, and patients' images go there.", hint=hint)
    return folder


class Inbox:
    """Folder of received instances, as the sender encoded them.

    Args:
        folder: made with mode 0700 where there is none.
        key: of the digests that files are named by.

    Raises:
        UsageError: see `private_folder`.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self.folder = private_folder(folder)
        self._key = key
        self._placing = threading.Lock()

    def clear(self) -> None:
        """Remove what a listener that was killed left half written: the sender has no answer, and tries again.

        For the one listener that the inbox is claimed by.
        """
        for left in self.folder.glob(f"*/*{_PARTIAL}"):
            left.unlink(missing_ok=True)

    def store(self, instance_uid: str, content: bytes) -> str:
        """Store an instance, on disk when this returns.

        The same instance in the same bytes has the same name; in other bytes, as from a sender that numbers its
        instances anew, it has another one, so that none is lost.

        Args:
            instance_uid: SOP Instance UID.
            content: of the file (PS3.10), with preamble.

        Returns:
            Path of the file, relative to the folder.

        Raises:
            OutputError: it cannot be written, and nothing is left of it.
        """
        name = self._digest(instance_uid.encode("utf-8", "surrogateescape"))
        target = self.folder / name[:2] / f"{name}{_SUFFIX}"
        partial = target.with_name(f"{target.stem}-{secrets.token_hex(4)}{_PARTIAL}")
        try:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            _write_synced(partial, content)
            with self._placing:
                if target.exists() and target.read_bytes() != content:
                    target = target.with_name(f"{name}-{self._digest(content)}{_SUFFIX}")
                if target.exists():
                    partial.unlink()
                else:
                    os.replace(partial, target)
                    _sync_folder(target.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise OutputError(f"{self.folder}: cannot be written ({error.strerror}).") from error
        return str(target.relative_to(self.folder))

    def _digest(self, content: bytes) -> str:
        return keyed_digest(hashlib.sha256(content).hexdigest(), self._key)[:_DIGITS]

    def instances(self) -> Iterator[str]:
        """Paths of all instances that are whole, relative to the folder."""
        for path in sorted(self.folder.glob(f"*/*{_SUFFIX}")):
            yield str(path.relative_to(self.folder))


def _sync_folder(folder: Path) -> None:
    """Have a folder's new names on the disk too; Windows cannot."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600 to the disk itself: the sender may forget what it has an answer for."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
