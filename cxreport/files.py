"""Files and folders written beside their place and renamed into it once complete: no reader meets half of one.

At the top of the package, as rooms from the model to the command line write such files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType


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
