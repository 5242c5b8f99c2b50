"""Agreement of reports with their plans (how often the guards failed) and with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxreport.evaluate.bootstrap import Draws, Figure, estimate_all
from cxreport.evaluate.text.clinical import Statements, micro_f1_statistics
from cxreport.text.lexicon import Lexicon
from cxreport.types import Report


@dataclass(frozen=True)
class GuardCounts:
    """Reports in which the guards between plan and text failed, or had to act.

    Read with the bundle's lexicon, which the report stage checks its sentences with: this shows slips of the
    machinery. What an independent reader makes of the text is in `Agreement`.
    """

    reports: int
    unplanned: int
    """Reports that affirm a tag that was not planned."""
    untold: int
    """Reports that leave out a planned tag."""
    empty_section: int
    contradicting: int
    """Reports from which sentences that contradicted the plan were left out ..."""
    removed: int
    """... and how many such sentences."""
    repaired: int
    """Reports that got a plain sentence because none stated a planned tag ..."""
    added: int
    """... and how many such sentences."""
    no_plan: int
    """Reports without any planned tag."""


@dataclass(frozen=True, eq=False)
class StatedClasses:
    """Classes of N images, (N, C) each, by who states them."""

    labels: Statements
    report: Statements
    """Read from the text."""
    plan: Statements
    tags: Statements
    """Positive tags of the head at its thresholds, without a report."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of reports with labels, over the classes that the reader and the labels share."""

    reader: str
    classes: tuple[str, ...]
    micro_f1: dict[str, Figure]
    """F1 of the report, its plan, the tag head at its thresholds, and the two constant answers."""
    planned_told: float
    """Share of the planned classes that the reports state; nan if none is planned."""
    told_unplanned: float
    """Share of the stated classes that were not planned; nan if none is stated."""


def planned_tags(report: Report) -> frozenset[str]:
    """Names of the reporting tags that a report was planned from."""
    return frozenset(planned.tag for planned in report.plan)


def count_guards(reports: Sequence[Report], lexicon: Lexicon) -> GuardCounts:
    """Count over reports, read with the lexicon of the bundle that drafted them."""
    pairs = [(lexicon.affirmed(" ".join(r.findings + r.impression)), planned_tags(r)) for r in reports]
    return GuardCounts(
        reports=len(reports),
        unplanned=sum(bool(affirmed - planned) for affirmed, planned in pairs),
        untold=sum(bool(planned - affirmed) for affirmed, planned in pairs),
        empty_section=sum(not r.findings or not r.impression for r in reports),
        contradicting=sum(r.repairs.removed > 0 for r in reports),
        removed=sum(r.repairs.removed for r in reports),
        repaired=sum(r.repairs.added > 0 for r in reports),
        added=sum(r.repairs.added for r in reports),
        no_plan=sum(not r.plan for r in reports),
    )


def measure_agreement(reader: str, classes: tuple[str, ...], statements: StatedClasses, draws: Draws) -> Agreement:
    """Compare what reports state with labels.

    Args:
        reader: what read the reports.
        classes: names of the C classes.
        statements: by labels, reports, plans and tag head.
        draws: (B, N) of `draw_studies`.
    """
    answers = {
        "report": statements.report,
        "plan": statements.plan,
        "tags": statements.tags,
        "always all": np.ones_like(statements.labels),
        "always none": np.zeros_like(statements.labels),
    }
    statistics = [micro_f1_statistics(name, statements.labels, answer) for name, answer in answers.items()]
    return Agreement(
        reader=reader,
        classes=classes,
        micro_f1=estimate_all(statistics, draws),
        planned_told=_ratio(statements.report & statements.plan, statements.plan),
        told_unplanned=_ratio(statements.report & ~statements.plan, statements.report),
    )


def _ratio(subset: Statements, classes: Statements) -> float:
    return float(subset.sum() / classes.sum()) if classes.any() else float("nan")
