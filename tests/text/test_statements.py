"""Statements of sentences. All sentences are made up for these tests."""

from __future__ import annotations

import pytest

from cxreport.text.lexicon import packaged
from cxreport.text.statements import read_statements

EFFUSION, HEART, OPACITY, COLLAPSE = "Pleural Effusion", "Cardiomegaly", "Lung Opacity", "Atelectasis"


def read(sentence: str) -> dict[str, str]:
    """Tag -> assertion and details in words."""
    return {
        tag: " ".join([reading.assertion, *reading.details])
        for tag, reading in read_statements(packaged(), sentence).items()
    }


@pytest.mark.parametrize(
    ("sentence", "statements"),
    [
        ("There is a pleural effusion.", {EFFUSION: "present"}),
        ("No pleural effusion.", {EFFUSION: "absent"}),
        ("There may be pneumonia.", {"Pneumonia": "possible"}),
        ("A pneumothorax cannot be excluded.", {"Pneumothorax": "possible"}),
        ("Two views were taken.", {}),
        ("", {}),
        ("Small left pleural effusion.", {EFFUSION: "present left mild"}),
        ("Bilateral pleural effusions.", {EFFUSION: "present left right"}),
        ("No large right effusion.", {EFFUSION: "absent right marked"}),
        ("Atelectasis in the left lower lobe.", {COLLAPSE: "present left lower"}),
    ],
)
def test_one_tag(sentence: str, statements: dict[str, str]) -> None:
    assert read(sentence) == statements


@pytest.mark.parametrize(
    ("sentence", "statements"),
    [
        ("Mild cardiomegaly and a left pleural effusion.", {HEART: "present mild", EFFUSION: "present left"}),
        ("Left pleural effusion with mild cardiomegaly.", {HEART: "present mild", EFFUSION: "present left"}),
        ("Small effusion, marked cardiomegaly.", {HEART: "present marked", EFFUSION: "present mild"}),
        ("Cardiomegaly without a right effusion.", {HEART: "present", EFFUSION: "absent right"}),
        (
            "Possible left lower lobe pneumonia; mild edema.",
            {"Pneumonia": "possible left lower", "Edema": "present mild"},
        ),
        ("Right and left effusions.", {EFFUSION: "present left right"}),
        ("Effusion on the left, small.", {EFFUSION: "present left mild"}),
        ("Opacity in the right upper and lower lobes.", {OPACITY: "present right upper lower"}),
    ],
)
def test_details_belong_to_the_tag_of_their_phrase(sentence: str, statements: dict[str, str]) -> None:
    assert read(sentence) == statements


@pytest.mark.parametrize(
    ("sentence", "statements"),
    [
        ("There is a lung nodule or mass.", {"Lung Lesion": "present"}),
        ("Possible nodule or mass.", {"Lung Lesion": "possible"}),
        ("No nodule or mass.", {"Lung Lesion": "absent"}),
        ("Atelectasis or pneumonia.", {"Pneumonia": "possible", COLLAPSE: "possible"}),
    ],
)
def test_alternatives_of_one_tag_are_no_doubt(sentence: str, statements: dict[str, str]) -> None:
    assert read(sentence) == statements


def test_tags_come_in_the_order_of_the_lexicon() -> None:
    names = list(read("No pneumothorax, effusion or edema, but the heart is enlarged."))
    assert names == [tag for tag in packaged().reporting_tags if tag in names]
    assert len(names) == 4


@pytest.mark.parametrize("tag", packaged().reporting_tags)
def test_a_plain_sentence_states_its_tag(tag: str) -> None:
    statements = read(packaged().plain_sentence(tag))
    assert statements.keys() == {tag}
    assert statements[tag] == "present"
