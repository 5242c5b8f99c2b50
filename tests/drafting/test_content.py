"""What sentences say, against what they were planned to say; the second search; the Impression beside its Findings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_drafts import made_plan

from cxreport.drafting.content import plain_text, says
from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.report import write_report
from cxreport.model.bundle import load_manifest
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.text.lexicon import Lexicon, packaged
from cxreport.types import Certainty, Decoding, Detail, Draft, Encoding, PlannedTopic, Section, SentenceIds, Study

NAMES = ("Pleural Effusion", "Pneumothorax", "Atelectasis")
EFFUSION = PlannedTopic((0,))
MAYBE = PlannedTopic((0,), Certainty.POSSIBLE, frozenset({Detail.UNCERTAIN}))
NEITHER = PlannedTopic((0, 1), Certainty.ABSENT)


@pytest.mark.parametrize(
    ("text", "topic", "right"),
    [
        ("There is a pleural effusion.", EFFUSION, True),
        ("There may be a pleural effusion.", EFFUSION, False),
        ("There is a small pleural effusion.", EFFUSION, False),
        ("There is a small pleural effusion.", replace(EFFUSION, details=frozenset({Detail.MILD})), True),
        ("Pleural effusion and atelectasis.", EFFUSION, False),
        ("No pleural effusion.", EFFUSION, False),
        ("There may be a pleural effusion.", MAYBE, True),
        ("There is a pleural effusion.", MAYBE, False),
        ("No pleural effusion or pneumothorax.", NEITHER, True),
        ("No pneumothorax.", NEITHER, False),
        ("No pleural effusion, pneumothorax or atelectasis.", NEITHER, False),
        ("The trachea is midline.", NEITHER, False),
    ],
)
def test_a_sentence_says_what_is_planned_and_no_more(text: str, topic: PlannedTopic, right: bool) -> None:
    assert says(packaged(), text, topic, NAMES) is right


@pytest.mark.parametrize("tag", packaged().reporting_tags)
@pytest.mark.parametrize("certainty", [Certainty.STATED, Certainty.POSSIBLE])
def test_plain_sentences_say_their_tag_as_surely_as_is_planned(tag: str, certainty: Certainty) -> None:
    topic = PlannedTopic((0,), certainty, frozenset({Detail.UNCERTAIN}))
    assert says(packaged(), plain_text(packaged(), topic, (tag,)), topic, (tag,))


@pytest.mark.parametrize("tag", packaged().reporting_tags)
def test_possible_sentences_hedge_their_tag_and_give_a_degree_at_most(tag: str) -> None:
    for text in packaged().possible_sentences(tag):
        assert packaged().read_tags(text) == {tag: "uncertain"}
        assert packaged().details(text) - {Detail.UNCERTAIN} in (set(), {Detail.MILD}, {Detail.MARKED})


def test_a_lexicon_without_possible_sentences_makes_them(tiny_bundle: Path) -> None:
    old = load_manifest(tiny_bundle).lexicon
    assert b"[possible]" not in old.toml
    for tag in old.reporting_tags:
        assert old.read_tags(old.possible_sentences(tag)[0]) == {tag: "uncertain"}


def test_older_lexicons_have_no_kin(tiny_bundle: Path) -> None:
    assert Lexicon(load_manifest(tiny_bundle).lexicon.toml).kin == ()
    assert ("Lung Opacity", "Consolidation") in packaged().kin


@pytest.fixture(scope="module")
def manifest(tiny_bundle: Path) -> Manifest:
    return load_manifest(tiny_bundle)


def written(manifest: Manifest, plan: object, *sentences: tuple[Section, str, int | None]) -> object:
    decoded = tuple(
        SentenceIds(section, tuple(manifest.vocabulary.index(w) for w in text.split()), planned, None, -1.0)
        for section, text, planned in sentences
    )
    draft = Draft(Study("a", ("a",), None), Encoding({}, None, None), plan=plan, decoding=Decoding(decoded))  # type: ignore[arg-type]
    return write_report(manifest, draft)


def test_an_impression_gives_no_degree_that_findings_lack(manifest: Manifest) -> None:
    words = ("there is a pleural effusion", "small pleural effusion is present")
    vocabulary = (*manifest.vocabulary, "small")
    wide = replace(manifest, vocabulary=vocabulary)
    plan = made_plan(manifest, 0, details={0: {Detail.MILD}})
    report = written(wide, plan, (Section.FINDINGS, words[0], 0), (Section.IMPRESSION, words[1], 0))
    assert report.impression == ("There is a pleural effusion.",)  # type: ignore[attr-defined]
    same = written(wide, plan, (Section.FINDINGS, words[1], 0), (Section.IMPRESSION, words[1], 0))
    assert same.impression == ("Small pleural effusion is present.",)  # type: ignore[attr-defined]


def test_nothing_is_called_normal_beside_a_finding_in_an_impression(manifest: Manifest) -> None:
    report = written(
        manifest,
        made_plan(manifest, 1),
        (Section.FINDINGS, "the heart is enlarged", 1),
        (Section.IMPRESSION, "cardiomegaly is present", 1),
        (Section.IMPRESSION, "no acute cardiopulmonary disease", None),
    )
    assert report.impression == ("Cardiomegaly is present.",)  # type: ignore[attr-defined]


def test_the_impression_of_a_normal_study_is_one_sentence(manifest: Manifest) -> None:
    report = written(
        manifest,
        made_plan(manifest),
        (Section.FINDINGS, "the lungs are clear", None),
        (Section.IMPRESSION, "no acute cardiopulmonary disease", None),
        (Section.IMPRESSION, "the lungs are clear", None),
    )
    assert report.impression == ("No acute cardiopulmonary disease.",)  # type: ignore[attr-defined]


def test_an_impression_tells_what_is_most_urgent_first(manifest: Manifest) -> None:
    toml = manifest.lexicon.toml + b'\n[urgency]\ntags = ["Pneumothorax", "Cardiomegaly"]\n'
    urgent = replace(manifest, lexicon=Lexicon(toml))
    names = [manifest.reporting_names.index(name) for name in ("Cardiomegaly", "Pneumothorax")]
    sentences = ("cardiomegaly is present", "pneumothorax is present")
    plan = made_plan(manifest, *names)
    pairs = list(zip(sentences, names, strict=True))
    report = written(
        urgent,
        plan,
        *((Section.FINDINGS, text, tag) for text, tag in pairs),
        *((Section.IMPRESSION, text, tag) for text, tag in pairs),
    )
    assert report.impression == ("Pneumothorax is present.", "Cardiomegaly is present.")  # type: ignore[attr-defined]


def test_the_second_search_finds_sentences_that_keep_to_the_plan(tiny_bundle: Path) -> None:
    """The tiny decoder was not taught to deny by plan, and often writes something else at first."""
    model = Model.load(tiny_bundle, "cpu")
    manifest = model.manifest
    model.manifest = replace(manifest, decoding=replace(manifest.decoding, exact=True))
    both = PlannedTopic((0, 4), Certainty.ABSENT)
    lists = ([both], [PlannedTopic((5,)), PlannedTopic((4,)), both], [PlannedTopic((1,)), both])
    plans = [replace(made_plan(manifest), findings=tuple(topics), impression=(both,)) for topics in lists]
    encodings = [Encoding({}, None, None)] * len(plans)

    def kept(options: DecodeOptions) -> int:
        return sum(
            says(manifest.lexicon, " ".join(manifest.vocabulary[i] for i in s.ids), s.topic, manifest.reporting_names)
            for decoding in decode(model, encodings, plans, options)
            for s in decoding.sentences
            if s.topic is not None
        )

    assert kept(DecodeOptions()) >= kept(DecodeOptions(second_search=False)) + 4
