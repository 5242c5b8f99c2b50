from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from cxreport.errors import CxreportError, RecordedError, StudyError
from cxreport.model.bundle import load_manifest
from cxreport.output.record import record_schema, to_record
from cxreport.sentences import Assertion, Band, Origin, Sentence, SentenceMap, Statement, WordMap
from cxreport.types import Detail, Failure, PlannedTag, Position, Report, Section, Study, TagResult, View, ViewInfo

EVEN = np.full((2, 2), 0.25, np.float32)
EFFUSION = Statement(
    "pleural effusion", Assertion.PRESENT, (Detail.LEFT, Detail.MILD), float(np.float32(0.7)), Band.PRESENT
)

REPORT = Report(
    study=Study(
        id="1f2e",
        sources=("in/a.dcm", "in/b.dcm"),
        view=View(ViewInfo("in/a.dcm", 0, Position.PA, "number 1 of 2", ("Mirrored.",)), np.zeros((2, 2), np.uint8)),
        other_views=(ViewInfo("in/b.dcm", 1, Position.LATERAL, "lateral"),),
    ),
    tags=(
        TagResult("Effusion", float(np.float32(0.61234567)), True, "pleural effusion"),
        TagResult("Mass", 1e-9, False),
    ),
    plan=(PlannedTag("pleural effusion", float(np.float32(0.7)), (Detail.MILD,)),),
    sentences=(
        Sentence(Section.FINDINGS, "There is an effusion.", Origin.PLANNED, "pleural effusion", (EFFUSION,)),
        Sentence(Section.FINDINGS, "No fracture.", statements=(Statement("fracture", Assertion.ABSENT),)),
        Sentence(Section.IMPRESSION, "Effusion.", Origin.ADDED, "pleural effusion", (EFFUSION,)),
    ),
    warnings=("No View Position.",),
    timing_ms={"read": 1.23456, "encode": np.float64(2)},
)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = record_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _view(source: str, frame: int, position: str, reason: str, *changes: str) -> dict[str, Any]:
    return {"source": source, "frame": frame, "position": position, "reason": reason, "changes": list(changes)}


def test_report(tiny_bundle, validator) -> None:
    manifest = load_manifest(tiny_bundle)
    record = to_record(REPORT, manifest)
    validator.validate(json.loads(json.dumps(record, allow_nan=False)))
    effusion = {
        "tag": "pleural effusion",
        "assertion": "present",
        "details": ["left", "mild"],
        "probability": 0.7,
        "band": "present",
    }
    assert record == {
        "schema_version": 2,
        "study": {
            "id": "1f2e",
            "sources": ["in/a.dcm", "in/b.dcm"],
            "views": {
                "used": [_view("in/a.dcm", 0, "PA", "number 1 of 2", "Mirrored.")],
                "not_used": [_view("in/b.dcm", 1, "LATERAL", "lateral")],
            },
        },
        "tags": [
            {"name": "Effusion", "probability": 0.6123, "positive": True, "reported_as": "pleural effusion"},
            {"name": "Mass", "probability": 0.0, "positive": False, "reported_as": None},
        ],
        "plan": [{"tag": "pleural effusion", "probability": 0.7, "certainty": "stated", "details": ["mild"]}],
        "operating_point": "balanced",
        "sentences": [
            {
                "section": "findings",
                "text": "There is an effusion.",
                "origin": "planned",
                "topic": "pleural effusion",
                "statements": [effusion],
            },
            {
                "section": "findings",
                "text": "No fracture.",
                "origin": "free",
                "topic": None,
                "statements": [
                    {"tag": "fracture", "assertion": "absent", "details": [], "probability": None, "band": "none"}
                ],
            },
            {
                "section": "impression",
                "text": "Effusion.",
                "origin": "added",
                "topic": "pleural effusion",
                "statements": [effusion],
            },
        ],
        "findings": ["There is an effusion.", "No fracture."],
        "impression": ["Effusion."],
        "report": {"findings": "There is an effusion. No fracture.", "impression": "Effusion."},
        "model": {
            "name": manifest.name,
            "version": manifest.version,
            "precision": "float32",
            "sha256": manifest.sha256,
        },
        "repairs": {"removed": 0, "added": 0},
        "warnings": ["No View Position."],
        "timing_ms": {"read": 1.23, "encode": 2.0},
    }


def test_study_of_tags_has_no_view(tiny_bundle, validator) -> None:
    report = replace(REPORT, study=Study("A", ("tags.csv",), None, tags={"Effusion": 1.0}))
    record = to_record(report, load_manifest(tiny_bundle))
    validator.validate(record)
    assert record["study"]["views"] == {"used": [], "not_used": []}


@pytest.mark.parametrize("kind", [CxreportError, *(set(StudyError.__subclasses__()) - {RecordedError})])
def test_failure(tiny_bundle, validator, kind) -> None:
    record = to_record(Failure("a.dcm", ("in/a.dcm",), kind("It failed.")), load_manifest(tiny_bundle))
    validator.validate(record)
    assert record == {
        "schema_version": 2,
        "study": {"id": "a.dcm", "sources": ["in/a.dcm"]},
        "error": {"code": kind.code, "message": "It failed.", "hint": kind.hint},
    }


def test_a_sentence_has_its_map_where_one_was_asked_for(tiny_bundle, validator) -> None:
    looking = SentenceMap(EVEN, (WordMap("Effusion.", np.eye(2, dtype=np.float32) / 2),), np.ones((1, 1), np.float32))
    sentences = tuple(replace(s, map=looking if s.section is Section.IMPRESSION else None) for s in REPORT.sentences)
    record = to_record(replace(REPORT, sentences=sentences), load_manifest(tiny_bundle))
    validator.validate(record)
    assert ["map" in sentence for sentence in record["sentences"]] == [False, False, True]
    assert record["sentences"][2]["map"] == {
        "weights": [[0.25, 0.25], [0.25, 0.25]],
        "words": [{"word": "Effusion.", "weights": [[0.5, 0.0], [0.0, 0.5]]}],
        "decoder_attention": [[1.0]],
    }


def test_the_schema_knows_every_value_of_a_sentence() -> None:
    """Enumerations are written out in the schema, which loads no other module."""
    sentence = record_schema()["oneOf"][0]["properties"]["sentences"]["items"]["properties"]
    statement = sentence["statements"]["items"]["properties"]
    assert sentence["section"]["enum"] == list(Section)
    assert sentence["origin"]["enum"] == list(Origin)
    assert statement["assertion"]["enum"] == list(Assertion)
    assert statement["band"]["enum"] == list(Band)
    assert statement["details"]["items"]["enum"] == [d for d in Detail if d not in (Detail.UNCERTAIN, Detail.PRIOR)]


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"schema_version": 1},
        {"tags": [{"name": "x", "probability": 2, "positive": True, "reported_as": None}]},
        {"sentences": [{"section": "findings", "text": "Normal."}]},
        {"sentences": [{"section": "history", "text": "x", "origin": "free", "topic": None, "statements": []}]},
    ],
)
def test_the_schema_refuses_what_the_contract_does_not_know(tiny_bundle, validator, change) -> None:
    record = to_record(REPORT, load_manifest(tiny_bundle)) | change
    assert not validator.is_valid(record)
