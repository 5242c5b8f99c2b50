"""Class activation maps, and the recovery of the tag head that they need."""

from __future__ import annotations

import numpy as np

from cxreport.evaluate.grounding.activation import activation_map, recover_head
from cxreport.model.encode import encode
from cxreport.model.session import Model

SIZE = 32


EVEN = np.full((2, 2), 0.25, np.float32)


def synthetic_head(images: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of two tags, mean patches of which one feature is dead, and probabilities in 32 bits."""
    random = np.random.default_rng(4)
    weights = random.normal(0, 1, (2, 6))
    means = random.normal(1, 0.5, (images, 6)) * [1, 10, 0.1, 1, 0, 1]
    odds = means @ weights.T + [1, -2]
    return weights, means, (1 / (1 + np.exp(-odds))).astype(np.float32).astype(np.float64)


def test_the_weights_of_a_linear_head_are_recovered() -> None:
    weights, means, probabilities = synthetic_head(100)
    head = recover_head(means, probabilities)
    assert head.recovered.all()
    assert head.images == 90
    expected = np.where(means.std(0) > 0, weights, 0)
    np.testing.assert_allclose(head.weights, expected, atol=1e-3)


def test_what_is_not_linear_or_of_too_few_images_is_not_recovered() -> None:
    _, means, probabilities = synthetic_head(100)
    bent = recover_head(means, probabilities**2)
    assert (bent.residuals > 0.01).all()
    assert not bent.recovered.any()
    few = recover_head(means[:7], probabilities[:7])
    assert np.isnan(few.residuals).all()
    assert not few.recovered.any()
    probabilities[::2, 1] = 1  # says nothing of the weights
    assert recover_head(means, probabilities).recovered.tolist() == [True, True]
    probabilities[2:, 1] = 1
    assert recover_head(means, probabilities).recovered.tolist() == [True, False]


def test_an_activation_map_is_what_patches_add_beyond_the_mean() -> None:
    patches = np.array([[1, 5], [2, 5], [3, 5], [6, 5]], np.float32)
    weights = activation_map(patches, np.array([2.0, 1.0]))
    assert weights.tolist() == [[0, 0], [0, 1]]
    assert activation_map(patches, np.array([0.0, 1.0])).tolist() == EVEN.tolist()


def test_the_tiny_bundles_head_is_recovered(model: Model) -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE), np.uint8))
    encodings = encode(model, images)
    means = np.stack([encoding.patches.mean(0, dtype=np.float64) for encoding in encodings])
    odds = np.array([list(encoding.tags.values()) for encoding in encodings], np.float64)
    assert recover_head(means, odds).recovered.sum() > 10  # those of the others are all but certain
