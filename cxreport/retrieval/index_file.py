"""File of an index: safetensors, written as entries come and read by memory mapping.

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
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import RetrievalIndexError, UsageError
from cxreport.files import PartialFile
from cxreport.model.manifest import Manifest
from cxreport.types import EntryKind, Floats

KINDS: tuple[EntryKind, ...] = ("report", "image")
"""Kinds of entries by their number in the file."""
FORMAT = {"format": "cxreport index", "format_version": "1"}
"""Metadata of every index; that of its bundle comes on top."""
_METADATA = "__metadata__"
_BUNDLE = ("bundle_name", "bundle_version", "bundle_sha256")
_FIELDS = ("id", "source", "findings", "impression")
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "U8": np.dtype("u1")}
_MAX_SIZE = 10**18
_MAX_HEADER_BYTES = 1 << 20
_ALIGNMENT = 64
_DAMAGED = "damaged, or no index"


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


def _header(metadata: dict[str, str], entries: int, width: int, text_bytes: int) -> dict[str, Any]:
    """Lay out a file of that many entries, numbers per embedding and bytes of text."""
    tensors = {
        "embeddings": ("F32", [entries, width]),
        "text_offsets": ("I64", [entries + 1]),
        "kind": ("U8", [entries]),
        "text": ("U8", [text_bytes]),
    }
    header: dict[str, Any] = {_METADATA: metadata}
    begin = 0
    for name, (dtype, shape) in tensors.items():
        end = begin + _DTYPES[dtype].itemsize * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    return header


class IndexWriter:
    """Writer of an index: to ``FILE.partial``, which becomes ``FILE`` when the ``with`` block ends without an error.

    Embeddings and texts go to disk as they come; 9 bytes per entry stay in memory.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.counts: dict[EntryKind, int] = dict.fromkeys(KINDS, 0)
        self._path = path
        self._partial = PartialFile(path)
        self._metadata = FORMAT | dict(zip(_BUNDLE, (manifest.name, manifest.version, manifest.origin), strict=True))
        self._width = 0
        self._tensor_start = 0
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
            longest = json.dumps(_header(self._metadata, _MAX_SIZE, self._width, _MAX_SIZE))
            self._tensor_start = -(-(8 + len(longest)) // _ALIGNMENT) * _ALIGNMENT
            self._stream.write(b"\0" * self._tensor_start)
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
        length = self._tensor_start - 8
        self._stream.seek(0)
        self._stream.write(length.to_bytes(8, "little") + header.ljust(length))


@dataclass(frozen=True, eq=False)
class IndexFile:
    """Index on disk, mapped into memory."""

    path: Path
    bytes: int
    bundle_name: str
    bundle_version: str
    bundle_sha256: str
    """`Manifest.origin` of the bundle that embedded its entries."""
    embeddings: Floats
    """(N, E) unit vectors."""
    kinds: NDArray[np.uint8]
    """(N,) positions in `KINDS`."""
    offsets: NDArray[np.int64]
    """(N + 1,) starts of the entries in ``text``, and its end."""
    text: NDArray[np.uint8]
    """JSON of the entries, one after the other."""

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
            if size < 8 or length > min(size - 8, _MAX_HEADER_BYTES):
                raise RetrievalIndexError(f"{path}: {_DAMAGED}.")
            header = _parse(stream.read(length), path)
        if 8 + length + header["text"]["data_offsets"][1] != size:
            raise RetrievalIndexError(f"{path}: damaged, it is longer or shorter than it says.")
        tensors = _tensors(np.asarray(np.memmap(path, np.uint8, "r"))[8 + length :], header)
    except OSError as error:
        raise RetrievalIndexError(f"{path}: cannot be read ({error.strerror}).") from error
    file = IndexFile(
        path=path,
        bytes=size,
        **{name: header[_METADATA][name] for name in _BUNDLE},
        embeddings=tensors["embeddings"],
        kinds=tensors["kind"],
        offsets=tensors["text_offsets"],
        text=tensors["text"],
    )
    starts, ends = file.offsets[:-1], file.offsets[1:]
    if starts[0] != 0 or ends[-1] != len(file.text) or (ends < starts).any() or file.kinds.max() >= len(KINDS):
        raise RetrievalIndexError(f"{path}: damaged, its entries are out of order.")
    return file


def _tensors(data: NDArray[np.uint8], header: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """Tensors of a file by name, as views of the bytes behind its header."""
    return {
        name: data[slice(*tensor["data_offsets"])].view(_DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
        for name, tensor in header.items()
        if name != _METADATA
    }


def _parse(content: bytes, path: Path) -> dict[str, Any]:
    """Header of a file, as `_header` makes it of the metadata and the sizes that the file's own states."""
    try:
        header = json.loads(content)
        metadata = header[_METADATA]
        entries, width = header["embeddings"]["shape"]
        (text_bytes,) = header["text"]["shape"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RetrievalIndexError(f"{path}: {_DAMAGED}.") from error
    complete = isinstance(metadata, dict) and all(isinstance(metadata.get(key), str) for key in (*FORMAT, *_BUNDLE))
    if not complete or metadata["format"] != FORMAT["format"]:
        raise RetrievalIndexError(f"{path}: {_DAMAGED}.")
    if metadata["format_version"] != FORMAT["format_version"]:
        raise RetrievalIndexError(
            f"{path}: format version {metadata['format_version']}; this cxreport reads {FORMAT['format_version']}.",
            hint="Build it again with `cxreport index build`.",
        )
    sizes = (entries, width, text_bytes)
    if not all(type(size) is int and 0 < size <= _MAX_SIZE for size in sizes) or header != _header(metadata, *sizes):
        raise RetrievalIndexError(f"{path}: {_DAMAGED}.")
    return _header(metadata, *sizes)
