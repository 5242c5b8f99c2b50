"""File of an index: safetensors, written as entries come and read a part at a time.

The layout is public (https://github.com/huggingface/safetensors#format): the length of a JSON header in 8 bytes, the
header, the tensors. It is written here because entries come one by one, and read here because the tensors are neither
to be copied nor mapped: a mapped file that becomes shorter while it is searched ends the process. Nothing in it is
code, and all of it is checked before it is used. The metadata has a digest of the content, for `IndexFile.check`.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import RetrievalIndexError, UsageError
from cxreport.files import PartialFile
from cxreport.model.manifest import Manifest
from cxreport.retrieval.index_layout import (
    ALIGNMENT,
    BLOCK_BYTES,
    BUNDLE,
    DAMAGED,
    DIGEST,
    DTYPES,
    FIELDS,
    FORMAT,
    KINDS,
    MAX_HEADER_BYTES,
    MAX_SIZE,
    METADATA,
    make_header,
    new_digest,
    parse_header,
)
from cxreport.types import EntryKind, Floats

_KEPT_BYTES = 256 << 20
"""Embeddings that are kept in memory, so that a run with many queries reads them once."""


@dataclass(frozen=True, eq=False)
class Entry:
    """Report or image on its way into an index."""

    kind: EntryKind
    id: str
    source: str
    """Path of the file that it came from."""
    embedding: Floats
    """(E,) unit vector."""
    findings: str = ""
    impression: str = ""
    warnings: tuple[str, ...] = ()
    """Doubts about the image, for the user who builds the index; they are not stored."""


class IndexWriter:
    """Writer of an index: to a file beside it, which takes its place when the ``with`` block ends without an error.

    That file is this process's own, so that two builds of one index do not mix: it becomes that of the later one.
    Embeddings and texts go to disk as they come; 9 bytes per entry stay in memory.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.counts: dict[EntryKind, int] = dict.fromkeys(KINDS, 0)
        self._path = path
        self._partial = PartialFile(path, f".{os.getpid()}.partial")
        self._metadata = FORMAT | dict(zip(BUNDLE, (manifest.name, manifest.version, manifest.origin), strict=True))
        self._width = 0
        self._tensor_start = 0
        self._kinds = bytearray()
        self._offsets = array("q", [0])
        self._digest = new_digest(self._metadata)
        self._metadata[DIGEST] = self._digest.hexdigest()

    def __enter__(self) -> IndexWriter:
        if self._path.is_dir():
            raise UsageError(f"{self._path}: is a folder.", hint="Name the file that becomes the index.")
        try:
            self._text = tempfile.TemporaryFile(dir=self._path.parent)
            self._stream: BinaryIO = self._partial.path.open("wb")
        except OSError as error:
            raise UsageError(f"{self._partial.path}: cannot be written ({error.strerror}).") from error
        return self

    def add(self, entry: Entry) -> None:
        """Write an entry; all have embeddings of the same width."""
        if not self._width:
            self._width = len(entry.embedding)
            longest = json.dumps(make_header(self._metadata, MAX_SIZE, self._width, MAX_SIZE))
            self._tensor_start = -(-(8 + len(longest)) // ALIGNMENT) * ALIGNMENT
            self._stream.write(b"\0" * self._tensor_start)
        if entry.embedding.shape != (self._width,):
            raise ValueError(f"an embedding of shape {entry.embedding.shape} among those of {self._width}")
        self._append(entry.embedding.astype("<f4").tobytes())
        text = json.dumps({name: getattr(entry, name) for name in FIELDS}).encode()
        self._text.write(text)
        self._offsets.append(self._offsets[-1] + len(text))
        self._kinds.append(KINDS.index(entry.kind))
        self.counts[entry.kind] += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        complete = False
        try:
            if kind is None and self._kinds:
                self._finish()
                complete = True
        finally:
            self._text.close()
            self._stream.close()
            if not complete:
                with contextlib.suppress(OSError):
                    self._partial.remove()
        if complete:
            self._partial.put_in_place()

    def _append(self, content: bytes) -> None:
        self._stream.write(content)
        self._digest.update(content)

    def _finish(self) -> None:
        """Append the other tensors, fill in the header, and read it all back."""
        self._append(np.array(self._offsets, "<i8").tobytes())
        self._append(bytes(self._kinds))
        self._text.seek(0)
        while content := self._text.read(BLOCK_BYTES):
            self._append(content)
        self._metadata[DIGEST] = self._digest.hexdigest()
        header = json.dumps(make_header(self._metadata, len(self._kinds), self._width, self._offsets[-1])).encode()
        length = self._tensor_start - 8
        self._stream.seek(0)
        self._stream.write(length.to_bytes(8, "little") + header.ljust(length))
        self._stream.flush()
        with contextlib.closing(IndexFile(self._partial.path)) as file:
            file.check()


class IndexFile:
    """Index on disk, of which the embeddings are in memory where they are few, and the texts never.

    Attributes:
        path: of the file.
        bytes: its length.
        bundle_name: of the bundle that embedded its entries.
        bundle_version: likewise.
        bundle_sha256: `Manifest.origin` of that bundle.
        sha256: digest of its content, by its own account; empty in older indexes.
        entries: number of entries, N.
        width: dimensions of an embedding, E.
        kinds: (N,) positions in `KINDS`.
    """

    def __init__(self, path: Path) -> None:
        """Open an index and check that it is whole, without reading its embeddings and texts.

        Raises:
            RetrievalIndexError: missing, damaged, truncated, or of another format version.
        """
        if not path.is_file():
            raise RetrievalIndexError(f"{path}: no index there.")
        self.path = path
        self._block: Floats | None = None
        self._is_read = False
        try:
            self._stream = path.open("rb", buffering=0)
            self._status = self._look()
            self._read_header()
        except OSError as error:
            raise RetrievalIndexError(f"{path}: cannot be read ({error.strerror}).") from error

    def _read_header(self) -> None:
        self.bytes = self._status[0]
        length = int.from_bytes(self._read(0, 8), "little") if self.bytes >= 8 else self.bytes
        if self.bytes < 8 or length > min(self.bytes - 8, MAX_HEADER_BYTES):
            raise RetrievalIndexError(f"{self.path}: {DAMAGED}.")
        header = parse_header(bytes(self._read(8, length)), self.path)
        if 8 + length + header["text"]["data_offsets"][1] != self.bytes:
            raise RetrievalIndexError(f"{self.path}: damaged, it is longer or shorter than it says.")
        self._metadata: dict[str, str] = header[METADATA]
        self.bundle_name, self.bundle_version, self.bundle_sha256 = (self._metadata[name] for name in BUNDLE)
        self.sha256 = self._metadata.get(DIGEST, "")
        self.entries, self.width = header["embeddings"]["shape"]
        self._is_small = 4 * self.width * self.entries <= _KEPT_BYTES
        self._places = {name: 8 + length + header[name]["data_offsets"][0] for name in header if name != METADATA}
        self._start = 8 + length
        kinds = self._read(self._places["kind"], self.entries)
        self.kinds: NDArray[np.uint8] = np.frombuffer(kinds, DTYPES["U8"])
        if self.kinds.max() >= len(KINDS) or not self._in_order(header["text"]["shape"][0]):
            raise RetrievalIndexError(f"{self.path}: damaged, its entries are out of order.")

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def embeddings(self) -> Iterator[tuple[int, Floats]]:
        """Yield the embeddings: the number of the first one, and (n, E) unit vectors.

        All at once where they are few, which are kept in memory; else some at a time, in the same array.

        Raises:
            RetrievalIndexError: the file is no longer what it was when it was opened.
        """
        rows = max(1, (_KEPT_BYTES if self._is_small else BLOCK_BYTES) // (4 * self.width))
        if self._block is None:
            self._block = np.empty((min(rows, self.entries), self.width), DTYPES["F32"])
        for first in range(0, self.entries, rows):
            part = self._block[: self.entries - first]
            if not self._is_read:
                self._read_into(self._places["embeddings"] + first * 4 * self.width, part.data.cast("B"))
            self._is_read = self._is_small
            yield first, part
        if self._look() != self._status:
            raise self._changed()

    def embedding(self, row: int, count: int = 1) -> Floats:
        """(count, E) embeddings from a row on."""
        size = 4 * self.width
        content = self._read(self._places["embeddings"] + row * size, count * size)
        return np.frombuffer(content, DTYPES["F32"]).reshape(count, self.width)

    def fields(self, row: int) -> dict[str, str]:
        """Id, source, findings and impression of an entry.

        Raises:
            RetrievalIndexError: they are damaged, or the file is no longer what it was.
        """
        start, end = map(int, np.frombuffer(self._read(self._places["text_offsets"] + 8 * row, 16), DTYPES["I64"]))
        try:
            fields = json.loads(self._read(self._places["text"] + start, end - start))
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or not all(isinstance(fields.get(name), str) for name in FIELDS):
            raise RetrievalIndexError(f"{self.path}: damaged, entry {row} cannot be read.")
        return {name: fields[name] for name in FIELDS}

    def check(self) -> None:
        """Read the whole file and compare its content with its digest.

        Raises:
            RetrievalIndexError: altered or damaged, or without a digest.
        """
        if not self.sha256:
            raise RetrievalIndexError(f"{self.path}: has no digest, as it was built by an earlier version.")
        digest = new_digest({key: value for key, value in self._metadata.items() if key != DIGEST})
        for place in range(self._start, self.bytes, BLOCK_BYTES):
            digest.update(self._read(place, min(BLOCK_BYTES, self.bytes - place)))
        if digest.hexdigest() != self.sha256:
            raise RetrievalIndexError(f"{self.path}: altered or damaged, its content does not have its digest.")

    def _in_order(self, text_bytes: int) -> bool:
        """True if the texts of the entries follow one another."""
        last = 0
        for row in range(0, self.entries, BLOCK_BYTES // 8):
            count = min(BLOCK_BYTES // 8, self.entries - row) + 1
            content = self._read(self._places["text_offsets"] + 8 * row, 8 * count)
            offsets = np.frombuffer(content, DTYPES["I64"])
            if offsets[0] != last or (offsets[1:] < offsets[:-1]).any():
                return False
            last = int(offsets[-1])
        return last == text_bytes

    def _read(self, place: int, length: int) -> bytearray:
        """Read a part of the file, all of it."""
        content = bytearray(length)
        self._read_into(place, memoryview(content))
        return content

    def _read_into(self, place: int, content: memoryview) -> None:
        read = 0
        try:
            self._stream.seek(place)
            while read < len(content) and (more := self._stream.readinto(content[read:])):
                read += more
        except OSError as error:
            raise RetrievalIndexError(f"{self.path}: cannot be read ({error.strerror}).") from error
        if read < len(content):
            raise self._changed()

    def _look(self) -> tuple[int, int]:
        """Length and time of the last change of the open file."""
        status = os.fstat(self._stream.fileno())
        return status.st_size, status.st_mtime_ns

    def _changed(self) -> RetrievalIndexError:
        hint = "Run the command again once the index is complete."
        return RetrievalIndexError(f"{self.path}: was changed while it was searched.", hint=hint)
