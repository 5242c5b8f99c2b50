"""PDF of a report: PDF/UA-1 (ISO 14289-1), made by Typst from a template, with the fonts that it brings."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cxreport import DISCLAIMER
from cxreport.output.finding_rows import finding_rows
from cxreport.output.page import parts
from cxreport.text.printable import printable
from cxreport.types import Section

if TYPE_CHECKING:
    import typst

    from cxreport.output.drafting_model import DraftingModel
    from cxreport.sentences import Sentence
    from cxreport.types import Report

_FONTS = ("Libertinus Serif", "DejaVu Sans Mono")
"""In the wheel of Typst: Latin, Greek and Cyrillic, and Arabic in the second."""
_NO_GLYPH = "could not be displayed"
_LAST_COVERED = "\u052f"
"""The last character of Cyrillic: letters up to here are in the fonts."""
_PUNCTUATION = range(0x2010, 0x2040)


def pdf(report: Report, model: DraftingModel) -> bytes:
    """Make the PDF of a report; it has no date, so that the same report has the same bytes.

    Names in scripts that Typst's fonts lack are set in fonts of the machine, and as code points where it has none.

    Args:
        report: with or without sentences and image.
        model: that drafted it.
    """
    data = _of_texts(_data(report, model), printable)
    try:
        return _compiled(data, system_fonts=False)
    except _typst_error() as error:
        if _NO_GLYPH not in str(error):
            raise
    try:
        return _compiled(data, system_fonts=True)
    except _typst_error() as error:
        if _NO_GLYPH not in str(error):
            raise
    return _compiled(_of_texts(data, _spelt), system_fonts=False)


def _data(report: Report, model: DraftingModel) -> dict[str, Any]:
    """What the template shows."""
    study, warnings = report.study, report.warnings_without_paths
    rows, legend = finding_rows(report)
    data: dict[str, Any] = {
        "title": f"Drafted report: {study.id}",
        "notice": DISCLAIMER,
        "fonts": _FONTS,
        "picture": None,
        "alternative": "Chest X-ray as the network sees it: grey, stretched to a square.",
        "caption": "",
        "sections": _sections(report),
        "rows": [
            [name.replace("_", " "), "none" if figure is None else f"{figure:.2f}", legend if told else ""]
            for name, figure, told in rows
        ],
        "lists": [{"name": "Warnings", "texts": list(warnings)}] if warnings else [],
        "model": f"Drafted by {model.name} {model.version} ({model.sha256[:12]}).",
    }
    if study.view is not None and study.view.pixels.size:  # a record has none
        info = study.view.info
        frame = f", frame {info.frame}" if info.frame else ""
        data["caption"] = " ".join([f"View: {info.position}{frame}.", *info.changes])
        data["picture"] = list(parts.png(parts.as_grey(study.view.pixels)))
    return data


def _sections(report: Report) -> list[dict[str, Any]]:
    return [
        {"name": section.capitalize(), "sentences": sentences}
        for section in Section
        if (sentences := [_sentence(s) for s in report.sentences if s.section is section])
    ]


def _sentence(sentence: Sentence) -> dict[str, str]:
    notes = [*(statement.text for statement in sentence.statements), f"{sentence.origin} sentence"]
    return {"text": sentence.text, "evidence": "; ".join(notes)}


def _compiled(data: dict[str, Any], *, system_fonts: bool) -> bytes:
    document = _compiler(system_fonts).compile(
        input=parts.asset(__package__, "report.typ").encode(),  # each time: a compiler forgets bytes after a document
        format="pdf",
        sys_inputs={"data": json.dumps(data)},
        pdf_standards="ua-1",
        timestamp=0,
    )
    assert isinstance(document, bytes)
    return document


@functools.cache
def _compiler(system_fonts: bool) -> typst.Compiler:
    """A compiler that has read its fonts."""
    import typst

    return typst.Compiler(ignore_system_fonts=not system_fonts)


def _typst_error() -> type[Exception]:
    import typst

    return typst.TypstError


def _spelt(text: str) -> str:
    """A text with letters of scripts that no font has as their code points."""
    return "".join(map(_spelt_character, text))


def _spelt_character(character: str) -> str:
    covered = character <= _LAST_COVERED or ord(character) in _PUNCTUATION
    return character if covered else f"U+{ord(character):04X} "


def _of_texts(value: Any, function: Callable[[str], str]) -> Any:
    """A value of JSON with another text in the place of each, names of fields apart."""
    if isinstance(value, str):
        return function(value)
    if isinstance(value, dict):
        return {name: _of_texts(item, function) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_of_texts(item, function) for item in value]
    return value
