"""Limits of certainty: right often enough, cautious where examples are few; adapters that rise with their input."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cxreport.datasets.nih import FINDINGS, LabelledImages, nih_mask, nih_targets  # noqa: E402
from cxreport.train.data import evidence  # noqa: E402
from cxreport.train.data.certainty import (  # noqa: E402
    Aims,
    Opinions,
    fit_limits,
    held_out_probabilities,
)
from cxreport.train.data.head_limits import as_unseen, limited_head  # noqa: E402
from cxreport.train.data.images import ImageSplits  # noqa: E402

NAMES = ("Pneumothorax", "Cardiomegaly", "Hernia")
AIMS = Aims()


def examples(seed, count=6000, slope=2.5, base=-2.0):
    """Probabilities that are right, and labels drawn by them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(base, slope, (count, 3))
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    labels = (rng.random(probabilities.shape) < probabilities).astype(np.float32)
    return probabilities, Opinions.of(labels, np.full_like(labels, np.nan))


def test_limits_keep_their_aims_on_other_examples():
    told, limits = fit_limits(NAMES, *examples(0), np.ones(3, bool))
    probabilities, opinions = examples(1)
    flat = probabilities >= limits.certain
    possible = (probabilities >= told) & ~flat
    absent = probabilities <= limits.absent
    for tag in range(3):
        truth = opinions.judged[:, tag] > 0
        assert flat[:, tag].sum() > 100
        assert truth[flat[:, tag]].mean() >= 0.75
        assert truth[possible[:, tag]].mean() >= 0.35
        assert 1 - truth[absent[:, tag]].mean() >= 0.97
        assert (probabilities[truth, tag] >= limits.sensitive[tag]).mean() == pytest.approx(0.9, abs=0.03)
    assert absent[opinions.judged[:, 0] > 0, 0].mean() <= 0.25
    assert (limits.absent < told).all()
    assert (limits.sensitive <= told).all()
    assert (told <= limits.certain).all()


def test_few_examples_do_not_make_a_tag_certain():
    """Six lucky hits of a rare tag, where findings as likely as that are there every third time."""
    probabilities, opinions = examples(2, base=-3.0, slope=1.0)
    rare = np.linspace(0, 0.02, len(probabilities), dtype=np.float32)
    rare[:6] = np.linspace(0.3, 0.35, 6)
    labels = opinions.labels.copy()
    labels[:, 2] = 0
    labels[:6, 2] = 1
    probabilities[:, 2] = rare
    _, limits = fit_limits(NAMES, probabilities, Opinions(labels, labels), np.ones(3, bool))
    assert limits.certain[2] > 1


def test_a_tag_without_evidence_is_neither_told_nor_denied():
    told, limits = fit_limits(NAMES, *examples(3), np.array([True, True, False]))
    assert told[2] > 1
    assert limits.certain[2] > 1
    assert limits.absent[2] < 0


def test_a_tag_is_told_from_the_same_probability_or_where_it_is_well_supported():
    """Of two tags equally likely by their labels, one is there four times as often by the second opinion."""
    rng = np.random.default_rng(6)
    probabilities = rng.uniform(0, 0.3, (20000, 2)).astype(np.float32)
    labels = (rng.random(probabilities.shape) < probabilities).astype(np.float32)
    judged = labels.copy()
    judged[:, 1] = np.maximum(labels[:, 1], rng.random(len(labels)) < 4 * probabilities[:, 1])
    judged[:, 0] = np.maximum(labels[:, 0], rng.random(len(labels)) < 0.4 * (probabilities[:, 0] > 0.1))
    told, limits = fit_limits(NAMES[:2], probabilities, Opinions(labels, judged), np.ones(2, bool))
    assert told[0] == pytest.approx(AIMS.likely)
    assert told[1] < 0.9 * AIMS.likely
    right = judged[(probabilities[:, 1] >= told[1]) & (probabilities[:, 1] < limits.certain[1]), 1].mean()
    assert right >= AIMS.supported - 0.02


def test_limits_of_a_head_are_chosen_on_val_images_too():
    """Val images where the head is right, beside train images too few to choose a limit by."""
    rng = np.random.default_rng(7)
    logits = rng.normal(-1, 3, (2000, len(FINDINGS))).astype(np.float32)
    labels = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    empty = np.empty((0, 1, 1), np.uint8)
    train = LabelledImages(empty, labels[:3], ("a_0", "a_1", "a_2"))
    val = LabelledImages(empty, labels[3:], tuple(f"{i // 2}_{i % 2}" for i in range(1997)))
    images = ImageSplits(tags=FINDINGS, train=train, small=None, val=val)
    tags = ("Pneumothorax", "Granuloma")
    mask = nih_mask(tags, FINDINGS)
    head = evidence.fit_adapter(logits[3:], nih_targets(labels[3:], tags, FINDINGS), mask, own=mask)
    limited, limits = limited_head(head, logits[:3], logits[3:], images, tags)
    assert limited.thresholds[0] <= limits.certain[0] < 1
    assert (limited.weights == head.weights).all()
    assert limited.thresholds[1] > 1  # no finding of the head speaks for it


def test_either_opinion_is_enough():
    labels = np.array([[1, 0, 0, 0]], np.float32)
    relabels = np.array([[0, 1, np.nan, 0]], np.float32)
    assert Opinions.of(labels, relabels).judged.tolist() == [[1, 1, 0, 0]]


def test_examples_of_a_group_are_held_out_together():
    groups = [f"patient {i // 3}" for i in range(60)]
    inputs = np.arange(60, dtype=np.float32)[:, None]

    def fit(rows):
        seen = {groups[i] for i in np.flatnonzero(rows)}
        return lambda values: np.array([[groups[int(v)] in seen for (v,) in values]], np.float32).T

    assert not held_out_probabilities(fit, inputs, groups).any()


def test_an_input_never_lowers_the_tag_of_its_name():
    """Two inputs of the same thing, the worse one of which a free fit gives a negative weight."""
    rng = np.random.default_rng(4)
    truth = rng.normal(size=4000)
    noise = rng.normal(size=4000)
    logits = np.stack([truth + noise, noise], 1).astype(np.float32)
    targets = (truth > 0.5).astype(np.float32)[:, None]
    both = np.ones((1, 2), bool)
    free = evidence.fit_adapter(logits, targets, penalty=1e-4)
    rising = evidence.fit_adapter(logits, targets, own=both, penalty=1e-4)
    assert free.weights[0, 1] < -0.5
    assert (rising.weights >= 0).all()
    assert rising.weights[0, 0] > 0.1


def test_learned_images_are_brought_to_unseen_ones():
    rng = np.random.default_rng(5)
    labels = (rng.random((4000, 1)) < 0.2).astype(np.float32)
    seen = (rng.normal(size=labels.shape) + 4 * labels).astype(np.float32)
    val_labels = (rng.random((4000, 1)) < 0.2).astype(np.float32)
    val = (1.5 * rng.normal(size=labels.shape) + 1 * val_labels).astype(np.float32)
    unseen = as_unseen(seen, labels, val, val_labels)
    for label in (0, 1):
        assert unseen[labels == label].mean() == pytest.approx(val[val_labels == label].mean(), abs=1e-4)
        assert unseen[labels == label].std() == pytest.approx(val[val_labels == label].std(), abs=1e-4)
    few = np.zeros_like(labels)
    few[:3] = 1
    assert (as_unseen(seen, few, val, val_labels)[:3] == seen[:3]).all()
