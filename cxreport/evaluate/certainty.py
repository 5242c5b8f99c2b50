"""Certainty of reports of NIH images: how often each phrase is right, and what each operating point costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxreport.datasets.nih import FINDINGS, nih_targets
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.evaluate.bootstrap import Draws, Figure, estimate_by_rows
from cxreport.evaluate.tags import OperatingPoint as Errors
from cxreport.model.manifest import Manifest
from cxreport.text.lexicon import packaged
from cxreport.types import Certainty, Encoding, Floats, OperatingPoint, Plan, Report

LABEL, EITHER = "label", "label or relabel"
_Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class PhraseFigures:
    """Statements of one certainty: of all images and of the tags that NIH labels speak for."""

    certainty: Certainty
    statements: int
    right: dict[str, Figure]
    """Judge -> share of them that are right: of denials, those of tags that are not there."""


@dataclass(frozen=True)
class TagErrors:
    """What is told of one tag, and what is denied, against a judge."""

    positives: int
    told: Errors
    denied_sick: float
    """Share of those that have the tag in whose reports it is denied; nan without any."""


@dataclass(frozen=True)
class CertaintyFigures:
    """Certainty of the reports of N images."""

    images: int
    phrases: tuple[PhraseFigures, ...]
    """At the operating point that was evaluated."""
    points: dict[OperatingPoint, dict[str, dict[str, TagErrors]]]
    """Operating point -> judge -> tag; the balanced one alone where the bundle has no limits for the others."""


@dataclass(frozen=True, eq=False)
class _Statements:
    """Certainty of N reports about C tags, (N, C) each."""

    flat: _Bools
    possible: _Bools
    denied: _Bools


def measure_certainty(
    manifest: Manifest,
    reports: Sequence[Report],
    labels: Floats,
    relabels: Floats | None,
    draws: Draws,
    point: OperatingPoint = OperatingPoint.BALANCED,
) -> CertaintyFigures | None:
    """Measure how surely the reports of images speak.

    Args:
        manifest: of the bundle.
        reports: of N images, with what the tag head found.
        labels: (N, 14) NIH labels.
        relabels: (N, 14) second opinions, NaN where there is none; None without any.
        draws: (B, N) of `draw_studies`.
        point: operating point that the phrases are counted at.

    Returns:
        Figures; None for a bundle that plans nothing.
    """
    names = tuple(name for name in packaged().nih_findings if name in manifest.reporting_names)
    if not names or not manifest.decoding.planned:
        return None
    judges = {LABEL: labels}
    if relabels is not None and not np.isnan(relabels).all():
        judges[EITHER] = np.maximum(labels, np.nan_to_num(relabels)).astype(np.float32)
    truths = {judge: nih_targets(opinion, names, FINDINGS) > 0 for judge, opinion in judges.items()}
    limited = manifest.evidence[HEAD].limits is not None
    points = {p: _statements(manifest, reports, names, p) for p in (OperatingPoint if limited else [point])}
    return CertaintyFigures(
        images=len(reports),
        phrases=_phrases(points[point], truths, draws),
        points={
            p: {judge: _errors(names, statements, truth) for judge, truth in truths.items()}
            for p, statements in points.items()
        },
    )


def _statements(
    manifest: Manifest, reports: Sequence[Report], names: Sequence[str], point: OperatingPoint
) -> _Statements:
    """What the plans of reports say of tags at an operating point."""
    rows = [manifest.reporting_names.index(name) for name in names]
    encodings = [Encoding({tag.name: tag.probability for tag in report.tags}, None, None) for report in reports]
    plans = [make_plan(manifest, encoding, HEAD, point=point) for encoding in encodings]
    masks = [np.array([_said(plan, certainty, rows) for plan in plans], bool) for certainty in Certainty]
    return _Statements(*masks)


def _said(plan: Plan, certainty: Certainty, rows: Sequence[int]) -> list[bool]:
    """True for the tags that a plan speaks of so surely."""
    tags = {tag for topic in plan.findings if topic.certainty is certainty for tag in topic.tags}
    return [row in tags for row in rows]


def _phrases(statements: _Statements, truths: Mapping[str, _Bools], draws: Draws) -> tuple[PhraseFigures, ...]:
    said = dict(zip(Certainty, (statements.flat, statements.possible, statements.denied), strict=True))
    return tuple(
        PhraseFigures(
            certainty=certainty,
            statements=int(mask.sum()),
            right={
                judge: _right(mask, ~truth if certainty is Certainty.ABSENT else truth, draws)
                for judge, truth in truths.items()
            },
        )
        for certainty, mask in said.items()
    )


def _right(mask: _Bools, right: _Bools, draws: Draws) -> Figure:
    """Share of the statements that are right; nan without any."""

    def share(rows: NDArray[np.intp]) -> list[float]:
        count = mask[rows].sum()
        return [float((mask & right)[rows].sum() / count) if count else float("nan")]

    return estimate_by_rows(("right",), share, draws)["right"]


def _errors(names: Sequence[str], statements: _Statements, truth: _Bools) -> dict[str, TagErrors]:
    told = statements.flat | statements.possible
    return {
        name: TagErrors(
            positives=int(truth[:, column].sum()),
            told=Errors.of(told[:, column], truth[:, column]),
            denied_sick=float(statements.denied[truth[:, column], column].mean())
            if truth[:, column].any()
            else float("nan"),
        )
        for column, name in enumerate(names)
    }
