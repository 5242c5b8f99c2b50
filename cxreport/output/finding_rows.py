"""Findings of a report as rows of a table: those of the tag head, and what the report tells besides."""

from __future__ import annotations

from typing import NamedTuple

from cxreport.types import Report


class FindingRow(NamedTuple):
    """Row of the table of findings."""

    name: str
    probability: float | None
    """None for a tag that the evidence does not speak of."""
    told: bool
    """True where the row is to stand out: the legend says why."""


def finding_rows(report: Report) -> tuple[list[FindingRow], str]:
    """List findings in the bundle's order, then told tags that none of them speaks for; with a legend of ``told``.

    Of the findings that speak for a tag the most probable is marked, and any other that reaches its threshold. Without
    text it is the plan that counts, and without a plan each finding's threshold.
    """
    told: dict[str, float | None] = {s.tag: s.probability for sentence in report.sentences for s in sentence.affirmed}
    legend = "told in the report"
    if not report.sentences:
        if all(tag.reported_as is None for tag in report.tags):
            return [FindingRow(t.name, t.probability, t.positive) for t in report.tags], "at or above its threshold"
        told, legend = {planned.tag: planned.probability for planned in report.plan}, "planned"
    best = {tag.reported_as: tag.name for tag in sorted(report.tags, key=lambda tag: tag.probability)}
    rows = [
        FindingRow(t.name, t.probability, t.reported_as in told and (t.positive or best[t.reported_as] == t.name))
        for t in report.tags
    ]
    return rows + [
        FindingRow(name, probability, True) for name, probability in told.items() if name not in best
    ], legend
