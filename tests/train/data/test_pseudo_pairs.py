"""Images for reports of another collection, and stand-ins to measure with."""

import inspect

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import make_openi  # noqa: E402

from cxreport.datasets import nih, openi  # noqa: E402
from cxreport.train.data import evidence  # noqa: E402
from cxreport.train.data import targets as text  # noqa: E402
from cxreport.train.data.pseudo_pairs import nih_vector, pseudo_pairs, stand_ins  # noqa: E402
from cxreport.train.data.tensors import DecoderData  # noqa: E402


def test_pseudo_pairs_share_their_tags(tmp_path):
    folder = make_openi(tmp_path / "openi", reports=40)
    tags = ("Cardiomegaly", "Pleural Effusion", "Granuloma")
    targets = [text.target_report(r, True, 20) for r in openi.read_reports(folder)]
    chexnet = openi.read_evidence(folder)
    logits = evidence.logit(np.stack([chexnet[t.uid] for t in targets]))
    truth = np.array([[t in r.tags for t in tags] for r in targets], np.float32)
    adapter = evidence.fit_adapter(logits, truth)
    labels = np.zeros((8, 14), np.float32)
    labels[4:, nih.FINDINGS.index("Effusion")] = 1
    probabilities = nih.nih_targets(labels, tags, nih.FINDINGS)
    evident = dict(zip((t.uid for t in targets), adapter.probabilities(logits), strict=True))
    draw = pseudo_pairs(labels, probabilities, DecoderData(targets, [], tags, ()), evident, neighbours=4)
    for report, image in zip(targets, draw(np.random.default_rng(0)), strict=True):
        if report.tags <= {"Pleural Effusion"}:
            assert ("Pleural Effusion" in report.tags) == (image >= 4)


def test_stand_ins_are_the_images_with_the_nearest_labels():
    labels = np.eye(14, dtype=np.float32)[[0, 1, 1, 2]]
    stated = np.eye(14, dtype=np.float32)[[2, 1, 0]]
    assert stand_ins(labels, stated, stated) == [3, 1, 0]
    unsure = stated.copy()
    unsure[0] = 0
    assert stand_ins(labels, unsure, stated)[0] == 3  # what a CheXNet saw counts as much
    assert stand_ins(np.concatenate([labels, np.zeros((1, 14), np.float32)]), stated * 0, stated * 0) == [4, 4, 4]


def test_equally_near_stand_ins_take_turns():
    labels = np.eye(14, dtype=np.float32)[[5, 3, 5, 5]]
    wanted = np.eye(14, dtype=np.float32)[[5] * 7 + [3]]
    assert stand_ins(labels, wanted, wanted * 0.4) == [0, 2, 3, 0, 2, 3, 0, 1]
    noise = wanted + np.random.default_rng(0).uniform(-1e-8, 1e-8, wanted.shape).astype(np.float32)
    assert stand_ins(labels, noise, wanted * 0.4) == stand_ins(labels, wanted, wanted * 0.4)


def test_no_model_has_a_part_in_stand_ins():
    assert list(inspect.signature(stand_ins).parameters) == ["labels", "stated", "evident"]


def test_findings_that_tags_speak_for():
    found = nih_vector(["Pleural Effusion", "Granuloma"])
    assert [f for f, here in zip(nih.FINDINGS, found, strict=True) if here] == ["Effusion"]
    assert not nih_vector([]).any()
