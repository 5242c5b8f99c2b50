"""Reads an image as the readers of studies do: opened, described by its header, decoded."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

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
