from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_explanation import made_explanation

from cxreport.errors import InvalidRecordError, NoFrontalViewError
from cxreport.model.bundle import load_manifest
from cxreport.output.record import to_record
from cxreport.output.recorded import read_record
from cxreport.types import Certainty, Failure, Match, PlannedTag, Position, Repairs, Report, TagResult, ViewInfo


@pytest.fixture
def report(phantoms: Path) -> Report:
    """A report with something in every field."""
    made = made_explanation(phantoms, warnings=("Odd.",)).report
    return replace(
        made,
        study=replace(made.study, other_views=(ViewInfo("b.png", 2, Position.LATERAL, "lateral", ("Turned.",)),)),
        tags=(TagResult("Effusion", 0.75, True, "Pleural Effusion"), TagResult("Hernia", 0.1234, False)),
        plan=(PlannedTag("Pleural Effusion", 0.75, ("right",), Certainty.POSSIBLE),),
        repairs=Repairs(1, 2),
        operating_point=None,
        similar=(Match("report", "n", "n.txt", 0.5, "F", "I"),),
        timing_ms={"read": 1.25},
    )


@pytest.fixture
def record(report: Report, tiny_bundle: Path) -> dict[str, Any]:
    return json.loads(json.dumps(to_record(report, load_manifest(tiny_bundle))))


def test_a_report_comes_back(report: Report, record: dict[str, Any]) -> None:
    outcome, model = read_record(record)
    assert model is not None
    assert isinstance(outcome, Report)
    assert json.loads(json.dumps(to_record(outcome, model))) == record
    assert model.tag_names == ("Effusion", "Hernia")
    assert outcome.study.view.pixels.size == 0
    weights = report.sentences[0].map.weights
    np.testing.assert_allclose(outcome.sentences[0].map.weights, weights, atol=1e-4)
    for name in (
        "tags",
        "plan",
        "warnings",
        "repairs",
        "operating_point",
        "similar",
        "timing_ms",
        "told",
        "impression",
    ):
        assert getattr(outcome, name) == getattr(report, name), name


def test_a_failure_comes_back(tiny_bundle: Path) -> None:
    manifest = load_manifest(tiny_bundle)
    record = to_record(Failure("x", ("x.dcm",), NoFrontalViewError("It is lateral.")), manifest)
    outcome, model = read_record(record)
    assert model is None
    assert to_record(outcome, manifest) == record


def paths_of(value: Any, path: tuple = ()) -> list[tuple]:
    """Paths of all fields of a record."""
    if isinstance(value, dict):
        return [p for key, item in value.items() for p in ((*path, key), *paths_of(item, (*path, key)))]
    return paths_of(value[0], (*path, 0)) if isinstance(value, list) and value else []


def altered(record: dict[str, Any], path: tuple, change: Callable[[Any, Any], None]) -> dict[str, Any]:
    other = copy.deepcopy(record)
    parent: Any = other
    for key in path[:-1]:
        parent = parent[key]
    change(parent, path[-1])
    return other


OPTIONAL = {("similar",), ("sentences", 0, "map")}


def test_no_field_may_be_missing(record: dict[str, Any]) -> None:
    for path in paths_of(record):
        if path not in OPTIONAL and path[0] != "timing_ms":
            with pytest.raises(InvalidRecordError):
                read_record(altered(record, path, lambda parent, key: parent.pop(key)))


@pytest.mark.parametrize("value", [{"a": 1}, [[1]], "no such value"], ids=["object", "array", "text"])
def test_no_field_may_be_of_another_kind(record: dict[str, Any], value: object) -> None:
    """Free texts may be other texts, unless they are told twice; flags are what Python takes them for."""
    for path in paths_of(record):
        current = altered(record, path, lambda *_: None)
        for key in path:
            current = current[key]
        if path[-1] in ("positive", "reported_as") or (isinstance(current, str) and isinstance(value, str)):
            continue
        if isinstance(value, dict) and path == ("timing_ms",):
            continue
        if path[-1] in {list: ("weights", "decoder_attention"), str: ("topic",)}.get(type(value), ()):
            continue  # as good a value
        with pytest.raises(InvalidRecordError):
            read_record(altered(record, path, lambda parent, key: parent.__setitem__(key, value)))


@pytest.mark.parametrize(
    "path", [("findings", 0), ("impression", 0), ("report", "findings"), ("sentences", 0, "text")], ids=str
)
def test_a_text_that_was_changed_by_hand_is_refused(record: dict[str, Any], path: tuple) -> None:
    with pytest.raises(InvalidRecordError, match="are not the text of its sentences"):
        read_record(altered(record, path, lambda parent, key: parent.__setitem__(key, "Another text.")))


@pytest.mark.parametrize("version", [1, 3, None, "2"])
def test_other_versions_are_refused(record: dict[str, Any], version: object) -> None:
    with pytest.raises(InvalidRecordError, match="no record of schema version 2"):
        read_record(record | {"schema_version": version})
