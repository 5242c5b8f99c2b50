"""Parts of pages: pictures and assets as text, sentences with their evidence, maps, and what a browser may load."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxreport.explain import heatmap
from cxreport.reading.instance import OWN_MARK

if TYPE_CHECKING:
    from cxreport.sentences import Sentence
    from cxreport.types import Floats, Grey, Pixels

__all__ = [
    "MAPS_SCRIPT",
    "Maps",
    "as_grey",
    "asset",
    "base_style",
    "data_uri",
    "embedded_json",
    "png",
    "policy",
    "row",
    "sentence_row",
    "texts_block",
]

MAPS_SCRIPT = "maps.js"
_SCALE = 16
"""Pixels of the page's overlay for each patch; the browser stretches it to the picture."""


class Maps:
    """Maps of a page: its elements refer to them by their indices, and its script draws them."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._shape = (1, 1)

    def __bool__(self) -> bool:
        return bool(self._entries)

    def add(self, weights: Floats, name: str) -> int:
        """Append a map, scaled to its largest weight, and return its index."""
        relative = weights / (float(weights.max()) or 1.0)
        caption = f"{name} \N{EN DASH} {heatmap.describe(weights)}"
        rows, columns = weights.shape
        self._shape = (rows, columns)
        self._entries.append({"weights": [round(float(w), 3) for w in relative.ravel()], "caption": caption})
        return len(self._entries) - 1

    @property
    def data(self) -> dict[str, Any]:
        """What the script reads: all maps have the patch grid of the bundle."""
        rows, columns = self._shape
        return {
            "rows": rows,
            "columns": columns,
            "scale": _SCALE,
            "colours": heatmap.COLOURS,
            "opacity": heatmap.OPACITY,
            "maps": self._entries,
        }


def sentence_row(number: int, sentence: Sentence, maps: Maps) -> str:
    """A sentence over what it states and where it came from; with maps, its words can be pointed at and focused."""
    notes = "; ".join([*(statement.text for statement in sentence.statements), f"{sentence.origin} sentence"])
    evidence = f'<small class="evidence">{html.escape(notes)}</small>'
    look = sentence.map
    if look is None:
        return row(number, html.escape(sentence.text) + evidence)
    index = maps.add(look.weights, f"Sentence {number}")
    word_indices = [maps.add(word.weights, word.word) for word in look.words]
    words = " ".join(
        f'<span class="word" tabindex="0" data-map="{word_index}">{html.escape(word.word)}</span>'
        for word_index, word in zip(word_indices, look.words, strict=True)
    )
    return row(number, words + evidence, index)


def row(number: int, content: str, index: int | None = None) -> str:
    """A numbered row; where it has a map its number is a button, so that keys reach it."""
    if index is None:
        return f'<div class="sentence"><span class="number">{number}.</span><span>{content}</span></div>'
    button = f'<button type="button" class="number" aria-label="Map of number {number}">{number}.</button>'
    return f'<div class="sentence" data-map="{index}">{button}<span>{content}</span></div>'


def texts_block(heading: str, texts: tuple[str, ...]) -> str:
    """A heading over a list; nothing where the list is empty."""
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return f"<h2>{html.escape(heading)}</h2>\n<ul>{items}</ul>" if texts else ""


def png(pixels: Pixels) -> bytes:
    """Encode a picture without metadata but for the mark by which it is not read as a radiograph."""
    stream, mark = io.BytesIO(), PngInfo()
    mark.add_text("Software", OWN_MARK)
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=mark)
    return stream.getvalue()


def as_grey(pixels: Pixels) -> Grey:
    """A picture without its colours."""
    return pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))


def data_uri(content: bytes, kind: str = "png") -> str:
    """Write an image as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def asset(package: str, name: str) -> str:
    """Read a file of a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def base_style() -> str:
    """The style that all pages share."""
    gradient = ", ".join(f"rgb{colour}" for colour in heatmap.COLOURS)
    return Template(asset(__package__, "base.css")).substitute(gradient=gradient)


def embedded_json(value: object) -> str:
    """Write JSON that no parser of HTML takes for a tag."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def policy(style: str, script: str = "") -> str:
    """Content Security Policy of a page that loads nothing, and runs its own script and style alone."""
    scripts = f"; script-src {_digest(script)}" if script else ""
    return f"default-src 'none'; img-src data:; style-src {_digest(style)}{scripts}"


def _digest(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
