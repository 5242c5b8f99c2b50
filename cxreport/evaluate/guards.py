"""Whether reports keep to their plans, and what they state against labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cxreport.evaluate.bootstrap import Draws, Figure
from cxreport.evaluate.text.clinical import Stated, micro_f1_statistics
from cxreport.text.lexicon import Lexicon
from cxreport.types import Report


@dataclass(frozen=True)
class GuardCounts:
    """How often the guards between plan and text failed, of so many reports.

    Read with the bundle's lexicon, which the report stage checks its sentences with: this shows slips of the
    machinery. What an independent reader makes of the text is in `Agreement`.
    """

    reports: int
    unplanned: int
    """Reports that affirm a tag that was not planned."""
    untold: int
    """Reports that leave a planned tag untold."""
    empty_section: int
    contradicting: int
    """Reports from which sentences that contradicted the plan were left out ..."""
    removed: int
    """... and how many such sentences."""
    repaired: int
    """Reports that got a plain sentence because none told a planned tag ..."""
    added: int
    """... and how many such sentences."""
    no_plan: int
    """Reports without any planned tag."""


@dataclass(frozen=True)
class Agreement:
    """What reports state against labels, over the classes that the reader and the labels share."""

    reader: str
    classes: tuple[str, ...]
    micro_f1: dict[str, Figure]
    """Of the report, its plan, the tag head at its thresholds, and the two constant answers."""
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
        len(reports),
        sum(bool(told - planned) for told, planned in pairs),
        sum(bool(planned - told) for told, planned in pairs),
        sum(not r.findings or not r.impression for r in reports),
        sum(r.repairs.removed > 0 for r in reports),
        sum(r.repairs.removed for r in reports),
        sum(r.repairs.added > 0 for r in reports),
        sum(r.repairs.added for r in reports),
        sum(not r.plan for r in reports),
    )


def measure_agreement(
    reader: str, classes: tuple[str, ...], truth: Stated, told: Stated, planned: Stated, tags: Stated, draws: Draws
) -> Agreement:
    """Compare what reports state with labels.

    Args:
        reader: what read the reports.
        classes: the C classes.
        truth: (N, C) labels.
        told: (N, C) what the reports state.
        planned: (N, C) what they were planned to state.
        tags: (N, C) the tag head's findings at its thresholds, without a report.
        draws: (B, N) of `draw_studies`.
    """
    answers = {
        "report": told,
        "plan": planned,
        "tags": tags,
        "always all": np.ones_like(truth),
        "always none": np.zeros_like(truth),
    }
    figures: dict[str, Figure] = {}
    for name, answer in answers.items():
        figures |= micro_f1_statistics(name, truth, answer).estimate(draws)
    return Agreement(reader, classes, figures, _ratio(told & planned, planned), _ratio(told & ~planned, told))


def _ratio(some: Stated, of: Stated) -> float:
    return float(some.sum() / of.sum()) if of.any() else float("nan")
