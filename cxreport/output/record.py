"""JSON records of reports and failures, and their JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cxreport.model.choices import PRECISIONS
from cxreport.output.schema import PROBABILITY, array, object_, rounded, texts
from cxreport.output.sentence_record import WEIGHTS, sentence_record, sentence_schema
from cxreport.points import OperatingPoint

if TYPE_CHECKING:
    from cxreport.errors import CxreportError
    from cxreport.output.drafting_model import DraftingModel
    from cxreport.types import Match, Outcome, Report, ViewInfo

__all__ = [
    "SCHEMA_VERSION",
    "error_record",
    "match_record",
    "match_schema",
    "model_record",
    "model_schema",
    "record_schema",
    "to_record",
]

SCHEMA_VERSION = 2
"""2 has ``sentences``, and the maps within them; 1 had maps apart, in ``attention``."""


def to_record(outcome: Outcome, manifest: DraftingModel) -> dict[str, Any]:
    """Turn an outcome into the record that `record_schema` describes.

    Args:
        outcome: a report or a failure.
        manifest: of the bundle that drafted the report.

    Returns:
        Plain dictionaries, lists, strings and rounded numbers, ready for `json.dumps`.
    """
    from cxreport.types import Failure

    if isinstance(outcome, Failure):
        return {
            "schema_version": SCHEMA_VERSION,
            "study": {"id": outcome.id, "sources": list(outcome.sources)},
            "error": error_record(outcome.error),
        }
    return {
        "schema_version": SCHEMA_VERSION,
        "study": _study(outcome),
        "tags": [
            {
                "name": tag.name,
                "probability": rounded(tag.probability),
                "positive": bool(tag.positive),
                "reported_as": tag.reported_as,
            }
            for tag in outcome.tags
        ],
        "plan": [
            {
                "tag": tag.tag,
                "probability": rounded(tag.probability),
                "certainty": str(tag.certainty),
                "details": list(tag.details),
            }
            for tag in outcome.plan
        ],
        "operating_point": None if outcome.operating_point is None else str(outcome.operating_point),
        "sentences": [sentence_record(sentence) for sentence in outcome.sentences],
        "findings": list(outcome.findings),
        "impression": list(outcome.impression),
        "report": {"findings": " ".join(outcome.findings), "impression": " ".join(outcome.impression)},
        "model": model_record(manifest),
        "repairs": {"removed": outcome.repairs.removed, "added": outcome.repairs.added},
        "warnings": list(outcome.warnings),
        "timing_ms": {stage: round(float(ms), 2) for stage, ms in outcome.timing_ms.items()},
        **({} if outcome.drafted_at is None else {"drafted_at": f"{outcome.drafted_at:%Y-%m-%dT%H:%M:%SZ}"}),
        **({} if outcome.similar is None else {"similar": [match_record(match) for match in outcome.similar]}),
    }


def error_record(error: CxreportError) -> dict[str, str]:
    """Describe an error: a stable code, a message and the next step."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def model_record(manifest: DraftingModel) -> dict[str, str]:
    """Name a bundle."""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "precision": manifest.precision,
        "sha256": manifest.sha256,
    }


def match_record(match: Match) -> dict[str, Any]:
    """Describe an entry of an index, with its text if it is a report."""
    text = {"findings": match.findings, "impression": match.impression} if match.kind == "report" else {}
    return {"id": match.id, "source": match.source, "similarity": rounded(match.similarity)} | text


def _study(report: Report) -> dict[str, Any]:
    """Describe a study and its views, those that fed the model and the others."""
    study = report.study
    return {
        "id": study.id,
        "sources": list(study.sources),
        "views": {
            "used": [_view(study.view.info)] if study.view else [],
            "not_used": [_view(info) for info in study.other_views],
        },
    }


def _view(info: ViewInfo) -> dict[str, Any]:
    """Describe a view."""
    return {
        "source": info.source,
        "frame": info.frame,
        "position": str(info.position),
        "reason": info.reason,
        "changes": list(info.changes),
    }


def record_schema() -> dict[str, Any]:
    """Build the JSON Schema (draft 2020-12) of a record."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cxreport record",
        "description": "One line of `cxreport generate --format jsonl`: the drafted report of one study. "
        "Research use only.",
        "oneOf": [_report_schema(), _failure_schema()],
        "$defs": {
            "view": object_(
                "A projection.",
                source={"type": "string"},
                frame={"type": "integer", "minimum": 0},
                position={"enum": ["PA", "AP", "LATERAL", "UNKNOWN"]},
                reason={"type": "string", "description": "Why it is used, or not, in a few words."},
                changes=texts(
                    "What was done to its pixels because of what the file says, and to its grey beyond its window; "
                    "of the used view."
                ),
            ),
            "weights": WEIGHTS,
        },
    }


def _report_schema() -> dict[str, Any]:
    """Build the schema of a record with a report."""
    views = {"type": "array", "items": {"$ref": "#/$defs/view"}}
    report = object_(
        "A study whose report was drafted.",
        schema_version={"const": SCHEMA_VERSION},
        study=object_(
            "The study; its id is a pseudonym, a file name, or the id of the tag table's row.",
            id={"type": "string"},
            sources=texts("Paths as they were given."),
            views=object_("Projections that fed the model, and others that were read.", used=views, not_used=views),
        ),
        tags=array(
            "Findings of the tag head, in the bundle's order.",
            object_(
                "A finding.",
                name={"type": "string"},
                probability=PROBABILITY,
                positive={"type": "boolean", "description": "Whether the probability reaches the threshold."},
                reported_as={
                    "type": ["string", "null"],
                    "description": "The reporting tag that it speaks for; null without one.",
                },
            ),
        ),
        plan=array(
            "Reporting tags that the report was planned from, most probable first.",
            object_(
                "A planned tag.",
                tag={"type": "string"},
                probability=PROBABILITY,
                certainty={"enum": ["stated", "possible"], "description": "Told flatly, or worded as possible."},
                details={
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "Details of its sentence that the evidence supports: left, right, upper, lower, "
                    "mild, marked.",
                },
            ),
        ),
        operating_point={
            "enum": [*OperatingPoint, None],
            "description": "Limits from which findings are told; null where --threshold took their place.",
        },
        sentences=array(
            "Sentences of the Findings, then of the Impression, each with its evidence.", sentence_schema()
        ),
        findings=texts("Texts of the sentences of the Findings."),
        impression=texts("Texts of the sentences of the Impression."),
        report=object_("The sections as text.", findings={"type": "string"}, impression={"type": "string"}),
        model=model_schema("The bundle that drafted the report."),
        repairs=object_(
            "Changes to the decoded text that keep it to the plan.",
            removed={"type": "integer", "minimum": 0, "description": "Contradicting sentences left out."},
            added={
                "type": "integer",
                "minimum": 0,
                "description": "Plain sentences for planned tags that no decoded sentence states.",
            },
        ),
        warnings=texts("Facts that the reader of the report should know."),
        timing_ms={
            "type": "object",
            "description": "Milliseconds by stage: read (headers), pixels (decoding) and preprocess of the study, then "
            "its share of the batch in encode, plan, sentences, words and report.",
            "additionalProperties": {"type": "number", "minimum": 0},
        },
        drafted_at={
            "type": "string",
            "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
            "description": "When the report was drafted, in UTC.",
        },
        similar=array("Where --retrieve was given: the nearest reports of the index.", match_schema("report")),
    )
    for name in ("drafted_at", "similar"):
        report["required"].remove(name)
    return report


def _failure_schema() -> dict[str, Any]:
    """Build the schema of a record of a failure."""
    return object_(
        "A study or file that failed.",
        schema_version={"const": SCHEMA_VERSION},
        study=object_("The study or the file.", id={"type": "string"}, sources=texts("Paths as they were given.")),
        error=object_(
            "Reason of the failure.",
            code={"type": "string", "description": "Stable name of the kind of error."},
            message={"type": "string"},
            hint={"type": "string", "description": "The next step."},
        ),
    )


def model_schema(description: str) -> dict[str, Any]:
    """Build the schema of `model_record`."""
    digest = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    precision = {"enum": list(PRECISIONS), "description": "What the networks computed in."}
    return object_(description, name={"type": "string"}, version={"type": "string"}, precision=precision, sha256=digest)


def match_schema(kind: str) -> dict[str, Any]:
    """Build the schema of `match_record` for a kind of entry."""
    text = {"findings": {"type": "string"}, "impression": {"type": "string"}} if kind == "report" else {}
    return object_(
        f"An entry of an index, a {kind}.",
        id={"type": "string"},
        source={"type": "string", "description": "Path as it was given when the index was built."},
        similarity={"type": "number", "minimum": -1, "maximum": 1, "description": "Cosine."},
        **text,
    )
