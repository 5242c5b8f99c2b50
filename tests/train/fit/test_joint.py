"""The joint space's losses with soft labels of images."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from cxreport.train.fit.joint import _contrast, _shared  # noqa: E402


def test_hard_labels_share_all_or_nothing() -> None:
    images = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0]])
    texts = torch.tensor([[1.0, 0, 0], [1, 0, 1], [0, 0, 0]])
    assert _shared(images, texts).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_soft_labels_share_by_the_chance_of_any() -> None:
    images, texts = torch.tensor([[0.5, 0.2, 0.9]]), torch.tensor([[1.0, 1, 0]])
    assert _shared(images, texts).item() == pytest.approx(1 - 0.5 * 0.8)


def test_an_image_without_a_finding_is_like_texts_without_one() -> None:
    """Likeness of normal images to normal texts, and of sick ones to what is theirs, lowers the loss."""
    texts = torch.tensor([[1.0, 0], [0, 0]])
    for sick, normal in ((1.0, 0.0), (0.9, 0.1)):
        images = torch.tensor([[sick, 0.0], [normal, 0.0]])
        right, wrong = torch.tensor([[2.0, -2], [-2, 2]]), torch.tensor([[-2.0, 2], [2, -2]])
        assert _contrast(right, images, texts) < _contrast(wrong, images, texts)
