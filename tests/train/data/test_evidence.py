"""Adapters from a classifier to reporting tags: fit, thresholds, degrees, calibration."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from training_data import make_openi  # noqa: E402

from cxreport.datasets import nih, openi  # noqa: E402
from cxreport.train.data import evidence  # noqa: E402
from cxreport.train.data import targets as text  # noqa: E402
from cxreport.train.data.decoder_data import chexnet_evidence  # noqa: E402
from cxreport.train.data.tensors import DecoderData  # noqa: E402
from cxreport.train.networks.encoder import Encoder  # noqa: E402
from cxreport.train.networks.encoders.vgg19 import Vgg19  # noqa: E402


def test_evidence_adapter_finds_the_rule_and_its_threshold():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(600, 2)).astype(np.float32)
    targets = (logits[:, :1] > 0.5).astype(np.float32)
    targets = np.concatenate([targets, targets], 1)
    allowed = np.array([[True, False], [False, False]])
    adapter = evidence.fit_adapter(logits, targets, allowed, penalty=1e-4)
    positive = adapter.probabilities(logits) >= adapter.thresholds
    assert (positive[:, 0] == targets[:, 0]).mean() > 0.97
    assert adapter.weights[0, 1] == 0
    assert not positive[:, 1].any()  # no evidence: stays negative


def test_a_threshold_raises_few_false_alarms():
    rng = np.random.default_rng(0)
    scores, targets = rng.random(1000, dtype=np.float32), (rng.random(1000) < 0.05).astype(np.float32)
    assert (scores >= evidence.best_f1_threshold(scores, targets)).sum() <= 2 * targets.sum()


def test_degrees_are_as_frequent_as_in_the_reports():
    adapter = evidence.Adapter(np.eye(2, dtype=np.float32), np.zeros(2, np.float32), np.array([0.5, 1], np.float32))
    logits = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    mild, marked = evidence.degree_cuts(adapter, logits, np.array([[0.5, 0.1], [0.5, 0.1]], np.float32))
    positive = adapter.probabilities(logits)[:, 0]
    positive = positive[positive >= 0.5]
    assert (positive < mild[0]).mean() == pytest.approx(0.5, abs=0.01)
    assert (positive > marked[0]).mean() == pytest.approx(0.1, abs=0.01)
    assert (mild[1], marked[1]) == (0, 1)  # no image has the tag


def test_rare_tags_get_a_cautious_threshold():
    scores = np.linspace(0, 1, 1000, dtype=np.float32)
    targets = np.zeros(1000, np.float32)
    targets[500] = 1
    assert evidence.best_f1_threshold(scores, targets) >= np.quantile(scores, 0.99)


def test_calibration_undoes_a_scale_and_a_shift():
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 1.5, (4000, 2)).astype(np.float32)
    labels = (rng.random(true.shape) < 1 / (1 + np.exp(-true))).astype(np.float32)
    labels[9:, 1] = 0  # too few to fit: left as it is
    distorted = (true * 3 + 2).astype(np.float32)
    found = evidence.calibrate(distorted, labels)
    probabilities = found.probabilities(distorted)
    assert np.abs(probabilities[:, 0] - 1 / (1 + np.exp(-true[:, 0]))).max() < 0.06
    assert np.allclose(probabilities[:, 1], 1 / (1 + np.exp(-distorted[:, 1])), atol=1e-5)
    encoder = Encoder(Vgg19(1 / 32), 2).eval()
    image = torch.rand(1, 1, 32, 32) * 255
    before = encoder(image)[1]
    encoder.calibrate(torch.tensor([2.0, 0.5]), torch.tensor([1.0, -1.0]))
    assert torch.allclose(encoder(image)[1], before * torch.tensor([2.0, 0.5]) + torch.tensor([1.0, -1.0]), atol=1e-5)


def test_two_networks_are_brought_to_one_scale_by_what_is_normal():
    rng = np.random.default_rng(5)
    normal = rng.normal(-5, 0.5, (400, 2)).astype(np.float32)
    reference = rng.normal(-1, 1.0, (300, 2)).astype(np.float32)
    matched = evidence.match_scale(np.array([[-5, -4.5]], np.float32), normal, reference)
    np.testing.assert_allclose(matched, [[-1, 0]], atol=0.25)
    np.testing.assert_allclose(
        np.median(evidence.match_scale(normal, normal, reference), 0), np.median(reference, 0), atol=1e-3
    )


def test_a_teacher_speaks_of_images_as_a_chexnet_does_of_reports(tmp_path):
    """Images whose teacher is as sure of an effusion as the CheXNet is of the sick reports get their evidence."""
    folder = make_openi(tmp_path / "openi", reports=60)
    targets = [text.target_report(r, True, 20) for r in openi.read_reports(folder)]
    data = DecoderData(targets, [], ("Cardiomegaly", "Pleural Effusion"), ())
    chexnet = chexnet_evidence(openi.read_evidence(folder), data)
    sick = [t.uid for t in targets if "Pleural Effusion" in t.stated and t.uid in chexnet.logits]
    normal = [t.uid for t in targets if not t.stated and t.uid in chexnet.logits]
    ours = np.stack([chexnet.logits[uid] for uid in normal + sick])
    labels = np.zeros((len(ours), 14), np.float32)
    labels[len(normal) :, nih.FINDINGS.index("Effusion")] = 1
    evident = evidence.taught_evidence(ours / 2 - 3, labels, chexnet, targets)  # another scale
    theirs = np.stack([chexnet.probabilities[uid] for uid in normal + sick])
    np.testing.assert_allclose(evident, theirs, atol=1e-3)
    abnormal = [target for target in targets if target.stated]  # none that a scale could be compared by
    np.testing.assert_allclose(evidence.taught_evidence(ours, labels, chexnet, abnormal), theirs, atol=1e-6)
