"""Pictures in a terminal: half blocks in colour, shades without, or a graphics protocol by way of a library."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from PIL import Image
from rich.color import Color
from rich.console import Console, RenderableType
from rich.style import Style
from rich.text import Text

from cxreport.errors import MissingExtraError
from cxreport.explain import heatmap
from cxreport.output.formats import Graphics
from cxreport.types import Floats, Grey, Pixels

_ASCII_RAMP, _RAMP = " .:-=+*#%@", " ░▒▓█"


class Painter(ABC):
    """Base of the ways to draw square pictures ``width`` columns wide."""

    beside_text = True
    """True where text can stand beside a picture."""

    def __init__(self, width: int) -> None:
        self.width = width

    @abstractmethod
    def original(self, grey: Grey) -> RenderableType:
        """Draw a picture."""

    @abstractmethod
    def overlay(self, grey: Grey, weights: Floats) -> RenderableType:
        """Draw a map of the picture."""


class Blocks(Painter):
    """Two pixels in a cell: the upper one as its foreground, the lower one as its background."""

    def original(self, grey: Grey) -> RenderableType:
        """Draw a picture in grey."""
        return self._drawn(np.repeat(grey[..., None], 3, -1))

    def overlay(self, grey: Grey, weights: Floats) -> RenderableType:
        """Draw a map over a picture."""
        return self._drawn(heatmap.overlay(grey, weights))

    def _drawn(self, rgb: Pixels) -> Text:
        side = self.width - self.width % 2
        pixels = np.asarray(Image.fromarray(rgb).resize((side, side), Image.Resampling.BOX))
        text = Text(no_wrap=True, end="")
        for row in range(0, side, 2):
            for upper, lower in zip(pixels[row], pixels[row + 1], strict=True):
                colours = (Color.from_rgb(*map(int, pixel)) for pixel in (upper, lower))
                text.append("▀", Style.from_color(*colours))
            text.append("\n" if row + 2 < side else "")
        return text


class Shades(Painter):
    """Characters that are the denser, the brighter the pixel is; a map is drawn alone, as shades cannot show both."""

    def __init__(self, width: int, ascii_only: bool) -> None:
        super().__init__(width)
        self._ramp = _ASCII_RAMP if ascii_only else _RAMP

    def original(self, grey: Grey) -> RenderableType:
        """Draw a picture."""
        size = (self.width, max(1, self.width // 2))
        small = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX), dtype=np.float32)
        return self._drawn(small / np.float32(255))

    def overlay(self, grey: Grey, weights: Floats) -> RenderableType:
        """Draw a map in the size of the picture."""
        return self._drawn(heatmap.upsampled(weights, max(1, self.width // 2), self.width))

    def _drawn(self, brightness: Floats) -> Text:
        levels = np.minimum((brightness * len(self._ramp)).astype(int), len(self._ramp) - 1)
        return Text("\n".join("".join(self._ramp[level] for level in row) for row in levels), no_wrap=True, end="")


class Protocol(Painter):
    """Whole pixels, by a terminal graphics protocol; a renderable class of textual-image draws them."""

    beside_text = False

    def __init__(self, width: int, renderable: Any) -> None:
        super().__init__(width)
        self._renderable = renderable

    def original(self, grey: Grey) -> RenderableType:
        """Draw a picture in grey."""
        return self._drawn(grey)

    def overlay(self, grey: Grey, weights: Floats) -> RenderableType:
        """Draw a map over a picture."""
        return self._drawn(heatmap.overlay(grey, weights))

    def _drawn(self, pixels: Pixels) -> RenderableType:
        picture: RenderableType = self._renderable(Image.fromarray(pixels).convert("RGB"), width=self.width)
        return picture


def make_painter(graphics: Graphics, console: Console, width: int) -> Painter | None:
    """Choose how to draw.

    Without colour, as in pipes and with NO_COLOR, pictures are shades, whatever was asked for.

    Args:
        graphics: what was asked for.
        console: where pictures go.
        width: of pictures in columns.

    Returns:
        None for no pictures.

    Raises:
        MissingExtraError: a protocol was asked for and the library is not installed.
    """
    width = min(width, console.width)
    if graphics is Graphics.NONE:
        return None
    if console.color_system is None or console.no_color or console.options.ascii_only:
        return Shades(width, console.options.ascii_only)
    if graphics is Graphics.BLOCKS:
        return Blocks(width)
    try:
        renderable = _renderable(graphics)
    except ImportError:
        if graphics is not Graphics.AUTO:
            raise MissingExtraError(f"--graphics {graphics}", "graphics") from None
        renderable = None
    return Blocks(width) if renderable is None else Protocol(width, renderable)


def _renderable(graphics: Graphics) -> Any:
    """Class of textual-image for a protocol; for ``auto`` that of the terminal, which its import asks, or None."""
    if graphics is Graphics.AUTO and not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    from textual_image import renderable

    if graphics is Graphics.AUTO:
        protocols = (renderable.TGPImage, renderable.SixelImage)
        return renderable.Image if renderable.Image in protocols else None
    return renderable.TGPImage if graphics is Graphics.KITTY else renderable.SixelImage
