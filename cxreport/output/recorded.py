"""Records of `cxreport generate` read back: the outcomes that they were made of, and the models that they name."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np

from cxreport.errors import InvalidRecordError, RecordedError
from cxreport.output.drafting_model import RecordedModel
from cxreport.output.record import SCHEMA_VERSION
from cxreport.points import OperatingPoint
from cxreport.sentences import Assertion, Band, Origin, Sentence, SentenceMap, Statement, WordMap
from cxreport.types import (
    Certainty,
    Detail,
    Failure,
    Floats,
    Match,
    Outcome,
    PlannedTag,
    Position,
    Repairs,
    Report,
    Section,
    Study,
    TagResult,
    View,
    ViewInfo,
)

__all__ = ["read_record"]

_NO_PIXELS = np.zeros((0, 0), np.uint8)
_Fields = Mapping[str, Any]


def read_record(record: _Fields) -> tuple[Outcome, RecordedModel | None]:
    """Read a record back.

    Args:
        record: an object of the schema's version 2.

    Returns:
        The outcome, the view of its study without pixels; and the model, which a failure does not name.

    Raises:
        InvalidRecordError: it is no such record, or its sections are not the text of its sentences, as after a change
            by hand.
    """
    version = record.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InvalidRecordError(f"This is no record of schema version {SCHEMA_VERSION}.")
    try:
        if "error" in record:
            return _failure(record), None
        report = _report(record)
        _check_texts(record, report)
        return report, _model(record)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise InvalidRecordError("The record is not as the schema has it.") from None


def _failure(record: _Fields) -> Failure:
    study, error = record["study"], record["error"]
    texts = (_text(error[name]) for name in ("code", "message", "hint"))
    return Failure(_text(study["id"]), _texts(study["sources"]), RecordedError(*texts))


def _report(record: _Fields) -> Report:
    point, repairs = record["operating_point"], record["repairs"]
    return Report(
        study=_study(record["study"]),
        tags=tuple(
            TagResult(_text(t["name"]), float(t["probability"]), bool(t["positive"]), t["reported_as"])
            for t in record["tags"]
        ),
        plan=tuple(
            PlannedTag(_text(t["tag"]), float(t["probability"]), _texts(t["details"]), Certainty(t["certainty"]))
            for t in record["plan"]
        ),
        sentences=tuple(map(_sentence, record["sentences"])),
        warnings=_texts(record["warnings"]),
        repairs=Repairs(int(repairs["removed"]), int(repairs["added"])),
        operating_point=None if point is None else OperatingPoint(point),
        similar=tuple(map(_match, record["similar"])) if "similar" in record else None,
        drafted_at=datetime.datetime.fromisoformat(record["drafted_at"]) if "drafted_at" in record else None,
        timing_ms={_text(stage): float(ms) for stage, ms in record["timing_ms"].items()},
    )


def _check_texts(record: _Fields, report: Report) -> None:
    """Refuse sections that are not what the sentences say: the evidence would be that of another text."""
    texts = {"findings": report.findings, "impression": report.impression}
    for name, sentences in texts.items():
        if _texts(record[name]) != sentences or record["report"][name] != " ".join(sentences):
            raise InvalidRecordError(f"The {name} of the record are not the text of its sentences.")


def _study(study: _Fields) -> Study:
    used = study["views"]["used"]
    return Study(
        id=_text(study["id"]),
        sources=_texts(study["sources"]),
        view=View(_view(used[0]), _NO_PIXELS) if used else None,
        other_views=tuple(map(_view, study["views"]["not_used"])),
    )


def _view(view: _Fields) -> ViewInfo:
    return ViewInfo(
        source=_text(view["source"]),
        frame=int(view["frame"]),
        position=Position(view["position"]),
        reason=_text(view["reason"]),
        changes=_texts(view["changes"]),
    )


def _sentence(sentence: _Fields) -> Sentence:
    topic = sentence["topic"]
    return Sentence(
        section=Section(sentence["section"]),
        text=_text(sentence["text"]),
        origin=Origin(sentence["origin"]),
        topic=None if topic is None else _text(topic),
        statements=tuple(map(_statement, sentence["statements"])),
        map=_map(sentence["map"]) if "map" in sentence else None,
    )


def _statement(statement: _Fields) -> Statement:
    probability = statement["probability"]
    return Statement(
        tag=_text(statement["tag"]),
        assertion=Assertion(statement["assertion"]),
        details=tuple(map(Detail, statement["details"])),
        probability=None if probability is None else float(probability),
        band=Band(statement["band"]),
    )


def _map(fields: _Fields) -> SentenceMap:
    attention = fields["decoder_attention"]
    words = tuple(WordMap(_text(word["word"]), _grid(word["weights"])) for word in fields["words"])
    return SentenceMap(_grid(fields["weights"]), words, None if attention is None else _grid(attention))


def _grid(rows: list[list[float]]) -> Floats:
    grid = np.array(rows, np.float32)
    if grid.ndim != 2 or not grid.size or not np.isfinite(grid).all() or (grid < 0).any():
        raise ValueError(grid.shape)
    return grid


def _match(match: _Fields) -> Match:
    return Match(
        kind="report",
        id=_text(match["id"]),
        source=_text(match["source"]),
        similarity=float(match["similarity"]),
        findings=_text(match["findings"]),
        impression=_text(match["impression"]),
    )


def _model(record: _Fields) -> RecordedModel:
    name, version, precision, sha256 = (
        _text(record["model"][name]) for name in ("name", "version", "precision", "sha256")
    )
    return RecordedModel(name, version, precision, sha256, tuple(_text(tag["name"]) for tag in record["tags"]))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(type(values))
    return tuple(map(_text, values))
