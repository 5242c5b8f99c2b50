"""JSON records of reports and failures, and their JSON Schema."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from cxreport.model.choices import PRECISIONS
from cxreport.output.schema import array, object_, texts

if TYPE_CHECKING:
    from cxreport.errors import CxreportError
    from cxreport.model.manifest import Manifest
    from cxreport.types import Floats, Match, Outcome, Report, SentenceMap, ViewInfo

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

SCHEMA_VERSION = 1


def to_record(outcome: Outcome, manifest: Manifest) -> dict[str, Any]:
    """Turn an outcome into the record that `record_schema` describes.

    Args:
        outcome: a report or a failure.
        manifest: of the bundle that drafted the report.

    Returns:
        Plain dictionaries, lists, strings and rounded numbers, ready for `json.dumps`; with ``attention`` if the report
        has maps.
    """
    from cxreport.types import Failure

    if isinstance(outcome, Failure):
        return {
            "schema_version": SCHEMA_VERSION,
            "study": {"id": outcome.id, "sources": list(outcome.sources)},
            "error": error_record(outcome.error),
        }
    record = {
        "schema_version": SCHEMA_VERSION,
        "study": _study(outcome),
        "tags": [
            {"name": tag.name, "probability": _rounded(tag.probability), "positive": bool(tag.positive)}
            for tag in outcome.tags
        ],
        "plan": [
            {"tag": tag.tag, "probability": _rounded(tag.probability), "details": list(tag.details)}
            for tag in outcome.plan
        ],
        "findings": list(outcome.findings),
        "impression": list(outcome.impression),
        "report": {"findings": " ".join(outcome.findings), "impression": " ".join(outcome.impression)},
        "model": model_record(manifest),
        "repairs": {"removed": outcome.repairs.removed, "added": outcome.repairs.added},
        "warnings": list(outcome.warnings),
        "timing_ms": {stage: round(float(ms), 2) for stage, ms in outcome.timing_ms.items()},
        **({} if outcome.similar is None else {"similar": [match_record(match) for match in outcome.similar]}),
    }
    if outcome.maps is not None:
        patches = manifest.sizes.patch_embeddings or manifest.sizes.patches  # `ground` maps embedded ones
        record["attention"] = _attention(outcome.maps, math.isqrt(patches))
    return record


def error_record(error: CxreportError) -> dict[str, str]:
    """Describe an error: a stable code, a message and the next step."""
    return {"code": error.code, "message": error.message, "hint": error.hint}


def model_record(manifest: Manifest) -> dict[str, str]:
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
    return {"id": match.id, "source": match.source, "similarity": _rounded(match.similarity)} | text


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
        "changes": list(info.changes),
    }


def _attention(maps: tuple[SentenceMap, ...], side: int) -> dict[str, Any]:
    """Maps of sentences and words, on a grid of ``side`` x ``side`` patches."""
    return {
        "rows": side,
        "columns": side,
        "sentences": [
            {
                "section": str(sentence.section),
                "text": sentence.text,
                "weights": _grid(sentence.weights),
                "words": [{"word": word.word, "weights": _grid(word.weights)} for word in sentence.words],
                "added": sentence.added,
                "decoder_attention": None if sentence.decoder_attention is None else _grid(sentence.decoder_attention),
            }
            for sentence in maps
        ],
    }


def _grid(weights: Floats) -> list[list[float]]:
    """Round a map."""
    return [[_rounded(weight) for weight in row] for row in weights]


def _rounded(probability: float) -> float:
    """Round a probability so that noise in the last bits does not show."""
    return round(float(probability), 4)


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
                changes=texts("What was done to its grey beyond what its header asks for, in the view that was used."),
            ),
            "weights": array(
                "Rows of patches from the top, each from image left, with a sum of 1.",
                {"type": "array", "items": _PROBABILITY},
            ),
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
                probability=_PROBABILITY,
                positive={"type": "boolean", "description": "Whether the probability reaches the threshold."},
            ),
        ),
        plan=array(
            "Reporting tags that the report was planned from, most probable first.",
            object_(
                "A planned tag.",
                tag={"type": "string"},
                probability=_PROBABILITY,
                details={
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "Details of its sentence that the evidence supports: left, right, upper, lower, "
                    "mild, marked.",
                },
            ),
        ),
        findings=texts("Sentences of the Findings section."),
        impression=texts("Sentences of the Impression section."),
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
        similar=array("Where --retrieve was given: the nearest reports of the index.", match_schema("report")),
    )
    report["required"].remove("similar")
    report["properties"]["attention"] = _attention_schema()
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


def _attention_schema() -> dict[str, Any]:
    """Build the schema of the maps, which a record has only where they were asked for."""
    side = {"type": "integer", "minimum": 1}
    weights = {"$ref": "#/$defs/weights"}
    word = object_("A word, marks included.", word={"type": "string"}, weights=weights)
    sentence = object_(
        "A sentence; its words, parted by spaces, are its text.",
        section={"enum": ["findings", "impression"]},
        text={"type": "string"},
        weights=weights,
        words=array("Words in the order of the text.", word),
        added={"type": "boolean", "description": "A plain sentence that the decoder did not write (see `repairs`)."},
        decoder_attention={
            "description": "What the decoder attended to while it wrote, on its own, coarser grid.",
            "anyOf": [weights, {"type": "null"}],
        },
    )
    return object_(
        "Which patches of the network's view of the image each sentence and word speaks of (`--attention`).",
        rows=side,
        columns=side,
        sentences=array("Sentences of the Findings, then of the Impression.", sentence),
    )


_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}


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
