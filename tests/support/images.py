"""Reads an image as the readers of studies do: opened, described by its header, decoded."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from cxreport.reading.discover import open_image
from cxreport.reading.instance import DecodeLimits, Instance
from cxreport.types import Pixels


def read(path: Path, frame: int = 0, *, colour: bool = False, **limits: Any) -> Pixels:
    """Decode a frame or page; ``limits`` are those of `DecodeLimits`."""
    with closing(open_image(str(path), DecodeLimits(**limits), colour)) as image:
        return image.pixels(frame)


def inspect(path: Path, **limits: Any) -> Instance:
    """Read the header alone."""
    with closing(open_image(str(path), DecodeLimits(**limits))) as image:
        return image.instance
