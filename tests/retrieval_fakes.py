"""A model with a text encoder that no training made, for the tests of indexes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cxreport.bundle import GraphFile, Manifest
from cxreport.session import EncoderOutput, Model

WIDTH = 15


def unit(vectors: np.ndarray) -> np.ndarray:
    """Bring vectors to a length of 1."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def random_units(rows: int, seed: int = 0) -> np.ndarray:
    """(rows, WIDTH) unit vectors."""
    return unit(np.random.default_rng(seed).standard_normal((rows, WIDTH)))


@dataclass
class FakeModel:
    """The tiny bundle; a text is the sum of a random vector per word, an image a random projection of its pixels."""

    real: Model
    manifest: Manifest

    @classmethod
    def load(cls, bundle: Path) -> FakeModel:
        real = Model.load(bundle, "cpu")
        graphs = real.manifest.graphs | {"text_encoder": GraphFile("text_encoder.onnx", "0" * 64, 1)}
        return cls(real, replace(real.manifest, graphs=graphs))

    def encode_text(self, ids: np.ndarray) -> np.ndarray:
        words = random_units(len(self.manifest.vocabulary), 1)
        return unit((words[ids] * (ids > 0)[..., None]).sum(1))

    def encode_batch(self, image: np.ndarray) -> EncoderOutput:
        pixels = image.reshape(len(image), -1).astype(np.float32)
        projection = np.random.default_rng(2).standard_normal((pixels.shape[1], WIDTH))
        return self.real.encode_batch(image)._replace(embedding=unit(pixels @ projection))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)
