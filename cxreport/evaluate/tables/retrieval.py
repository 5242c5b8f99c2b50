"""Tables of retrieval, by findings' names and by images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.table import Table

from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.retrieval import EMBEDDING, IMAGES, REPORTS, TAGS, RetrievalFigures
from cxreport.evaluate.tables.format import NONE, factor, interval, new_table, number


def render_retrieval(figures: RetrievalFigures) -> Iterator[Table]:
    """Lay out the rankings of images by findings, and of reports by images."""
    yield _findings(figures)
    yield _reports(figures)


def _findings(figures: RetrievalFigures) -> Table:
    """Findings down; precision by the text and by the tag head across."""
    title = f"Precision of the first {IMAGES} of {figures.images} images, by a finding's name"
    columns = ("finding", "n", "prevalence", "by its name", "95 %", "by the tag head", "95 %")
    table = new_table(f"\n{title}", *columns)
    for name, finding in figures.findings.items():
        cells = (cell for ranker in (EMBEDDING, TAGS) for cell in _cells(finding.precision[ranker]))
        table.add_row(name, str(finding.positives), number(finding.prevalence), *cells)
    present = [finding for finding in figures.findings.values() if finding.positives]
    if present:
        shares = (float(np.mean([f.precision[ranker].value for f in present])) for ranker in (EMBEDDING, TAGS))
        means = (cell for share in shares for cell in (number(share), ""))
        table.add_row("mean, n >= 1", "", number(float(np.mean([f.prevalence for f in present]))), *means)
        lifts = (cell for ranker in (EMBEDDING, TAGS) for cell in _factors(figures.lifts[ranker]))
        table.add_row("mean over prevalence", "", "1.00", *lifts)
    return table


def _reports(figures: RetrievalFigures) -> Table:
    """Groups of images, and below each the rankers."""
    title = f"Precision of the first {REPORTS} of {figures.reports} reports, by an image"
    columns = ("images and who ranks", "n", "precision", "95 %", "different reports")
    table = new_table(f"\n{title}", *columns)
    for group in figures.groups:
        table.add_row(group.name, str(group.images))
        for ranker, figure in group.precision.items():
            table.add_row(f"    {ranker}", "", *_cells(figure), str(group.distinct.get(ranker, NONE)))
    return table


def _cells(figure: Figure) -> tuple[str, str]:
    return number(figure.value), interval(figure)


def _factors(figure: Figure) -> tuple[str, str]:
    """Cells of a factor over the prevalence."""
    return factor(figure.value), interval(figure, factor)
