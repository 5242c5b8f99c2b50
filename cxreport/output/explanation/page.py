"""Files of an explanation: an overlay per sentence, and one page that needs nothing but a browser."""

from __future__ import annotations

import html
import re
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from cxreport import DISCLAIMER
from cxreport.errors import UsageError
from cxreport.explain import heatmap
from cxreport.model.manifest import Manifest
from cxreport.output.page import parts

if TYPE_CHECKING:
    from cxreport.explain.explain import Explanation

PICTURE_SIZE = 512
"""Longer side of the written pictures, in pixels at least."""
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
        UsageError: the folder cannot be written to.
    """
    picture = heatmap.enlarged(explanation.picture, PICTURE_SIZE)
    maps = [*(look.weights for _, look in explanation.sentences), *(t.weights for t in explanation.tags)]
    overlays = zip(explanation.names(), maps, strict=True)
    files = {"original.png": parts.png(picture)}
    files |= {f"{name}.png": parts.png(heatmap.overlay(picture, weights)) for name, weights in overlays}
    files["index.html"] = page(explanation, manifest).encode(errors="backslashreplace")  # names need not be UTF-8
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for overlay in (path for path in folder.iterdir() if _OVERLAY.fullmatch(path.name)):
            overlay.unlink()  # of an earlier report, which may have had more sentences
        for name, content in files.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be written ({error.strerror}).") from error
    return [folder / name for name in files]


def page(explanation: Explanation, manifest: Manifest) -> str:
    """Build the page: the picture, the report, and a map for each sentence, word and tag.

    Style, script and picture are part of it, and its policy lets the browser load and run nothing else.
    """
    maps = parts.Maps()
    style, script = parts.base_style(), parts.asset(parts.__package__, parts.MAPS_SCRIPT)
    article = _article(explanation, maps)
    return Template(parts.asset(__package__, "explanation.html")).substitute(
        policy=parts.policy(style, script),
        title=html.escape(explanation.report.study.id),
        disclaimer=html.escape(DISCLAIMER),
        style=style,
        picture=parts.data_uri(parts.png(heatmap.enlarged(explanation.picture, PICTURE_SIZE))),
        hint=html.escape(_HINT),
        article=article,
        model=html.escape(f"Drafted by {manifest.name} {manifest.version} ({manifest.sha256[:12]})."),
        data=parts.embedded_json(maps.data),
        script=script,
    )


def _article(explanation: Explanation, maps: parts.Maps) -> str:
    """Write sections, tags and warnings; the maps that they refer to are added to ``maps``."""
    blocks, heading = [], None
    for number, (sentence, _) in enumerate(explanation.sentences, start=1):
        if heading is not sentence.section:
            heading = sentence.section
            blocks.append(f"<h2>{heading.capitalize()}</h2>")
        blocks.append(parts.sentence_row(number, sentence, maps))
    if not explanation.sentences:
        blocks.append("<p>The report is empty.</p>")
    if explanation.tags:
        blocks.append("<h2>Tags asked for</h2>")
    for number, tag in enumerate(explanation.tags, start=len(explanation.sentences) + 1):
        blocks.append(parts.row(number, html.escape(tag.text), maps.add(tag.weights, tag.tag)))
    blocks.append(parts.texts_block("Warnings", explanation.report.warnings))
    return "\n".join(filter(None, blocks))
