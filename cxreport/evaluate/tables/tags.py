"""Tables of the tag head: against labels, and against other judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table

from cxreport.evaluate import tags
from cxreport.evaluate.bootstrap import Figure
from cxreport.evaluate.judges import CORRELATIONS, JudgeFigures, RadiologistFigures, TeacherFigures
from cxreport.evaluate.tables.format import interval, new_table, number
from cxreport.evaluate.tags import LEAST_POSITIVES, FindingFigures, OperatingPoint

_OPERATION = {"sens.": "sensitivity", "spec.": "specificity", "PPV": "ppv", "NPV": "npv"}
"""Columns at a threshold, and their fields of `OperatingPoint`."""


def render_findings(title: str, findings: Mapping[str, FindingFigures], means: Mapping[str, Figure]) -> Table:
    """Lay out the figures of each finding, and their means."""
    columns = ("finding", "n", "AUC", "95 %", "AP", "ECE", "held out", "threshold", *_OPERATION)
    table = new_table(f"\n{title}", *columns)
    for name, finding in findings.items():
        at_threshold = (number(finding.threshold), *_operation(finding.at_threshold))
        table.add_row(name, str(finding.positives), *_discrimination(finding.figures), *at_threshold)
    table.add_row(f"mean, n >= {LEAST_POSITIVES}", "", *_discrimination(means))
    return table


def render_judges(judges: JudgeFigures) -> Iterator[Table]:
    """Lay out what judges other than the labels say."""
    if relabels := judges.relabels:
        title = f"Tag head against relabels: {relabels.images} images"
        yield render_findings(title, relabels.findings, relabels.means)
    if judges.teacher:
        yield _teacher(judges.teacher)
    for radiologists in judges.radiologists:
        if radiologists.findings:
            yield _radiologists(radiologists)


def _teacher(figures: TeacherFigures) -> Table:
    columns = (cell for name in CORRELATIONS for cell in (f"{name} correlation", "95 %"))
    table = new_table(f"\nTag head against the teacher, log odds: {figures.images} images", "finding", *columns)
    for name, correlations in (*figures.findings.items(), ("mean", figures.means)):
        ordered = [correlations[kind] for kind in CORRELATIONS]
        table.add_row(name, *(cell for figure in ordered for cell in (number(figure.value), interval(figure))))
    return table


def _radiologists(figures: RadiologistFigures) -> Table:
    """Tag head beside the NIH labels."""
    columns = ("finding", "images", "n", "AUC", "95 %", *_OPERATION, *(f"labels' {name}" for name in _OPERATION))
    table = new_table(f"\nTag head, and NIH labels, against radiologists: {figures.name}", *columns)
    for name, opinion in figures.findings.items():
        counts = (str(opinion.images), str(opinion.positives), number(opinion.auc.value), interval(opinion.auc))
        table.add_row(name, *counts, *_operation(opinion.head), *_operation(opinion.labels))
    return table


def _discrimination(figures: Mapping[str, Figure]) -> Iterator[str]:
    auc, *others = (figures[name] for name in tags.METRICS)
    yield from (number(auc.value), interval(auc), *(number(figure.value) for figure in others))


def _operation(point: OperatingPoint) -> Iterator[str]:
    return (number(getattr(point, field)) for field in _OPERATION.values())
