"""Files of an explanation: an overlay per sentence, and one page that needs nothing but a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
import re
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cxreport import DISCLAIMER
from cxreport.errors import UsageError
from cxreport.explain import heatmap
from cxreport.files import PartialFile, open_regular, write_whole
from cxreport.model.manifest import Manifest
from cxreport.reading.instance import OWN_MARK
from cxreport.sentences import Sentence, SentenceMap
from cxreport.types import Floats, Pixels

if TYPE_CHECKING:
    from cxreport.explain.explain import Explanation

PICTURE_SIZE = 512
"""Longer side of the written pictures, in pixels at least."""
_SCALE = 16
"""Pixels of the page's overlay for each patch; the browser stretches it to the picture."""
_OVERLAY = re.compile(r"\d\d-(findings|impression|tag-[a-z0-9-]+)\.png")
_HINT = "Point at a word or a sentence, or go to it with the Tab key, to see where the network looked."


def write_files(explanation: Explanation, manifest: Manifest, folder: Path) -> list[Path]:
    """Write pictures and page into a folder.

    Args:
        explanation: of one study.
        manifest: of the bundle that drafted the report.
        folder: made if it is missing; files of the same names are replaced.

    Returns:
        ``original.png``, an overlay for each sentence and for each tag asked for, and last ``index.html``.

    Raises:
        UsageError: the folder cannot be written to, or has a file of the study that would be replaced.
    """
    picture = heatmap.enlarged(explanation.picture, PICTURE_SIZE)
    maps = [*(look.weights for _, look in explanation.sentences), *(t.weights for t in explanation.tags)]
    overlays = zip(explanation.names(), maps, strict=True)
    files = {"original.png": _png(picture)}
    files |= {f"{name}.png": _png(heatmap.overlay(picture, weights)) for name, weights in overlays}
    files["index.html"] = page(explanation, manifest).encode(errors="backslashreplace")  # names need not be UTF-8
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = [path for path in folder.iterdir() if _OVERLAY.fullmatch(path.name)]
        for path in {*earlier, *(folder / name for name in files)}:
            _require_no_source(path, explanation)
        for overlay in earlier:
            overlay.unlink()  # of an earlier report, which may have had more sentences
        for name, content in files.items():
            with PartialFile(folder / name) as path, open_regular(path) as file:
                file.truncate(0)
                write_whole(file, content)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}).") from error
    return [folder / name for name in files]


def _require_no_source(path: Path, explanation: Explanation) -> None:
    """Refuse to replace a file that the study was read from."""
    for source in explanation.report.study.sources:
        if path.exists() and os.path.exists(source) and os.path.samefile(path, source):
            hint = "Name another folder."
            raise UsageError(f"{path}: is a file of the study, the page would replace it.", hint=hint)


def page(explanation: Explanation, manifest: Manifest) -> str:
    """Build the page: the picture, the report, and a map for each sentence, word and tag.

    Style, script and picture are part of it, and its policy lets the browser load and run nothing else.
    """
    maps: list[dict[str, Any]] = []
    gradient = ", ".join(f"rgb{colour}" for colour in heatmap.COLOURS)
    style = Template(_asset("page.css")).substitute(gradient=gradient)
    script = _asset("page.js")
    article = _article(explanation, maps)
    rows, columns = maps[0]["shape"] if maps else (1, 1)
    data = {
        "rows": rows,
        "columns": columns,
        "scale": _SCALE,
        "colours": heatmap.COLOURS,
        "opacity": heatmap.OPACITY,
        "maps": [{"weights": entry["weights"], "caption": entry["caption"]} for entry in maps],
    }
    picture = base64.b64encode(_png(heatmap.enlarged(explanation.picture, PICTURE_SIZE))).decode()
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}"
    return Template(_asset("page.html")).substitute(
        policy=policy,
        title=html.escape(explanation.report.study.id),
        disclaimer=html.escape(DISCLAIMER),
        style=style,
        picture=f"data:image/png;base64,{picture}",
        hint=html.escape(_HINT),
        article=article,
        model=html.escape(f"Drafted by {manifest.name} {manifest.version} ({manifest.sha256[:12]})."),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        script=script,
    )


def _article(explanation: Explanation, maps: list[dict[str, Any]]) -> str:
    """Write sections, tags and warnings; the maps that they refer to are appended to ``maps``."""
    blocks, heading = [], None
    for number, (sentence, look) in enumerate(explanation.sentences, start=1):
        if heading is not sentence.section:
            heading = sentence.section
            blocks.append(f"<h2>{heading.capitalize()}</h2>")
        blocks.append(_sentence(number, sentence, look, maps))
    if not explanation.sentences:
        blocks.append("<p>The report is empty.</p>")
    if explanation.tags:
        blocks.append("<h2>Tags asked for</h2>")
    for number, tag in enumerate(explanation.tags, start=len(explanation.sentences) + 1):
        blocks.append(_row(number, html.escape(tag.text), _map(maps, tag.weights, tag.tag)))
    if explanation.report.warnings:
        warnings = "".join(f"<li>{html.escape(text)}</li>" for text in explanation.report.warnings)
        blocks.append(f"<h2>Warnings</h2>\n<ul>{warnings}</ul>")
    return "\n".join(blocks)


def _sentence(number: int, sentence: Sentence, look: SentenceMap, maps: list[dict[str, Any]]) -> str:
    """A sentence whose words can be pointed at and focused, over what it states and where it came from."""
    sentence_index = _map(maps, look.weights, f"Sentence {number}")
    word_indices = [_map(maps, word.weights, word.word) for word in look.words]
    words = " ".join(
        f'<span class="word" tabindex="0" data-map="{index}">{html.escape(word.word)}</span>'
        for index, word in zip(word_indices, look.words, strict=True)
    )
    notes = "; ".join([*(statement.text for statement in sentence.statements), f"{sentence.origin} sentence"])
    return _row(number, f'{words}<small class="evidence">{html.escape(notes)}</small>', sentence_index)


def _row(number: int, content: str, index: int) -> str:
    """A numbered row; its number is a button, so that keys reach the map of the sentence or tag."""
    button = f'<button type="button" class="number" aria-label="Map of number {number}">{number}.</button>'
    return f'<div class="sentence" data-map="{index}">{button}<span>{content}</span></div>'


def _map(maps: list[dict[str, Any]], weights: Floats, name: str) -> int:
    """Append a map, scaled to its largest weight, and return its index."""
    relative = weights / (float(weights.max()) or 1.0)
    caption = f"{name} \N{EN DASH} {heatmap.describe(weights)}"
    maps.append({"shape": weights.shape, "weights": [round(float(w), 3) for w in relative.ravel()], "caption": caption})
    return len(maps) - 1


def _png(pixels: Pixels) -> bytes:
    """Encode a picture without metadata but for the mark by which it is not read as a radiograph."""
    stream, mark = io.BytesIO(), PngInfo()
    mark.add_text("Software", OWN_MARK)
    Image.fromarray(pixels).save(stream, "PNG", pnginfo=mark)
    return stream.getvalue()


def _asset(name: str) -> str:
    """Read a file of the package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    """Name an inline style or script in a Content Security Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
