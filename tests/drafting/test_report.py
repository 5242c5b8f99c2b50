from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_drafts import made_plan

from cxreport.drafting.report import write_report
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.text.detokenise import sentence_text
from cxreport.text.vocabulary import SPECIAL_WORDS
from cxreport.types import (
    Decoding,
    Detail,
    Draft,
    Encoding,
    Plan,
    PlannedTag,
    Repairs,
    Report,
    Section,
    SentenceIds,
    Study,
    TagResult,
)

STUDY = Study("id", ("a.png",), None, warnings=("The image is small.",))
TAGS = Encoding({"Effusion": 0.55, "Hernia": 0.4}, None, None)


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


def ids(manifest: Manifest, text: str) -> tuple[int, ...]:
    return tuple(manifest.vocabulary.index(word) for word in text.split())


def sentence(manifest: Manifest, section: Section, text: str, planned: int | None = None) -> SentenceIds:
    return SentenceIds(section, ids(manifest, text), planned, None, -1.0)


def written(manifest: Manifest, plan: Plan, decoding: Decoding, warnings: tuple[str, ...] = ()) -> Report:
    return write_report(manifest, Draft(STUDY, TAGS, warnings=warnings, plan=plan, decoding=decoding))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("the lungs are clear", "The lungs are clear."),
        ("heart , lungs and bones are normal", "Heart, lungs and bones are normal."),
        ("a nodule of 1 . 5 cm", "A nodule of 1.5 cm."),
        ("about 20 % of the hemithorax", "About 20% of the hemithorax."),
        ("no focal consolidation / effusion", "No focal consolidation/effusion."),
        ("no change ( see above )", "No change (see above)."),
        ("old fracture of t12 ; copd", "Old fracture of T12; COPD."),
        ("clear .", "Clear."),
        ("normal ,", "Normal."),
        ("pneumonia ?", "Pneumonia?"),
        ("the patient 's picc", "The patient's PICC."),
        ("a opacity is a nodule", "An opacity is a nodule."),
        ("there is a interstitial opacities", "There are interstitial opacities."),
        ("there is diffuse opacities in the lung", "There are diffuse opacities in the lung."),
        ("there are a nodular opacity in the lungs", "There is a nodular opacity in the lungs."),
        ("there is a nodule in the lungs", "There is a nodule in the lungs."),
        ("there is an atelectasis", "There is atelectasis."),
        ("there is a small airspace disease", "There is small airspace disease."),
        ("there is mass effect on the ribs", "There is mass effect on the ribs."),
    ],
)
def test_spacing_and_case(manifest: Manifest, words: str, text: str) -> None:
    vocabulary = (*SPECIAL_WORDS, *dict.fromkeys(words.split()))
    assert sentence_text(vocabulary, [vocabulary.index(word) for word in words.split()]) == text


def test_report(manifest: Manifest) -> None:
    decoding = Decoding(
        (
            sentence(manifest, Section.FINDINGS, "there is a pleural effusion", 0),
            sentence(manifest, Section.FINDINGS, "the visualized bony structures are intact"),
            sentence(manifest, Section.IMPRESSION, "pleural effusion is present", 0),
        )
    )
    report = written(manifest, made_plan(manifest, 0), decoding, warnings=("Beware.",))
    assert report.study is STUDY
    assert report.findings == ("There is a pleural effusion.", "The visualized bony structures are intact.")
    assert report.impression == ("Pleural effusion is present.",)
    assert report.plan == (PlannedTag("Pleural Effusion", 0.75),)
    assert report.tags == (TagResult("Effusion", 0.55, True, "Pleural Effusion"), TagResult("Hernia", 0.4, False))
    assert report.warnings == ("The image is small.", "Beware.")


def test_thresholds(manifest: Manifest) -> None:
    strict = replace(manifest, tags=tuple(replace(t, threshold=0.6) for t in manifest.tags))
    image = replace(TAGS, patches=np.zeros((4, 12), np.float32))

    def positive(encoding: Encoding, threshold: float | None = None) -> list[bool]:
        report = write_report(strict, Draft(STUDY, encoding, plan=made_plan(strict)), threshold)
        return [tag.positive for tag in report.tags]

    assert positive(image) == [False, False]
    assert positive(TAGS) == [True, False]  # given tags: the head's thresholds are not theirs
    assert positive(image, 0.4) == [True, True]
    assert positive(TAGS, 0.9) == [False, False]


def test_free_sentences_do_not_contradict_the_plan(manifest: Manifest) -> None:
    decoding = Decoding(
        (
            sentence(manifest, Section.FINDINGS, "there is a pneumothorax", 4),
            sentence(manifest, Section.FINDINGS, "no pneumothorax or pleural effusion"),
            sentence(manifest, Section.FINDINGS, "the heart is enlarged"),
            sentence(manifest, Section.IMPRESSION, "no pneumothorax"),
        )
    )
    report = written(manifest, made_plan(manifest, 4), decoding)
    assert report.findings == ("There is a pneumothorax.",)
    assert report.impression == ("There is a pneumothorax.",)
    assert report.repairs == Repairs(removed=3, added=1)
    assert report.warnings == STUDY.warnings


def test_a_section_that_nothing_fits_is_empty(manifest: Manifest) -> None:
    decoding = Decoding(
        (
            sentence(manifest, Section.FINDINGS, "the lungs are clear"),
            sentence(manifest, Section.IMPRESSION, "pneumothorax is present"),
        )
    )
    report = written(manifest, made_plan(manifest), decoding)
    assert report.impression == ()
    assert "impression" in report.warnings[-1]


def test_a_planned_sentence_states_planned_tags_only(manifest: Manifest) -> None:
    decoding = Decoding(
        (
            sentence(manifest, Section.FINDINGS, "there is a pleural effusion", 4),
            sentence(manifest, Section.FINDINGS, "the heart is enlarged", 1),
            sentence(manifest, Section.FINDINGS, "the visualized bony structures are intact", 4),
        )
    )
    report = written(manifest, made_plan(manifest, 4, 1), decoding)
    assert report.findings == ("The heart is enlarged.", "There is a pneumothorax.")
    assert report.repairs == Repairs(removed=2, added=1)
    assert report.impression == ()  # it had no sentence to begin with


def test_nothing_is_denied_twice(manifest: Manifest) -> None:
    decoding = Decoding(
        (
            sentence(manifest, Section.FINDINGS, "no pneumothorax or pleural effusion"),
            sentence(manifest, Section.FINDINGS, "no pneumothorax"),
            sentence(manifest, Section.FINDINGS, "the visualized bony structures are intact"),
            sentence(manifest, Section.IMPRESSION, "no pneumothorax"),
        )
    )
    report = written(manifest, made_plan(manifest), decoding)
    assert report.findings == ("No pneumothorax or pleural effusion.", "The visualized bony structures are intact.")
    assert report.impression == ("No pneumothorax.",)


def test_the_plan_has_the_details_of_a_tag(manifest: Manifest) -> None:
    plan = made_plan(manifest, 0, details={0: {Detail.MARKED, Detail.LEFT}})
    report = written(manifest, plan, Decoding(()))
    assert report.plan == (PlannedTag("Pleural Effusion", 0.75, (Detail.LEFT, Detail.MARKED)),)


def test_without_planned_topics_free_sentences_state_the_tags(manifest: Manifest) -> None:
    plain = replace(manifest, decoding=replace(manifest.decoding, planned=False))
    decoding = Decoding((sentence(manifest, Section.FINDINGS, "the heart is enlarged"),))
    report = written(plain, made_plan(manifest, 4), decoding)
    assert report.findings == ("The heart is enlarged.",)


def test_tags_only(manifest: Manifest) -> None:
    report = written(manifest, made_plan(manifest), Decoding(()))
    assert (report.findings, report.impression, report.warnings) == ((), (), STUDY.warnings)
