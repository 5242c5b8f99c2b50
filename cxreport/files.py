"""Files and folders written beside their place and renamed into it once complete: no reader meets half of one.

At the top of the package, as rooms from the model to the command line write such files.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import TracebackType

_LOCKED_BYTE = 1 << 62
"""On Windows a lock keeps others from reading what it covers: it covers a byte that no file has."""


class PartialFile:
    """``FILE.partial``, which becomes ``FILE`` once it is complete; until then what was there stays.

    As a context manager it hands out the path to write to, and puts the file in place at the end of the block, or
    removes it where the block raised. Nothing is synced to disk: it guards against interruptions, not power cuts.

    Attributes:
        path: where to write.
        target: path of the complete file, in the same folder.
    """

    def __init__(self, target: Path, suffix: str = ".partial") -> None:
        self.target = target
        self.path = target.with_name(target.name + suffix)

    def put_in_place(self) -> None:
        """Rename to the target, in place of an earlier file."""
        os.replace(self.path, self.target)

    def remove(self) -> None:
        """Remove what was written, if anything."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.put_in_place()
        else:
            self.remove()


@contextmanager
def partial_folder(target: Path) -> Iterator[Path]:
    """A new folder beside ``target`` that takes its place when the block ends without an error, and goes otherwise.

    The other files of an earlier folder, as a model card, move along; its subfolders do not. Missing parents are made.
    """
    import shutil
    import tempfile

    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield folder
        folder.chmod(0o755)
        if not target.exists():
            folder.rename(target)
            return
        for file in target.iterdir():
            if file.is_file() and not (folder / file.name).exists():
                shutil.copy2(file, folder)
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent)) / "old"
        target.rename(old)
        folder.rename(target)
        shutil.rmtree(old.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_regular(path: Path) -> FileIO:
    """Open a regular file to read and write, unbuffered; it is made where there is none, and nothing is cut off.

    Raises:
        OSError: it cannot be opened, or is a link or a special file: what was put in its place is not written to.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file")
    return FileIO(descriptor, "r+")


def open_locked(path: Path) -> FileIO:
    """Open a file as `open_regular` does, and lock it until it is closed or the process ends, however that ends.

    Raises:
        BlockingIOError: another process has locked it.
        OSError: it cannot be opened.
    """
    while True:
        stream = open_regular(path)
        try:
            _lock(stream)
            if is_at(stream, path):  # else the process that had locked it has removed it meanwhile
                return stream
        except BaseException:
            stream.close()
            raise
        stream.close()


def is_at(stream: FileIO, path: Path) -> bool:
    """True while a path leads to an open file."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), os.stat(path))
    except OSError:
        return False


def write_whole(stream: FileIO, content: bytes) -> None:
    """Append content to an unbuffered file, whole or not at all.

    Raises:
        OSError: there is no room for it, or the disk is gone.
    """
    start = stream.seek(0, os.SEEK_END)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[stream.write(rest) :]
    except BaseException:
        stream.truncate(start)
        raise


if sys.platform == "win32":
    import msvcrt

    def _lock(stream: FileIO) -> None:
        stream.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, error.strerror) from error
        finally:
            stream.seek(0)

else:
    import fcntl

    def _lock(stream: FileIO) -> None:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            pass  # some network file systems have no locks; results matter more


def config_folder() -> Path | None:
    """The user's configuration folder of the program; None where the user has no home, as in containers."""
    try:
        if sys.platform == "win32":
            base = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
        elif sys.platform == "darwin":
            base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / "Library" / "Application Support"
        else:
            base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    except RuntimeError:
        return None
    return Path(base) / "cxreport"
