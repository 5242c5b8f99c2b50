from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from cxreport.errors import CxreportError, StudyError
from cxreport.model.bundle import load_manifest
from cxreport.output.record import record_schema, to_record
from cxreport.types import Detail, Failure, PlannedTag, Position, Report, Study, TagResult, View, ViewInfo

REPORT = Report(
    study=Study(
        id="1f2e",
        sources=("in/a.dcm", "in/b.dcm"),
        view=View(ViewInfo("in/a.dcm", 0, Position.PA, ("Covered.",)), np.zeros((2, 2), np.uint8)),
        other_views=(ViewInfo("in/b.dcm", 1, Position.LATERAL),),
    ),
    tags=(TagResult("Effusion", float(np.float32(0.61234567)), True), TagResult("Mass", 1e-9, False)),
    plan=(PlannedTag("pleural effusion", float(np.float32(0.7)), (Detail.MILD,)),),
    findings=("There is an effusion.", "The heart is normal."),
    impression=("Effusion.",),
    warnings=("No View Position.",),
    timing_ms={"read": 1.23456, "encode": np.float64(2)},
)


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = record_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_report(tiny_bundle, validator) -> None:
    manifest = load_manifest(tiny_bundle)
    record = to_record(REPORT, manifest)
    validator.validate(json.loads(json.dumps(record, allow_nan=False)))
    assert record == {
        "schema_version": 1,
        "study": {
            "id": "1f2e",
            "sources": ["in/a.dcm", "in/b.dcm"],
            "views": {
                "used": [{"source": "in/a.dcm", "frame": 0, "position": "PA", "changes": ["Covered."]}],
                "not_used": [{"source": "in/b.dcm", "frame": 1, "position": "LATERAL", "changes": []}],
            },
        },
        "tags": [
            {"name": "Effusion", "probability": 0.6123, "positive": True},
            {"name": "Mass", "probability": 0.0, "positive": False},
        ],
        "plan": [{"tag": "pleural effusion", "probability": 0.7, "details": ["mild"]}],
        "findings": ["There is an effusion.", "The heart is normal."],
        "impression": ["Effusion."],
        "report": {"findings": "There is an effusion. The heart is normal.", "impression": "Effusion."},
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


@pytest.mark.parametrize("kind", [CxreportError, *StudyError.__subclasses__()])
def test_failure(tiny_bundle, validator, kind) -> None:
    record = to_record(Failure("a.dcm", ("in/a.dcm",), kind("It failed.")), load_manifest(tiny_bundle))
    validator.validate(record)
    assert record == {
        "schema_version": 1,
        "study": {"id": "a.dcm", "sources": ["in/a.dcm"]},
        "error": {"code": kind.code, "message": "It failed.", "hint": kind.hint},
    }


@pytest.mark.parametrize(
    "change", [{"extra": 1}, {"schema_version": 2}, {"tags": [{"name": "x", "probability": 2, "positive": True}]}]
)
def test_the_schema_refuses_what_the_contract_does_not_know(tiny_bundle, validator, change) -> None:
    record = to_record(REPORT, load_manifest(tiny_bundle)) | change
    assert not validator.is_valid(record)
