"""Faults of a report's language, found in sentences that are made up for these tests."""

from __future__ import annotations

import tomllib

import pytest

from cxreport.text.consistency import Statement, find_inconsistencies, is_fragment, statements
from cxreport.text.lexicon import Lexicon, packaged
from cxreport.types import Detail

LEXICON = packaged()


def faults(findings: list[str], impression: list[str] | None = None) -> dict[str, tuple]:
    found = find_inconsistencies(findings, impression or [], LEXICON)
    return {name: value for name, value in vars(found).items() if value}


def test_a_sound_report_has_no_fault() -> None:
    findings = [
        "The heart is enlarged.",
        "There is a small left pleural effusion.",
        "No pneumothorax.",
        "The mediastinum is unremarkable.",
    ]
    assert faults(findings, ["Small left pleural effusion.", "Cardiomegaly."]) == {}


@pytest.mark.parametrize(
    "pair",
    [
        ("No pleural effusion.", "There is no pneumothorax or pleural effusion."),
        ("The lungs are clear.", "Clear lungs."),
        ("There is airspace disease.", "Left airspace disease is present."),
        ("Possible pneumonia.", "There is pneumonia."),
        ("Small left effusion.", "Left basilar effusion."),
    ],
)
def test_repeats(pair: tuple[str, str]) -> None:
    assert faults(list(pair))["repeats"] == (pair,)
    assert "repeats" not in faults([pair[0]], [pair[1]]), "an Impression repeats the Findings"


@pytest.mark.parametrize(
    "pair",
    [
        ("Small left effusion.", "Large right effusion."),
        ("No pneumothorax.", "No pleural effusion."),
        ("The heart is enlarged.", "The mediastinum is unremarkable."),
        ("No right effusion.", "There is a left effusion."),
    ],
)
def test_no_repeats(pair: tuple[str, str]) -> None:
    assert "repeats" not in faults(list(pair))


@pytest.mark.parametrize(
    "pair",
    [
        ("There is a pneumothorax.", "No pneumothorax."),
        ("No pleural effusion or pneumothorax.", "Possible left effusion."),
        ("There is airspace disease.", "No focal airspace consolidation."),
        ("The lungs are free of focal airspace disease.", "There is a pneumonia."),
        ("The lungs are clear.", "There is a lung nodule."),
        ("Pulmonary vascularity is within normal limits.", "Prominent pulmonary vascularity."),
        ("The heart is normal in size.", "Mild cardiomegaly."),
        ("The mediastinum is unremarkable.", "There is mediastinal widening."),
        ("There is pulmonary edema.", "No acute cardiopulmonary abnormality."),
        ("The lung volumes are low.", "The lungs are hyperinflated."),
        ("The lungs are well expanded.", "Low lung volumes."),
        ("The bones are unremarkable.", "There are degenerative changes of the spine."),
    ],
)
def test_contradictions(pair: tuple[str, str]) -> None:
    assert faults(list(pair))["contradictions"] == (pair,)
    assert len(faults([pair[0]], [pair[1]])["contradictions"]) == 1, "sections contradict each other too"


@pytest.mark.parametrize(
    "pair",
    [
        ("No large effusion.", "Small left effusion."),
        ("No right effusion.", "There is a left effusion."),
        ("There is mild interstitial prominence.", "No focal airspace consolidation."),
        ("There is a nodule.", "The lungs are otherwise clear."),
        ("No acute disease.", "Calcified granuloma."),
        ("No pneumothorax.", "No effusion."),
    ],
)
def test_no_contradictions(pair: tuple[str, str]) -> None:
    assert "contradictions" not in faults(list(pair))


@pytest.mark.parametrize(
    ("findings", "impression", "orphans"),
    [
        ("The heart is enlarged.", "Pleural effusion.", 1),
        ("There is a pleural effusion.", "Small pleural effusion.", 1),
        ("There is a small pleural effusion.", "Left pleural effusion.", 1),
        ("There is a small left pleural effusion.", "Pleural effusion.", 0),
        ("No pneumothorax.", "No effusion.", 0),
    ],
)
def test_orphans(findings: str, impression: str, orphans: int) -> None:
    assert faults([findings], [impression]).get("orphans", ()) == (impression,) * orphans


def test_an_impression_alone_has_no_orphans() -> None:
    assert "orphans" not in faults([], ["Pleural effusion."])


@pytest.mark.parametrize(
    "sentence",
    [
        "The lungs focal airspace consolidation.",
        "Area scarring.",
        "There no pleural effusion.",
        "The heart is.",
        "There is no.",
        "No evidence of pleural.",
        "There is is a nodule.",
        "The the heart is normal.",
        "No is seen.",
        "Small effusion and",
    ],
)
def test_fragments(sentence: str) -> None:
    assert is_fragment(sentence)


@pytest.mark.parametrize("sentence", [*map(LEXICON.plain_sentence, LEXICON.reporting_tags)])
def test_plain_sentences_are_no_fragments(sentence: str) -> None:
    assert not is_fragment(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "No pleural effusion.",
        "Stable cardiomegaly.",
        "Clear lungs.",
        "The lungs are clear.",
        "There may be pneumonia.",
        "Area of scarring.",
        "Degenerative changes of the spine.",
        "XXXX XXXX opacities.",
    ],
)
def test_no_fragments(sentence: str) -> None:
    assert not is_fragment(sentence)


def test_comparisons() -> None:
    assert faults(["The heart is unchanged.", "No effusion."])["comparisons"] == ("The heart is unchanged.",)


def test_the_urgent_comes_first() -> None:
    assert faults([], ["Calcified granuloma.", "There is a pneumothorax."])["late"] == ("There is a pneumothorax.",)
    assert "late" not in faults([], ["There is a pneumothorax.", "Calcified granuloma."])


def test_content_is_what_is_stated_and_how() -> None:
    text = ["Possible small left effusion.", "No pneumothorax.", "Cardiomegaly."]
    assert statements(text, LEXICON) == {
        Statement("Pleural Effusion", "uncertain", frozenset({Detail.LEFT, Detail.MILD})),
        Statement("Cardiomegaly", "present", frozenset()),
    }
    assert statements(["There is cardiomegaly.", "Small left effusion is possible."], LEXICON) == statements(
        text, LEXICON
    )


def test_every_tag_has_an_urgency_and_exclusions_name_tags() -> None:
    tables = tomllib.loads(LEXICON.toml.decode())
    assert sorted(LEXICON.urgency) == sorted(LEXICON.reporting_tags)
    assert {tag for row in tables["exclusive"] for tag in row["stated"]} <= set(LEXICON.reporting_tags)


def test_a_lexicon_without_the_tables_has_those_of_the_package() -> None:
    """Bundles from before 0.6.0 have neither."""
    text = LEXICON.toml.decode()
    start, end = text.index("[urgency]"), text.index("[classes.")
    old = Lexicon((text[:start] + text[end:]).encode())
    assert old.urgency == LEXICON.urgency
    assert old.exclude("The lungs are clear.", "There is a lung nodule.")
    assert not old.exclude("The lungs are clear.", "The heart is enlarged.")
