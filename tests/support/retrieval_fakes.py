"""A model with a text encoder that no training made, and manifests without one, for the tests of indexes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cxreport.model.manifest import TEXT_ENCODER, Manifest
from cxreport.model.session import EncoderOutput, Model

WIDTH = 15
TEXTS = {
    "a": ("There is a pleural effusion.", "Pleural effusion."),
    "b": ("The heart is enlarged.", "Cardiomegaly."),
    "c": ("The lungs are clear. No pneumothorax.", ""),
    "d": ("", ""),
}
"""Id -> Findings and Impression of reports; one has neither."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Bring vectors to a length of 1."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def random_units(rows: int, seed: int = 0) -> np.ndarray:
    """(rows, WIDTH) unit vectors."""
    return unit(np.random.default_rng(seed).standard_normal((rows, WIDTH)))


def without_texts(manifest: Manifest) -> Manifest:
    """A manifest as that of a bundle without a text encoder."""
    return replace(manifest, graphs={name: g for name, g in manifest.graphs.items() if name != TEXT_ENCODER})


@dataclass
class FakeModel:
    """The tiny bundle; a text is the sum of a random vector per word, an image a random projection of its pixels."""

    real: Model
    manifest: Manifest

    @classmethod
    def load(cls, bundle: Path) -> FakeModel:
        real = Model.load(bundle, "cpu")
        return cls(real, real.manifest)

    def encode_text(self, ids: np.ndarray) -> np.ndarray:
        words = random_units(len(self.manifest.text_vocabulary), 1)
        return unit((words[ids] * (ids > 0)[..., None]).sum(1))

    def encode_batch(self, image: np.ndarray) -> EncoderOutput:
        pixels = image.reshape(len(image), -1).astype(np.float32)
        projection = np.random.default_rng(2).standard_normal((pixels.shape[1], WIDTH))
        return self.real.encode_batch(image)._replace(embedding=unit(pixels @ projection))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)
