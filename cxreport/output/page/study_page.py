"""Page of one study: picture, report with its evidence, findings; it needs nothing but a browser."""

from __future__ import annotations

import html
import io
from dataclasses import replace
from string import Template
from typing import TYPE_CHECKING

from PIL import Image

from cxreport import DISCLAIMER
from cxreport.output.finding_rows import finding_rows
from cxreport.output.page import parts
from cxreport.output.page.folder_index import Entry
from cxreport.text.printable import printable
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.types import Grey, Report, View

_THUMBNAIL = 64
"""Side of the picture in the index of a folder, in pixels; thousands of them are in one page."""
_HINT = "Point at a word or a sentence, or go to it with the Tab key, to see where the network looked."
_LEGEND = (
    '<div class="legend" aria-hidden="true"><span>no weight</span><span class="scale"></span>'
    "<span>strongest patch</span></div>\n"
)


def study_page(report: Report, model: DraftingModel) -> str:
    """Build the page of a report; sentences that have maps show them over the picture.

    Style, script and picture are part of it, and its policy lets the browser load and run nothing else.
    """
    maps = parts.Maps()
    view = report.study.view if report.study.view and report.study.view.pixels.size else None  # a record has no pixels
    if view is None:
        report = replace(report, sentences=tuple(replace(sentence, map=None) for sentence in report.sentences))
    blocks = [*_sections(report, maps), _findings(report), _similar(report), _warnings(report)]
    article = "\n".join(filter(None, blocks))
    entry = Entry(
        report.study.id,
        statements=_statements(report),
        warnings=len(report.warnings_without_paths),
        summary=" ".join(report.impression or report.findings),
        thumbnail=_thumbnail(parts.as_grey(view.pixels)) if view else "",
    )
    main = f"{_figure(view, bool(maps)) if view else ''}<article>\n{article}\n{_model(model)}</article>"
    return _page(entry, main, maps)


def failure_page(failure: Failure) -> str:
    """Build the page of a study that failed: why, and what to do next."""
    error = failure.error
    entry = Entry(failure.id, failed=True, summary=error.message)
    texts = "".join(f"<p>{html.escape(printable(text))}</p>\n" for text in (error.message, error.hint))
    return _page(entry, f"<article>\n<h2>No report was drafted</h2>\n{texts}</article>", parts.Maps())


def _page(entry: Entry, main: str, maps: parts.Maps) -> str:
    style = parts.base_style() + parts.asset(__package__, "study.css")
    script = parts.asset(__package__, parts.MAPS_SCRIPT) if maps else ""
    data = f'<script type="application/json" id="data">{parts.embedded_json(maps.data)}</script>\n' if maps else ""
    return Template(parts.asset(__package__, "study.html")).substitute(
        policy=parts.policy(style, script),
        title=html.escape(printable(entry.id)),
        entry=entry.element,
        style=style,
        disclaimer=html.escape(DISCLAIMER),
        main=main,
        scripts=f"{data}<script>{script}</script>\n" if maps else "",
    )


def _figure(view: View, mapped: bool) -> str:
    """The picture, over which maps are drawn, and what is known of it."""
    picture = parts.data_uri(parts.png(parts.as_grey(view.pixels)))
    canvas = '<canvas id="overlay" aria-hidden="true"></canvas>\n' if mapped else ""
    frame = f", frame {view.info.frame}" if view.info.frame else ""
    lines = [f"View: {view.info.position}{frame}.", *view.info.changes]
    notes = "".join(f"<p>{html.escape(printable(line))}</p>\n" for line in lines)
    caption = f'<figcaption id="caption" aria-live="polite">{_HINT}</figcaption>\n' if mapped else ""
    alt = "Chest X-ray as the network sees it: grey, stretched to a square."
    return (
        f'<figure>\n<div class="picture">\n<img src="{picture}" alt="{alt}">\n{canvas}</div>\n'
        f'{_LEGEND if mapped else ""}{caption}<div class="quiet">{notes}</div>\n</figure>\n'
    )


def _sections(report: Report, maps: parts.Maps) -> list[str]:
    """Findings and Impression, each sentence with what it states and how probable that is."""
    blocks, heading = [], None
    for number, sentence in enumerate(report.sentences, start=1):
        if heading is not sentence.section:
            heading = sentence.section
            blocks.append(f"<h2>{heading.capitalize()}</h2>")
        blocks.append(parts.sentence_row(number, sentence, maps))
    return blocks


def _findings(report: Report) -> str:
    """Table of findings with their probabilities; those that the report tells are marked."""
    rows, legend = finding_rows(report)
    if not rows:
        return ""
    lines = []
    for name, probability, told in rows:
        figure = "none" if probability is None else f"{probability:.2f}"
        bar = (
            ""
            if probability is None
            else f'<meter min="0" max="1" value="{probability:.4f}" aria-hidden="true"></meter>'
        )
        lines.append(
            f'<tr{" class=told" if told else ""}><th scope="row">{html.escape(printable(name.replace("_", " ")))}</th>'
            f"<td>{figure}</td><td>{bar}</td><td>{legend if told else ''}</td></tr>"
        )
    head = '<tr><th scope="col">Finding</th><th scope="col">Probability</th><td></td><th scope="col">Note</th></tr>'
    table = f"<table>\n<thead>{head}</thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n</table>"
    return f"<h2>Probabilities</h2>\n{table}"


def _similar(report: Report) -> str:
    """The nearest reports of an index, where one was searched."""
    texts = tuple(
        " ".join(filter(None, (f"{match.similarity:.2f} {match.id}:", match.findings, match.impression)))
        for match in report.similar or ()
    )
    return parts.texts_block("Nearest reports", tuple(map(printable, texts)))


def _warnings(report: Report) -> str:
    return parts.texts_block("Warnings", tuple(map(printable, report.warnings_without_paths)))


def _model(model: DraftingModel) -> str:
    text = f"Drafted by {model.name} {model.version} ({model.sha256[:12]})."
    return f'<p class="model">{html.escape(text)}</p>\n'


def _statements(report: Report) -> tuple[tuple[str, str], ...]:
    """What the report says of which tag; where it has no text, what was planned."""
    said = [(s.tag, str(s.assertion)) for sentence in report.sentences for s in sentence.statements]
    planned = [(tag.tag, "present" if tag.certainty == "stated" else "possible") for tag in report.plan]
    return tuple(dict.fromkeys(said if report.sentences else planned))


def _thumbnail(grey: Grey) -> str:
    picture, stream = Image.fromarray(grey), io.BytesIO()
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    picture.save(stream, "WEBP", quality=60)
    return parts.data_uri(stream.getvalue(), "webp")
