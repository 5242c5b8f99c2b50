"""Statements of records, whether whole, of an older version, damaged or changed by hand."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from cxreport.sentences import Assertion
from cxreport.text.labeler import label, label_statements
from cxreport.text.recorded_statements import recorded_statements
from cxreport.text.report_texts import read_texts


def sentence(section: str, text: str, **assertions: str) -> dict[str, Any]:
    statements = [{"tag": tag.replace("_", " "), "assertion": assertion} for tag, assertion in assertions.items()]
    return {"section": section, "text": text, "statements": statements}


RECORD = {
    "study": {"id": "s"},
    "sentences": [
        sentence("findings", "A words b.", Pleural_Effusion="possible", Edema="absent"),
        sentence("findings", "C d.", Edema="absent", Hernia="present"),
        sentence("impression", "E f.", Pleural_Effusion="present"),
    ],
    "report": {"findings": "A words b. C d.", "impression": "E f."},
}
STATEMENTS = {"Pleural Effusion": Assertion.PRESENT, "Edema": Assertion.ABSENT, "Hernia": Assertion.PRESENT}


def changed(*path: str | int, value: object) -> dict[str, Any]:
    """The record with one value changed."""
    record: Any = copy.deepcopy(RECORD)
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return record


def test_the_most_affirmative_assertion_counts() -> None:
    assert recorded_statements(RECORD) == STATEMENTS


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"id": "a", "text": "Edema."},
        {"study": {"id": "s"}, "report": RECORD["report"]},
        changed("sentences", value=[]),
        changed("sentences", value={"a": 1}),
        changed("sentences", 0, value="A words b."),
        changed("sentences", 0, "section", value="history"),
        changed("sentences", 0, "text", value=None),
        changed("sentences", 0, "text", value="Something else."),
        changed("sentences", 0, "statements", value=None),
        changed("sentences", 0, "statements", 0, value={"tag": "Edema"}),
        changed("sentences", 0, "statements", 0, "tag", value=["Edema"]),
        changed("sentences", 0, "statements", 0, "assertion", value="likely"),
        changed("sentences", 0, "statements", 0, "assertion", value=[]),
        changed("report", value="A words b. C d. E f."),
        changed("report", "impression", value="No effusion."),
        changed("report", "impression", value=None),
    ],
)
def test_a_record_whose_sentences_cannot_be_relied_on_has_none(record: dict[str, Any]) -> None:
    assert recorded_statements(record) is None


def test_labels_are_those_of_the_statements_and_else_those_of_the_text() -> None:
    by_hand = changed("report", "impression", value="Pneumonia.")
    first, second = read_texts([json.dumps(record).encode() for record in (RECORD, by_hand)], "-")
    assert {name for name, value in first.labels().items() if value} == {"Pleural Effusion"}
    assert {name for name, value in second.labels().items() if value} == {"Pneumonia"}


@pytest.mark.parametrize(
    ("statements", "text"),
    [
        ({}, "Normal chest."),
        ({"Pneumonia": Assertion.POSSIBLE, "Edema": Assertion.ABSENT}, "Possible pneumonia, no edema."),
        ({"Support Devices": Assertion.PRESENT}, "A pacemaker is seen."),
        ({"Hernia": Assertion.POSSIBLE}, "Possible hiatal hernia."),
        (
            {"Low Lung Volumes": Assertion.PRESENT, "Cardiomegaly": Assertion.PRESENT},
            "Low volumes, the heart is enlarged.",
        ),
    ],
)
def test_statements_get_the_labels_of_a_text_that_makes_them(statements: dict[str, Assertion], text: str) -> None:
    assert label_statements(statements) == label(text)
