"""Consensus reports: put together for the plan, from what reports of studies with like evidence say."""

from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import make_openi, write_recipe  # noqa: E402

from cxreport.datasets import openi  # noqa: E402
from cxreport.drafting.content import says  # noqa: E402
from cxreport.text import lexicon  # noqa: E402
from cxreport.text.detokenise import sentence_text  # noqa: E402
from cxreport.train.config import load_config  # noqa: E402
from cxreport.train.data import consensus, sentence_pool  # noqa: E402
from cxreport.train.data.decoder_data import chexnet_evidence, decoder_data  # noqa: E402
from cxreport.train.data.sentence_pool import content, make_pool  # noqa: E402
from cxreport.train.data.tag_facts import tag_facts  # noqa: E402
from cxreport.types import Certainty, Detail  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Train data, facts and consensus reports of generated studies."""
    root = tmp_path_factory.mktemp("data")
    folder = make_openi(root / "openi", reports=400)
    config = load_config(write_recipe(root / "r.toml", "unpaired"))
    splits = openi.split_reports(openi.read_reports(folder), folder)
    data = decoder_data(config.decoder, splits)
    facts = tag_facts(data, splits[0], config.decoder.denied)
    chexnet = chexnet_evidence(openi.read_evidence(folder), data)
    reports = consensus.consensus_reports(config.decoder, data, facts, chexnet, splits[0])
    return data, facts, reports


def _texts(report, impression=False):
    return [" ".join(s.words) for s in report.sentences if s.impression == impression]


def _of_evidence(made):
    """The reports of plans by evidence, which come first."""
    data, _, reports = made
    return reports[: len(data.train)]


def test_there_is_one_for_every_train_study_with_evidence(made):
    assert [r.index for r in _of_evidence(made)] == list(range(len(made[0].train)))
    assert {len(r.plan.tags) for r in _of_evidence(made)} == {0, 1, 2}


def test_every_tag_is_told_for_certain_and_as_possible_where_probabilities_are_assumed(made):
    data, _, reports = made
    told = Counter(
        (topic.tags[0], topic.certainty)
        for report in reports[len(data.train) :]
        for topic in report.plan.findings
        if topic.certainty is not Certainty.ABSENT
    )
    assert set(told) == {(t, c) for t in range(len(data.tags)) for c in (Certainty.STATED, Certainty.POSSIBLE)}
    assert min(told.values()) >= 5


def test_each_sentence_says_its_topic_and_nothing_else(made):
    data, _, reports = made
    for report in reports:
        topics = [*report.plan.findings, *report.plan.impression]
        assert len(topics) == len(report.sentences)
        for topic, sentence in zip(topics, report.sentences, strict=True):
            assert says(lexicon.packaged(), _text(sentence), topic, data.tags)
            assert sentence.planned == topic.details


def test_nothing_is_said_twice_in_a_section(made):
    _, _, reports = made
    for report in reports:
        for impression in (False, True):
            said = [tag for s in report.sentences if s.impression == impression for tag in (*s.denied, s.tag) if tag]
            assert len(said) == len(set(said))


def test_an_impression_tells_planned_tags_again(made):
    data, facts, reports = made
    for report in reports:
        repeated = {data.tags[t] for t in report.plan.tags if facts.impression[t]}
        told = {s.tag for s in report.sentences if s.impression and s.tag}
        assert told == repeated or (not repeated and len(report.plan.impression) <= 1)


def test_sets_that_reports_deny_are_found(made):
    """The generated reports deny a pneumothorax by itself."""
    data, facts, _ = made
    assert [t for t, can in zip(data.tags, facts.deniable, strict=True) if can] == ["Pneumothorax"]
    assert ("Pneumothorax",) in facts.findings_denials
    pool = make_pool(data, impression=False)
    (denial,) = pool.saying(("Pneumothorax",), Certainty.ABSENT, frozenset())
    assert lexicon.packaged().read_tags(" ".join(pool.sentences[denial])) == {"Pneumothorax": "absent"}


def test_what_no_report_states_is_not_denied(made):
    """There is nothing to learn from how a pneumothorax shows in the evidence."""
    assert not any(s.denied for report in _of_evidence(made) for s in report.sentences)


def _text(sentence):
    return sentence_text(sentence.words, range(len(sentence.words)))


def test_findings_are_sentences_and_a_possible_finding_is_worded_so(made):
    data, _, _ = made
    pool = make_pool(data, impression=False)
    possible = [pool.sentences[c] for c in pool.by_content[Certainty.POSSIBLE, ("Cardiomegaly",)]]
    assert ("the", "heart", "may", "be", "enlarged") in possible
    assert ("possible", "cardiomegaly") not in possible  # no verb
    stated = [pool.sentences[c] for c in pool.by_content[Certainty.STATED, ("Cardiomegaly",)]]
    assert ("the", "heart", "is", "enlarged") in stated
    assert ("cardiomegaly",) not in stated


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("mild cardiomegaly", True),
        ("cardiomegaly without acute abnormality", False),
        ("widening of the mediastinum due to a known mass", False),
        ("clearing of airspace disease", False),
        ("pulmonary vascular engorgement within limits of normal", False),
    ],
)
def test_a_sentence_that_tells_a_tag_says_nothing_beyond(text, usable):
    assert sentence_pool._usable(tuple(text.split()), 5, Certainty.STATED, True) == usable


@pytest.mark.parametrize("impression", [False, True])
def test_every_tag_has_a_sentence_without_details_and_no_device_is_named(made, impression):
    data, _, _ = made
    pool = make_pool(data, impression)
    for tag in data.tags:
        for certainty, details in ((Certainty.STATED, set()), (Certainty.POSSIBLE, {Detail.UNCERTAIN})):
            assert pool.saying((tag,), certainty, frozenset(details))
    (device,) = pool.saying(("Support Devices",), Certainty.STATED, frozenset())
    text = sentence_text(pool.sentences[device], range(len(pool.sentences[device])))
    assert text == lexicon.packaged().plain_sentence("Support Devices")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("There is a pleural effusion.", (Certainty.STATED, ("Pleural Effusion",))),
        ("There may be a pleural effusion.", (Certainty.POSSIBLE, ("Pleural Effusion",))),
        ("No pneumothorax or pleural effusion.", (Certainty.ABSENT, ("Pleural Effusion", "Pneumothorax"))),
        ("Cardiomegaly without edema.", None),
        ("Cardiomegaly and pleural effusion.", None),
        ("The trachea is midline.", None),
        ("No acute bony abnormality.", None),
    ],
)
def test_what_a_sentence_says(text, what):
    assert content(text) == what


def test_a_study_is_no_neighbour_of_its_own():
    logits = np.array([[0.0], [0.1], [5.0], [5.1]], np.float32)
    said = np.eye(4, dtype=np.float32)
    expected = consensus._Neighbours(logits, 1).expect(0, said)
    share = consensus._SMOOTHING / 4
    assert expected == pytest.approx([share, 1 - consensus._SMOOTHING + share, share, share])
