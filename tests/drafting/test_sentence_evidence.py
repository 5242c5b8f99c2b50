"""Sentences of drafted reports and their evidence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_drafts import made_plan

from cxreport.drafting.plan import band, make_plan
from cxreport.drafting.report import write_report
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.sentences import Assertion, Band, Origin, Sentence, Statement
from cxreport.types import (
    Certainty,
    Decoding,
    Detail,
    Draft,
    Encoding,
    Plan,
    PlannedTopic,
    Section,
    SentenceIds,
    Study,
)

STUDY = Study("id", ("a.png",), None)
EFFUSION, HEART, COLLAPSE, OPACITY, PNEUMOTHORAX, GRANULOMA = range(6)


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


def decoded(
    manifest: Manifest,
    text: str,
    planned: int | None = None,
    denied: int | None = None,
    section: Section = Section.FINDINGS,
) -> SentenceIds:
    ids = tuple(manifest.vocabulary.index(word) for word in text.split())
    topic = None if planned is None else PlannedTopic((planned,))
    if denied is not None:
        topic = PlannedTopic((denied,), Certainty.ABSENT)
    return SentenceIds(section, ids, planned, None, -1.0, topic=topic)


def written(manifest: Manifest, plan: Plan, *sentences: SentenceIds) -> dict[str, Sentence]:
    """Sentences of the Findings by their text."""
    report = write_report(manifest, Draft(STUDY, Encoding({}, None, None), plan=plan, decoding=Decoding(sentences)))
    return {sentence.text: sentence for sentence in report.sentences if sentence.section is Section.FINDINGS}


def test_a_sentence_says_where_it_came_from(manifest: Manifest) -> None:
    sentences = written(
        manifest,
        made_plan(manifest, EFFUSION, HEART),
        decoded(manifest, "there is a pleural effusion", planned=EFFUSION),
        decoded(manifest, "no pneumothorax", denied=PNEUMOTHORAX),
        decoded(manifest, "the visualized bony structures are intact"),
    )
    assert {text: (sentence.origin, sentence.topic) for text, sentence in sentences.items()} == {
        "There is a pleural effusion.": (Origin.PLANNED, "Pleural Effusion"),
        "No pneumothorax.": (Origin.PLANNED, "Pneumothorax"),
        "The visualized bony structures are intact.": (Origin.FREE, None),
        "The heart is enlarged.": (Origin.ADDED, "Cardiomegaly"),
    }


def test_a_statement_has_the_probability_of_its_tag(manifest: Manifest) -> None:
    probabilities = np.array([0.75, 0.25, 0.125, 0.0625, 0.03125, 0.5], np.float32)
    plan = replace(made_plan(manifest, EFFUSION), probabilities=probabilities, unknown=frozenset({COLLAPSE}))
    sentences = written(
        manifest,
        plan,
        decoded(manifest, "there is a pleural effusion", planned=EFFUSION),
        decoded(manifest, "no pneumothorax"),
        decoded(manifest, "the lungs are clear"),
    )
    assert sentences["There is a pleural effusion."].statements == (
        Statement("Pleural Effusion", Assertion.PRESENT, (), 0.75, Band.PRESENT),
    )
    assert sentences["No pneumothorax."].statements == (
        Statement("Pneumothorax", Assertion.ABSENT, (), 0.03125, Band.ABSENT),
    )


def test_a_tag_without_evidence_or_without_a_plan_has_no_probability(manifest: Manifest) -> None:
    plan = replace(made_plan(manifest), unknown=frozenset({COLLAPSE}))
    statements = {
        s.tag: s
        for s in written(manifest, plan, decoded(manifest, "the lungs are clear"))["The lungs are clear."].statements
    }
    assert (statements["Lung Opacity"].probability, statements["Lung Opacity"].band) == (0.125, Band.ABSENT)
    for tag in ("Atelectasis", "Edema"):  # edema is no tag of this bundle's plans, but one of its lexicon
        assert (statements[tag].assertion, statements[tag].probability) == (Assertion.ABSENT, None)
        assert statements[tag].band is Band.NONE


def test_what_is_told_is_what_sentences_affirm(manifest: Manifest) -> None:
    decoding = Decoding(
        (
            decoded(manifest, "there is a pleural effusion", planned=EFFUSION),
            decoded(manifest, "no pneumothorax", section=Section.IMPRESSION),
        )
    )
    plan = made_plan(manifest, EFFUSION, PNEUMOTHORAX)
    plain = replace(manifest, decoding=replace(manifest.decoding, planned=False))  # sentences stay as they are decoded
    report = write_report(plain, Draft(STUDY, Encoding({}, None, None), plan=plan, decoding=decoding))
    assert (report.findings, report.impression) == (("There is a pleural effusion.",), ("No pneumothorax.",))
    assert report.told == {"Pleural Effusion"}
    assert report.warnings == ("Planned, but not stated in any sentence: Pneumothorax.",)


@pytest.mark.parametrize(
    ("source", "tags", "bands"),
    [
        (None, {"Effusion": 0.9, "Mass": 0.9, "Atelectasis": 0.1}, "present none absent none none none"),
        (None, {"Infiltration": 0.5, "Granuloma": 0.0}, "none none none present none absent"),
        ("head", 0.01, "absent absent absent absent absent none"),
        ("head", 0.99, "present present present present present none"),
    ],
)
def test_bands_follow_the_thresholds_and_what_the_source_speaks_of(
    manifest: Manifest, source: str | None, tags: dict[str, float] | float, bands: str
) -> None:
    given = tags if isinstance(tags, dict) else dict.fromkeys(manifest.tag_names, tags)
    plan = make_plan(manifest, Encoding(given, None, None), source)
    assert [str(band(plan, tag)) for tag in range(len(manifest.reporting_tags))] == bands.split()


def test_details_are_those_that_the_sentence_gives_not_those_of_the_plan(manifest: Manifest) -> None:
    wordy = replace(manifest, vocabulary=(*manifest.vocabulary, "left"))
    plan = made_plan(manifest, EFFUSION, details={EFFUSION: (Detail.LEFT, Detail.MILD)})
    sentences = written(
        wordy,
        plan,
        decoded(wordy, "there is a left pleural effusion", planned=EFFUSION),
        decoded(wordy, "there is a pleural effusion", planned=EFFUSION),
    )
    assert [s.statements[0].details for s in sentences.values()] == [(Detail.LEFT,), ()]
