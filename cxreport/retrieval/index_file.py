"""The file of an index: safetensors, written as entries come and read by memory mapping.

The layout is public (https://github.com/huggingface/safetensors#format): the length of a JSON header in 8 bytes, the
header, the tensors. It is written here because entries come one by one, and read here because the tensors are to be
mapped, not copied. Nothing in it is code, and all of it is checked before it is used.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import tempfile
from array import array
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import RetrievalIndexError, UsageError
from cxreport.files import PartialFile
from cxreport.model.manifest import Manifest
from cxreport.types import Floats

Kind = Literal["report", "image"]
KINDS: tuple[Kind, ...] = ("report", "image")
"""By their number in the file."""
FORMAT = {"format": "cxreport index", "format_version": "1"}
_BUNDLE = ("bundle_name", "bundle_version", "bundle_sha256")
_FIELDS = ("id", "source", "findings", "impression")
_BYTES = {"F32": 4, "I64": 8, "U8": 1}
_MOST = 10**18
_LONGEST_HEADER = 1 << 20
_ALIGNMENT = 64
_DAMAGED = "damaged, or no index"


@dataclass(frozen=True, eq=False)
class Entry:
    """A report or an image on its way into an index."""

    kind: Kind
    id: str
    source: str
    """Path of the file that it came from."""
    embedding: Floats
    """(E,) unit vector."""
    findings: str = ""
    impression: str = ""
    warnings: tuple[str, ...] = ()
    """For who builds the index; not kept."""


def _header(metadata: dict[str, str], entries: int, width: int, text: int) -> dict[str, Any]:
    """Lay out a file of that many entries, numbers per embedding and bytes of text."""
    tensors = {
        "embeddings": ("F32", [entries, width]),
        "text_offsets": ("I64", [entries + 1]),
        "kind": ("U8", [entries]),
        "text": ("U8", [text]),
    }
    header: dict[str, Any] = {"__metadata__": metadata}
    begin = 0
    for name, (dtype, shape) in tensors.items():
        end = begin + _BYTES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    return header


class IndexWriter:
    """Writes an index to ``FILE.partial``, which becomes ``FILE`` when the ``with`` block ends without an error.

    Embeddings and texts go to disk as they come; 9 bytes per entry stay in memory.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self._path = path
        self._partial = PartialFile(path)
        self._metadata = FORMAT | dict(zip(_BUNDLE, (manifest.name, manifest.version, manifest.origin), strict=True))
        self._width = 0
        self._reserved = 0
        self._kinds = bytearray()
        self._offsets = array("q", [0])

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
            longest = json.dumps(_header(self._metadata, _MOST, self._width, _MOST))
            self._reserved = -(-(8 + len(longest)) // _ALIGNMENT) * _ALIGNMENT
            self._stream.write(b"\0" * self._reserved)
        if entry.embedding.shape != (self._width,):
            raise ValueError(f"an embedding of shape {entry.embedding.shape} among those of {self._width}")
        self._stream.write(entry.embedding.astype("<f4").tobytes())
        text = json.dumps({name: getattr(entry, name) for name in _FIELDS}).encode()
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

    def _finish(self) -> None:
        """Append the other tensors and fill in the header."""
        self._stream.write(np.array(self._offsets, "<i8").tobytes())
        self._stream.write(self._kinds)
        self._text.seek(0)
        shutil.copyfileobj(self._text, self._stream)
        header = json.dumps(_header(self._metadata, len(self._kinds), self._width, self._offsets[-1])).encode()
        length = self._reserved - 8
        self._stream.seek(0)
        self._stream.write(length.to_bytes(8, "little") + header.ljust(length))


@dataclass(frozen=True, eq=False)
class IndexFile:
    """An index on disk, mapped into memory."""

    path: Path
    bytes: int
    bundle_name: str
    bundle_version: str
    bundle_sha256: str
    embeddings: Floats
    """(N, E) unit vectors."""
    kinds: NDArray[np.uint8]
    """(N,) positions in `KINDS`."""
    offsets: NDArray[np.int64]
    """(N + 1,) where the texts begin, and the end."""
    text: NDArray[np.uint8]

    def fields(self, row: int) -> dict[str, str]:
        """Id, source, findings and impression of an entry.

        Raises:
            RetrievalIndexError: they are damaged.
        """
        try:
            fields = json.loads(self.text[self.offsets[row] : self.offsets[row + 1]].tobytes())
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or not all(isinstance(fields.get(name), str) for name in _FIELDS):
            raise RetrievalIndexError(f"{self.path}: damaged, entry {row} cannot be read.")
        return {name: fields[name] for name in _FIELDS}


def open_index_file(path: Path) -> IndexFile:
    """Check and map an index.

    Raises:
        RetrievalIndexError: missing, damaged, truncated, or of another format version.
    """
    try:
        if not path.is_file():
            raise RetrievalIndexError(f"{path}: no index there.")
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                raise RetrievalIndexError(f"{path}: {_DAMAGED}.")
            metadata, layout = _parse(stream.read(length), path)
        start = 8 + length
        if start + layout["text"]["data_offsets"][1] != size:
            raise RetrievalIndexError(f"{path}: damaged, it is longer or shorter than it says.")
        data = np.asarray(np.memmap(path, np.uint8, "r"))
    except OSError as error:
        raise RetrievalIndexError(f"{path}: cannot be read ({error.strerror}).") from error
    embeddings, offsets, kinds, text = (
        data[start + begin : start + end].view(dtype).reshape(tensor["shape"])
        for tensor, dtype in zip(list(layout.values())[1:], ("<f4", "<i8", "u1", "u1"), strict=True)
        for begin, end in [tensor["data_offsets"]]
    )
    if offsets[0] != 0 or offsets[-1] != len(text) or (offsets[1:] < offsets[:-1]).any() or kinds.max() >= len(KINDS):
        raise RetrievalIndexError(f"{path}: damaged, its entries are out of order.")
    name, version, sha256 = (metadata[name] for name in _BUNDLE)
    return IndexFile(path, size, name, version, sha256, embeddings, kinds, offsets, text)


def _parse(content: bytes, path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Read a header; what comes back is laid out by `_header` from the sizes that the file's own header states."""
    try:
        found = json.loads(content)
        metadata = found["__metadata__"]
        entries, width = found["embeddings"]["shape"]
        (text,) = found["text"]["shape"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RetrievalIndexError(f"{path}: {_DAMAGED}.") from error
    named = isinstance(metadata, dict) and all(isinstance(metadata.get(name), str) for name in (*FORMAT, *_BUNDLE))
    if not named or metadata["format"] != FORMAT["format"]:
        raise RetrievalIndexError(f"{path}: {_DAMAGED}.")
    if metadata["format_version"] != FORMAT["format_version"]:
        raise RetrievalIndexError(
            f"{path}: format version {metadata['format_version']}; this cxreport reads {FORMAT['format_version']}.",
            hint="Build it again with `cxreport index build`.",
        )
    sizes = (entries, width, text)
    if not all(type(size) is int and 0 < size <= _MOST for size in sizes) or found != _header(metadata, *sizes):
        raise RetrievalIndexError(f"{path}: {_DAMAGED}.")
    return metadata, _header(metadata, *sizes)
