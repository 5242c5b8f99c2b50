"""Consensus reports: put together for the plan, from what reports of studies with like evidence say."""

from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import make_openi, write_recipe  # noqa: E402

from cxreport.datasets import openi  # noqa: E402
from cxreport.text import lexicon  # noqa: E402
from cxreport.train.config import load_config  # noqa: E402
from cxreport.train.data import consensus  # noqa: E402
from cxreport.train.data.decoder_data import chexnet_evidence, decoder_data  # noqa: E402
from cxreport.train.data.tag_facts import tag_facts  # noqa: E402

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


def test_there_is_one_for_every_train_study_with_evidence(made):
    data, _, reports = made
    assert [r.index for r in reports] == list(range(len(data.train)))


def test_they_tell_what_is_planned_and_nothing_else(made):
    data, facts, reports = made
    assert {len(r.plan.tags) for r in reports} == {0, 1, 2}
    for report in reports:
        told = {data.tags[t] for t in report.plan.tags}
        assert lexicon.packaged().affirmed(". ".join(_texts(report))) == told
        assert [s.tag for s in report.sentences if s.tag and not s.impression] == [
            data.tags[t] for t in report.plan.tags
        ]
        repeated = {data.tags[t] for t in report.plan.tags if facts.impression[t]}
        assert lexicon.packaged().affirmed(". ".join(_texts(report, True))) == repeated


def test_they_deny_what_the_recipe_wants_denied(made):
    data, facts, reports = made
    assert [t for t, can in zip(data.tags, facts.deniable, strict=True) if can] == ["Pneumothorax"]
    for report in reports:
        (denial,) = [s for s in report.sentences if s.denied]
        assert denial.denied == ("Pneumothorax",)
        assert lexicon.packaged().read_tags(" ".join(denial.words))["Pneumothorax"] == "absent"


def test_they_are_made_of_what_is_said_most(made):
    """All reports say that the lungs are expanded, a third each that the bones are intact or the trachea midline."""
    _, _, reports = made
    said = Counter(text for report in reports for text in set(_texts(report)))
    assert said["the lungs are expanded"] == len(reports)


def test_a_study_is_no_neighbour_of_its_own():
    logits = np.array([[0.0], [0.1], [5.0], [5.1]], np.float32)
    said = np.eye(4, dtype=np.float32)
    expected = consensus._Neighbours(logits, 1).expect(0, said)
    share = consensus._SMOOTHING / 4
    assert expected == pytest.approx([share, 1 - consensus._SMOOTHING + share, share, share])
