"""Panels of text for the terminal: a report or failure, and matches of a retrieval."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cxreport.output.finding_rows import finding_rows
from cxreport.sentences import Sentence
from cxreport.text.printable import printable
from cxreport.types import Failure, Match, Outcome, Report, Section

__all__ = ["render", "render_matches"]

BAR_WIDTH = 20
MAX_WIDTH = 100
FRAME_WIDTH = 4
"""Columns of the frame and of the spaces inside of it."""


def render(outcome: Outcome, console: Console, plain: bool = False) -> RenderableType:
    """Lay an outcome out for a console.

    Colour only repeats what the words say, and none of it is bright, so that the panel reads the same in pipes and on
    light and dark backgrounds.

    Args:
        outcome: a report or a failure.
        console: where it goes; its encoding decides whether bars and boxes are drawn with Unicode.
        plain: leave out the figures behind the sentences.

    Returns:
        A panel no wider than the console and than 100 columns.
    """
    if isinstance(outcome, Failure):
        return _panel(_failure(outcome), f"{outcome.id} failed", console, "red")
    room = min(console.width, MAX_WIDTH) - FRAME_WIDTH
    return _panel(_report(outcome, console.options.ascii_only, plain, room), outcome.study.id, console)


def render_matches(title: str, matches: Sequence[Match], console: Console) -> RenderableType:
    """Lay out the matches of a retrieval for a console, as `render` does a report.

    Args:
        title: the query.
        matches: the nearest first.
        console: where it goes.
    """
    return _panel(_matches(matches) if matches else Text("The index has none."), title, console)


def _panel(content: RenderableType, title: str, console: Console, border: str = "none") -> Panel:
    """Frame a text, no wider than the console and than `MAX_WIDTH`."""
    return Panel(
        content,
        title=Text(printable(title), "bold"),
        title_align="left",
        border_style=border,
        box=box.ASCII if console.options.ascii_only else box.ROUNDED,
        width=min(console.width, MAX_WIDTH),
    )


def _failure(failure: Failure) -> RenderableType:
    """Lay out the error of a study and the next step."""
    error = Text.assemble(("Error: ", "bold"), printable(failure.error.message))
    return Group(_sources(failure.sources), error, Text(f"Hint: {printable(failure.error.hint)}"))


def _report(report: Report, ascii_only: bool, plain: bool, room: int) -> RenderableType:
    """Lay out the sections of a report, in so many columns."""
    study = report.study
    blocks: list[RenderableType] = [_sources(study.sources)]
    if study.view is not None:
        info = study.view.info
        frame = f", frame {info.frame}" if info.frame else ""
        unused = f"; views not used: {len(study.other_views)}" if study.other_views else ""
        blocks.append(Text(f"View: {info.position}{frame}{unused}", style="dim"))
        blocks += [Text(change, style="dim") for change in info.changes]
    figures = [] if plain else [figure for sentence in report.sentences for figure in _figures(sentence)]
    blocks += [Text(), _tags(report, ascii_only, room, "; its probability is in brackets" if figures else "")]
    findings, impression = (
        [_sentence(sentence, plain) for sentence in report.sentences if sentence.section is section]
        for section in Section
    )
    if findings:
        blocks += [Text(), Text("Findings", style="bold"), Text(" ").join(findings)]
    if impression:
        blocks += [Text(), Text("Impression", style="bold"), _numbered(impression)]
    if report.similar:
        blocks += [Text(), Text("Nearest reports", style="bold"), _matches(report.similar)]
    if report.warnings:
        blocks += [Text(), *(Text.assemble(("Warning: ", "bold"), printable(text)) for text in report.warnings)]
    return Group(*blocks)


def _sources(sources: tuple[str, ...]) -> Text:
    """Name the first file and count the others."""
    more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return Text(printable(f"{sources[0]}{more}") if sources else "", style="dim", overflow="fold")


def _sentence(sentence: Sentence, plain: bool) -> Text:
    """A sentence, and behind it the probabilities of what it states: dim, in brackets where there is no colour."""
    text, figures = Text(sentence.text), _figures(sentence)
    return text if plain or not figures else text.append(f" [{', '.join(figures)}]", "dim")


def _figures(sentence: Sentence) -> list[str]:
    """Probabilities of what a sentence states, in the order of its statements."""
    return [f"{s.probability:.2f}" for s in sentence.affirmed if s.probability is not None]


def _tags(report: Report, ascii_only: bool, room: int, note: str) -> RenderableType:
    """Draw a row per finding, name, probability and bar, with a dot at those that the report tells; say what it means.

    What the report tells and no finding speaks for has rows of its own, after the others. A note follows on the legend.
    Where there is no room for the bars they are left out, as dots and figures would go with them.
    """
    dot = "*" if ascii_only else "●"
    rows, legend = finding_rows(report)
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    barred = room >= max((len(row.name) for row in rows), default=0) + len("* 0.00 ") + 1 + BAR_WIDTH
    for name, probability, told in rows:
        style = "bold" if told else "none"
        figure, bar = ("", "") if probability is None else (f"{probability:.2f}", _bar(probability, ascii_only))
        cells = (printable(name.replace("_", " ")), figure, bar if barred else "")
        table.add_row(dot if told else "", *(Text(cell, style=style) for cell in cells))
    return Group(table, Text(f"{dot} {legend}{note}", style="dim")) if any(row.told for row in rows) else table


def _bar(probability: float, ascii_only: bool) -> str:
    """Draw a probability as a bar of fixed width."""
    filled = round(BAR_WIDTH * probability)
    full, empty = ("#", ".") if ascii_only else ("━", "·")
    return full * filled + empty * (BAR_WIDTH - filled)


def _numbered(sentences: Sequence[Text]) -> Table:
    """Number the sentences of the Impression."""
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for number, sentence in enumerate(sentences, start=1):
        table.add_row(f"{number}.", sentence)
    return table


def _matches(matches: Sequence[Match]) -> Table:
    """Number matches, each with its similarity, id and source, and a report's sections as paragraphs."""
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for number, match in enumerate(matches, start=1):
        head = Text.assemble(
            (f"{match.similarity:.2f}  {_line(match.id)}", "bold"), (f"  {_line(match.source)}", "dim")
        )
        sections = (("Findings", match.findings), ("Impression", match.impression))
        head.overflow = "fold"
        texts = [Text(f"{name}: {_line(text)}") for name, text in sections if text]
        table.add_row(f"{number}.", Group(head, *texts))
    return table


def _line(text: str) -> str:
    """Bring a text that may have lines onto one, without control characters."""
    return printable(" ".join(text.split()))
