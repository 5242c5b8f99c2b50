"""Labeler of report text: the 14 classes of CheXpert (Irvin et al. 2019), by the rules of the package's lexicon."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from cxreport.errors import InvalidTextError
from cxreport.text.json_lines import MOST_LENGTH, JsonLine, json_lines
from cxreport.text.lexicon import Status, packaged
from cxreport.types import Failure

__all__ = ["CLASSES", "ReportText", "label", "label_tags", "read_texts"]

_NO_FINDING = "No Finding"
CLASSES: tuple[str, ...] = (
    _NO_FINDING,
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
_VALUES: dict[Status, int] = {"present": 1, "uncertain": -1, "absent": 0}


def label(text: str) -> dict[str, int]:
    """Label a report, or a section of one.

    The classes and their meaning are CheXpert's. The rules were written to agree with CheXbert (Smit et al. 2020) and
    are not that model. No Finding is 1 where the text states nothing but support devices; an abnormality without a
    class of its own, such as emphysema, counts as stated.

    Args:
        text: in English, with or without list numbers.

    Returns:
        Each of `CLASSES`, in that order -> 1 stated, -1 uncertain, 0 denied or not mentioned.
    """
    rules = packaged()
    statuses = rules.read_classes(text)
    abnormal = {name for name, status in statuses.items() if status != "absent"} - rules.no_finding_tags
    labels = {name: _VALUES[statuses.get(name, "absent")] for name in CLASSES}
    return labels | {_NO_FINDING: int(not abnormal)}


def label_tags(tags: Collection[str]) -> dict[str, int]:
    """Labels of a text that states these reporting tags and nothing else, as `label` has them."""
    abnormal = set(tags) - packaged().no_finding_tags
    return {name: int(name in tags) for name in CLASSES} | {_NO_FINDING: int(not abnormal)}


@dataclass(frozen=True)
class ReportText:
    """Text to label."""

    id: str | int
    text: str


def read_texts(lines: Iterable[bytes], source: str) -> Iterator[ReportText | Failure]:
    """Read texts from JSON Lines in UTF-8: objects with ``id`` and ``text``, or records of `cxreport generate`.

    Of a record, the Findings and the Impression are the text. Empty lines are passed over.

    Args:
        lines: as they come; each is read when it is asked for.
        source: what failures call the stream.

    Yields:
        A text, or a failure for a line without one, in the order of the lines.
    """
    for line in json_lines(lines):
        yield _read(line, source)


def _read(line: JsonLine, source: str) -> ReportText | Failure:
    """Text and id of a line."""
    number, fields = line.number, line.fields or {}
    study, report = fields.get("study"), fields.get("report")
    id_, text = fields.get("id"), fields.get("text")
    if isinstance(study, dict):
        id_ = study.get("id")
        sections = [report.get(name) for name in ("findings", "impression")] if isinstance(report, dict) else []
        text = "\n".join(section for section in sections if isinstance(section, str))
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        fault = "is no JSON object" if line.fields is None else "has no id"
        if line.is_too_long:
            fault = f"is longer than {MOST_LENGTH >> 20} MB"
        return Failure(f"line {number}", (source,), InvalidTextError(f"Line {number} {fault}."))
    if not isinstance(text, str) or not text.strip():
        error = fields.get("error")
        reason = f": its study failed ({error.get('code')})" if isinstance(error, dict) else ""
        return Failure(str(id_), (source,), InvalidTextError(f"Line {number} has no text{reason}."))
    return ReportText(id_, text)
