"""Conventions of the field: words of reports, rare words, order of sections."""

from __future__ import annotations

import pytest

from cxreport.text.scoring_conventions import (
    JING_REPORT,
    R2GEN_FINDINGS,
    Preparer,
    SectionTexts,
    alphabetic_words,
    r2gen_words,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "1. Heart size is normal. 2. No T12-fracture, or effusion..",
            "heart size is normal . no t12-fracture or effusion .",
        ),
        ("Clear lungs", "clear lungs ."),
        ("Clear (XXXX) lungs. ", "clear xxxx lungs ."),
    ],
)
def test_words_of_r2gen(text: str, words: str) -> None:
    assert " ".join(r2gen_words(text)) == words


def test_alphabetic_words_leave_out_what_has_a_digit() -> None:
    assert alphabetic_words("A 5 mm nodule at T12; well-expanded.") == ["a", "mm", "nodule", "at", "well", "expanded"]


def test_rare_words_are_unknown_and_long_texts_are_cut() -> None:
    prepare = Preparer(R2GEN_FINDINGS, ["Clear lungs."] * 3 + ["Rare lungs."] * 2)
    assert prepare("Rare clear lungs.") == "<unk> clear lungs ."
    assert len(prepare("lungs " * 80).split()) == 60
    assert Preparer(JING_REPORT, [])("12") == "<unk>"


def test_jing_puts_the_impression_first() -> None:
    assert JING_REPORT.text(SectionTexts("Clear lungs.", "Normal.")) == "Normal. Clear lungs."
    assert R2GEN_FINDINGS.text(SectionTexts("", "Normal.")) == ""
