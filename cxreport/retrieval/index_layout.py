"""Layout of an index file: its tensors, its metadata, and the digest of both."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from cxreport.errors import RetrievalIndexError
from cxreport.types import EntryKind

KINDS: tuple[EntryKind, ...] = ("report", "image")
"""Kinds of entries by their number in the file."""
FORMAT = {"format": "cxreport index", "format_version": "1"}
"""Metadata of every index; that of its bundle comes on top."""
METADATA = "__metadata__"
DIGEST = "sha256"
"""Key of the digest; older indexes have none."""
BUNDLE = ("bundle_name", "bundle_version", "bundle_sha256")
FIELDS = ("id", "source", "findings", "impression")
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "U8": np.dtype("u1")}
MAX_SIZE = 10**18
MAX_HEADER_BYTES = 1 << 20
ALIGNMENT = 64
DAMAGED = "damaged, or no index"
BLOCK_BYTES = 1 << 22


def make_header(metadata: dict[str, str], entries: int, width: int, text_bytes: int) -> dict[str, Any]:
    """Lay out a file of that many entries, numbers per embedding and bytes of text."""
    tensors = {
        "embeddings": ("F32", [entries, width]),
        "text_offsets": ("I64", [entries + 1]),
        "kind": ("U8", [entries]),
        "text": ("U8", [text_bytes]),
    }
    header: dict[str, Any] = {METADATA: metadata}
    begin = 0
    for name, (dtype, shape) in tensors.items():
        end = begin + DTYPES[dtype].itemsize * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        begin = end
    return header


def new_digest(metadata: dict[str, str]) -> hashlib._Hash:
    """Digest of an index with this metadata, to be updated with all that follows on its header."""
    return hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())


def parse_header(content: bytes, path: Path) -> dict[str, Any]:
    """Header of a file, as `make_header` makes it of the metadata and the sizes that the file's own states."""
    try:
        header = json.loads(content)
        metadata = header[METADATA]
        entries, width = header["embeddings"]["shape"]
        (text_bytes,) = header["text"]["shape"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RetrievalIndexError(f"{path}: {DAMAGED}.") from error
    complete = isinstance(metadata, dict) and all(isinstance(metadata.get(key), str) for key in (*FORMAT, *BUNDLE))
    if not complete or metadata["format"] != FORMAT["format"]:
        raise RetrievalIndexError(f"{path}: {DAMAGED}.")
    if metadata["format_version"] != FORMAT["format_version"]:
        raise RetrievalIndexError(
            f"{path}: format version {metadata['format_version']}; this cxreport reads {FORMAT['format_version']}.",
            hint="Build it again with `cxreport index build`.",
        )
    sizes = (entries, width, text_bytes)
    if not all(type(size) is int and 0 < size <= MAX_SIZE for size in sizes) or header != make_header(metadata, *sizes):
        raise RetrievalIndexError(f"{path}: {DAMAGED}.")
    return make_header(metadata, *sizes)
