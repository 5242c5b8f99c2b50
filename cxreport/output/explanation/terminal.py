"""An explanation for the terminal: pictures with heat maps beside their sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cxreport.explain import heatmap
from cxreport.output.explanation.terminal_pictures import Painter
from cxreport.sentences import Origin
from cxreport.text.printable import printable
from cxreport.types import Floats

if TYPE_CHECKING:
    from cxreport.explain.explain import Explanation

_GAP = 2
_MIN_TEXT = 24
"""Columns that text needs to stand beside a picture."""


def render_explanation(explanation: Explanation, console: Console, painter: Painter | None) -> Iterator[RenderableType]:
    """Lay an explanation out, one part after the other.

    Args:
        explanation: of one study.
        console: where it goes; text stands beside the pictures where its width allows it, and below them elsewhere.
        painter: draws the pictures; None leaves them out, and the text says where each map is strongest.
    """
    report, picture = explanation.report, explanation.picture
    title = Text(printable(report.study.id), "bold")
    side = "Image left is the patient's right in most frontal views."
    head = Group(title, Text(f"The network's view of the image. {side}", "dim"))
    yield _beside(painter.original(picture) if painter else None, head, painter, console.width)
    heading = None
    for number, (sentence, look) in enumerate(explanation.sentences, start=1):
        if heading is not sentence.section:
            heading = sentence.section
            yield Text(f"\n{heading.capitalize()}", "bold")
        added = " [added: the decoder left it out]" if sentence.origin is Origin.ADDED else ""
        note = "; ".join(statement.text for statement in sentence.statements)
        yield _part(explanation, f"{number}. {sentence.text}{added}", note, look.weights, painter, console.width)
    if explanation.tags:
        yield Text("\nTags asked for", "bold")
    for number, tag in enumerate(explanation.tags, start=len(explanation.sentences) + 1):
        yield _part(explanation, f"{number}. {tag.text}", "", tag.weights, painter, console.width)
    if report.warnings:
        yield Text()
        yield from (Text.assemble(("Warning: ", "bold"), printable(text)) for text in report.warnings)


def _part(
    explanation: Explanation, text: str, note: str, weights: Floats, painter: Painter | None, width: int
) -> RenderableType:
    """A sentence with its map; the note says what it states."""
    place = Text(f"({heatmap.describe(weights)})", "dim")
    words = Group(Text(printable(text)), *([Text(printable(note), "dim")] if note else []), place)
    block = _beside(painter.overlay(explanation.picture, weights) if painter else None, words, painter, width)
    return block if painter is None else Group(Text(), block)


def _beside(
    picture: RenderableType | None, text: RenderableType, painter: Painter | None, width: int
) -> RenderableType:
    """A picture with text to its right, or below it."""
    if picture is None or painter is None:
        return text
    if not painter.beside_text or width < painter.width + _GAP + _MIN_TEXT:
        return Group(picture, Text(), text)
    table = Table.grid(padding=(0, _GAP, 0, 0))
    table.add_column(width=painter.width, no_wrap=True)
    table.add_column()
    table.add_row(picture, text)
    return table
