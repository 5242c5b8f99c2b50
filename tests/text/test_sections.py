"""Sections of whole reports, and sentences over wrapped lines. All reports are made up for these tests."""

from __future__ import annotations

import textwrap

import pytest

from cxreport.text.labeler import label
from cxreport.text.sections import ReportSection, read_sections
from cxreport.text.sentences import split_sentences

CONTEXT = {
    "EXAMINATION": "Chest radiograph, two views, after placement of a chest tube.",
    "INDICATION": "Pneumothorax? History of heart failure and lung cancer.",
    "COMPARISON": "Radiograph of last year with a large left effusion and rib fractures.",
}
BODY = {
    "FINDINGS": "The heart is moderately enlarged and there is a small right pleural effusion without edema. No focal "
    "consolidation or pneumothorax. A basilar opacity could represent atelectasis or pneumonia.",
    "IMPRESSION": "1. Cardiomegaly with a small right effusion. 2. Basilar opacity, for which pneumonia cannot be "
    "excluded.",
}
EXPECTED = {
    "Cardiomegaly": 1,
    "Pleural Effusion": 1,
    "Lung Opacity": 1,
    "Atelectasis": -1,
    "Pneumonia": -1,
}


def positive(text: str) -> dict[str, int]:
    return {name: value for name, value in label(text).items() if value}


@pytest.mark.parametrize("width", [35, 60, 79, 1000])
@pytest.mark.parametrize("gap", ["\n", "\n\n", " \n \n "])
@pytest.mark.parametrize("written", ["{}: {}", "{}:\n{}", "{}\n{}", "{}:  {}"])
def test_a_whole_report_says_what_its_body_says(width: int, gap: str, written: str) -> None:
    parts = CONTEXT | BODY
    text = gap.join(written.format(title, textwrap.fill(part, width)) for title, part in parts.items())
    assert positive(text) == EXPECTED
    assert positive(text.upper()) == EXPECTED


def test_titles_within_a_line() -> None:
    assert positive(" ".join(f"{title.capitalize()}: {part}" for title, part in (CONTEXT | BODY).items())) == EXPECTED


@pytest.mark.parametrize("width", range(20, 100, 7))
def test_a_line_break_is_a_space(width: int) -> None:
    for part in BODY.values():
        assert split_sentences(textwrap.fill(part, width)) == split_sentences(part)
        assert positive(textwrap.fill(part.upper(), max(width, 50))) == positive(part)


def test_a_text_without_titles_is_one_body() -> None:
    assert read_sections("Small effusion: see above.") == (ReportSection("body", "", "Small effusion: see above."),)
    assert read_sections(" \n") == ()


def test_sections_are_told_apart() -> None:
    text = "Portable film.\nHISTORY: Cough.\n\nThe heart is large.\nADDENDUM: Called at noon.\nIMPRESSION: None."
    assert [(section.kind, section.title, section.text.strip()) for section in read_sections(text)] == [
        ("body", "", "Portable film."),
        ("context", "HISTORY", "Cough."),
        ("body", "", "The heart is large."),
        ("addendum", "ADDENDUM", "Called at noon."),
        ("body", "IMPRESSION", "None."),
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("No effusion\nHeart enlarged", ["No effusion", "Heart enlarged"]),
        ("No effusion or\nedema", ["No effusion or edema"]),
        ("- No effusion\n- Edema", ["No effusion", "Edema"]),
        ("pleural-\nparenchymal scar", ["pleural-parenchymal scar"]),
        ("Opacity ? pneumonia. Clear", ["Opacity ? pneumonia", "Clear"]),
        ("Effusion? Edema.", ["Effusion?", "Edema"]),
        ("Effusion? None.", ["Effusion? None"]),
        ("Seen on ___ by [**Name 3**].", ["Seen on xxxx by xxxx"]),
        ("T12.5 is fine. 2. No edema", ["T12.5 is fine", "No edema"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences
