"""Table of studies as CSV (RFC 4180): a row per study, in cells that no spreadsheet takes for formulas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cxreport import DISCLAIMER
from cxreport.output.schema import rounded
from cxreport.types import Failure

if TYPE_CHECKING:
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.sentences import Statement
    from cxreport.types import Outcome, Report

_BEFORE_TAGS = ("id", "sources", "findings", "impression", "told", "plan", "operating_point")
_AFTER_TAGS = ("model", "warnings", "error_code", "error", "hint", "notice")
_FORMULA = re.compile(r"(^|[;,|\n\"])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Start of what a spreadsheet would compute: of a cell, or behind a character that some locale parts cells by."""
_LIST = "; "


def column_names(manifest: DraftingModel) -> tuple[str, ...]:
    """Names of the columns; each finding of the bundle's classifier has one, ``probability NAME``."""
    return (*_BEFORE_TAGS, *(f"probability {name}" for name in manifest.tag_names), *_AFTER_TAGS)


def head(manifest: DraftingModel) -> str:
    """First line, with the names of the columns."""
    return _line(column_names(manifest))


def row(outcome: Outcome, manifest: DraftingModel) -> str:
    """Row of one study; cells that do not apply are empty.

    Args:
        outcome: a report or a failure.
        manifest: of the bundle that drafted the report.

    Returns:
        Lines of text: a cell with several sources or warnings has a line for each.
    """
    cells = {"notice": DISCLAIMER} | (_failed(outcome) if isinstance(outcome, Failure) else _drafted(outcome, manifest))
    return _line(cells.get(name, "") for name in column_names(manifest))


def _drafted(report: Report, manifest: DraftingModel) -> dict[str, str]:
    told = (statement for sentence in report.sentences for statement in sentence.affirmed)
    plan = (f"{tag.tag} ({_comma(tag.certainty, *tag.details, _figure(tag.probability))})" for tag in report.plan)
    return {
        "id": report.study.id,
        "sources": "\n".join(report.study.sources),
        "findings": " ".join(report.findings),
        "impression": " ".join(report.impression),
        "told": _LIST.join(dict.fromkeys(map(_told, told))),
        "plan": _LIST.join(plan),
        "operating_point": "" if report.operating_point is None else str(report.operating_point),
        **{f"probability {tag.name}": _figure(tag.probability) for tag in report.tags},
        "model": f"{manifest.name} {manifest.version}",
        "warnings": "\n".join(report.warnings),
    }


def _failed(failure: Failure) -> dict[str, str]:
    error = failure.error
    texts = {"error_code": error.code, "error": error.message, "hint": error.hint}
    return {"id": failure.id, "sources": "\n".join(failure.sources)} | texts


def _told(statement: Statement) -> str:
    figure = () if statement.probability is None else (_figure(statement.probability),)
    return f"{statement.tag} ({_comma(statement.assertion, *statement.details, *figure)})"


def _comma(*parts: str) -> str:
    return ", ".join(map(str, parts))


def _figure(probability: float) -> str:
    return str(rounded(probability))


def _line(cells: Iterable[str]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow([_inert(cell) for cell in cells])
    return stream.getvalue()


def _inert(cell: str) -> str:
    """A cell without control characters, with an apostrophe before what would start a formula (CWE-1236)."""
    printable = "".join(c if c == "\n" or c.isprintable() else "?" for c in cell)
    return _FORMULA.sub(r"\1\2'", printable)
