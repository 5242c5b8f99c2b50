"""Figures of retrieval as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from rich.table import Table

from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.retrieval import EMBEDDING, IMAGES, REPORTS, TAGS, RetrievalFigures
from cxreport.evaluate.tables.format import NONE, interval, new_table, number


def render_retrieval(figures: RetrievalFigures) -> Iterator[Table]:
    """Lay out what names of findings bring up among images, and images among reports."""
    yield _findings(figures)
    yield _reports(figures)


def _findings(figures: RetrievalFigures) -> Table:
    """Findings down; precision by the text and by the tag head across."""
    title = f"Precision of the first {IMAGES} of {figures.images} images, by a finding's name"
    table = new_table(f"\n{title}", "finding", "n", "prevalence", "by its name", "95 %", "by the tag head", "95 %")
    for name, finding in figures.findings.items():
        cells = (cell for who in (EMBEDDING, TAGS) for cell in _cells(finding.precision[who]))
        table.add_row(name, str(finding.positives), number(finding.prevalence), *cells)
    kept = [finding for finding in figures.findings.values() if finding.positives]
    if kept:
        shares = (float(np.mean([finding.precision[who].value for finding in kept])) for who in (EMBEDDING, TAGS))
        means = (cell for share in shares for cell in (number(share), ""))
        table.add_row("mean, n >= 1", "", number(float(np.mean([f.prevalence for f in kept]))), *means)
        lifts = (cell for who in (EMBEDDING, TAGS) for cell in _times(figures.lifts[who]))
        table.add_row("mean over prevalence", "", "1.00", *lifts)
    return table


def _reports(figures: RetrievalFigures) -> Table:
    """Groups of images, and below each who ranks."""
    title = f"Precision of the first {REPORTS} of {figures.reports} reports, by an image"
    table = new_table(f"\n{title}", "images and who ranks", "n", "precision", "95 %", "different reports")
    for group in figures.groups:
        table.add_row(group.name, str(group.images))
        for who, figure in group.precision.items():
            table.add_row(f"    {who}", "", *_cells(figure), str(group.distinct.get(who, NONE)))
    return table


def _cells(figure: Figure) -> tuple[str, str]:
    return number(figure.value), interval(figure)


def _times(figure: Figure) -> tuple[str, str]:
    """Factors, which are above 1 where all is well."""
    if figure.low is None or figure.high is None:
        return f"{figure.value:.2f}", ""
    return f"{figure.value:.2f}", f"{figure.low:.2f}-{figure.high:.2f}"
