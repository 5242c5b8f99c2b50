"""JSON object of a retrieval, and its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cxreport.output.record import match_record, match_schema, model_record, model_schema
from cxreport.output.schema import array, object_, texts

if TYPE_CHECKING:
    from cxreport.model.manifest import Manifest
    from cxreport.types import EntryKind, Match, Study

__all__ = ["SCHEMA_VERSION", "Retrieval", "retrieval_schema", "to_retrieval_record"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Retrieval:
    """A query, which is a text or a study, and its nearest neighbours in an index."""

    text: str | None
    study: Study | None
    matches: Mapping[EntryKind, tuple[Match, ...]]
    """Of each kind that was searched, the nearest first."""

    @property
    def name(self) -> str:
        """The query for a title."""
        return f'"{self.text}"' if self.study is None else self.study.id


def to_retrieval_record(retrieval: Retrieval, manifest: Manifest) -> dict[str, Any]:
    """Turn a retrieval into the object that `retrieval_schema` describes; a kind not searched has no matches."""
    study = retrieval.study
    query = {"text": retrieval.text} if study is None else {"image": {"id": study.id, "sources": list(study.sources)}}
    return {
        "schema_version": SCHEMA_VERSION,
        "query": query,
        "model": model_record(manifest),
        "reports": [match_record(match) for match in retrieval.matches.get("report", ())],
        "images": [match_record(match) for match in retrieval.matches.get("image", ())],
    }


def retrieval_schema() -> dict[str, Any]:
    """Build the JSON Schema (draft 2020-12) of the object."""
    text = object_("A text.", text={"type": "string"})
    image = object_(
        "An image.",
        image=object_("Its study.", id={"type": "string"}, sources=texts("Paths as they were given.")),
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "cxreport retrieval",
        "description": "What `cxreport retrieve --json` writes. Research use only.",
        **object_(
            "What `cxreport retrieve --json` writes. Research use only.",
            schema_version={"const": SCHEMA_VERSION},
            query={"description": "A text or an image.", "oneOf": [text, image]},
            model=model_schema("The bundle that embedded the query and the index."),
            reports=array("The nearest reports, the nearest first.", match_schema("report")),
            images=array("The nearest images, the nearest first.", match_schema("image")),
        ),
    }
