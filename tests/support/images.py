"""Reads an image as the readers of studies do: opened, described by its header, decoded; writes what Pillow cannot."""

from __future__ import annotations

import struct
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cxreport.reading.discover import open_image
from cxreport.reading.instance import DecodeLimits, Instance, Rendering
from cxreport.types import Pixels


def rendering(path: Path, frame: int = 0, *, colour: bool = False, **limits: Any) -> Rendering:
    """Decode a frame or page; ``limits`` are those of `DecodeLimits`."""
    with closing(open_image(str(path), DecodeLimits(**limits), colour)) as image:
        return image.rendering(frame)


def read(path: Path, frame: int = 0, *, colour: bool = False, **limits: Any) -> Pixels:
    """The pixels of a frame or page."""
    return rendering(path, frame, colour=colour, **limits).pixels


def inspect(path: Path, **limits: Any) -> Instance:
    """Read the header alone."""
    with closing(open_image(str(path), DecodeLimits(**limits))) as image:
        return image.instance


def sixteen_bit_png(
    samples: NDArray[Any], kind: int, orientation: int | None, *, orientation_is_last: bool = False
) -> bytes:
    """(H, W, C) samples in a colour type of PNG 6.1; Pillow writes grey alone."""
    head = struct.pack(">LLBBBBB", samples.shape[1], samples.shape[0], 16, kind, 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in samples)
    exif = b"MM\0*" + struct.pack(">LHHHLHHL", 8, 1, 274, 3, 1, orientation or 1, 0, 0)
    parts = [(b"IDAT", zlib.compress(lines))]
    if orientation is not None:
        parts.insert(1 if orientation_is_last else 0, (b"eXIf", exif))
    chunks = ((b"IHDR", head), *parts, (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))
