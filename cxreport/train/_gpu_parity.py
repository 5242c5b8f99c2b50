"""Parity of the graphs for GPUs with those that they are made from, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from cxreport._beam import Limits, search
from cxreport._greedy import write_greedily
from cxreport._writers import TopicWriter
from cxreport.bundle import read_graphs
from cxreport.encode import encode
from cxreport.errors import ExportError
from cxreport.manifest import HALF_ENCODER, WORD_SEARCH
from cxreport.session import Model
from cxreport.train._parity import made_image

MAX_CHANGE = 0.005
"""Largest difference of a tag probability."""
_IMAGES, _TOPICS = 8, 48
_SEED = 8


def check_gpu_graphs(model: Model, folder: Path) -> dict[str, Any]:
    """Compare a bundle's graphs for GPUs with the others.

    Args:
        model: the bundle, loaded on the CPU.
        folder: where it is.

    Returns:
        the largest difference of a tag probability, and how many texts of random topics are the same; empty for a
        bundle without such graphs.

    Raises:
        ExportError: a difference is too large.
    """
    generator, figures = np.random.default_rng(_SEED), dict[str, Any]()
    manifest = model.manifest
    if HALF_ENCODER in manifest.graphs:
        images = [made_image(generator, manifest) for _ in range(_IMAGES)]
        half = Model.load(folder, "cpu", half=True)
        exact, other = (np.array([list(e.tags.values()) for e in encode(m, images)]) for m in (model, half))
        figures["half_change"] = float(abs(exact - other).max())
    if WORD_SEARCH in manifest.graphs:
        bound = model.with_word_search(read_graphs(folder, manifest))
        sizes, lengths = manifest.sizes, manifest.decoding
        topics = generator.uniform(-1, 1, (_TOPICS, sizes.hidden)).astype(np.float32)
        banned = generator.random((_TOPICS, sizes.words)) < 0.1
        limits = Limits(1, lengths.min_words, lengths.max_words, manifest.long_words)
        pairs = zip(
            write_greedily(bound, topics, banned, limits),
            search(TopicWriter(model, topics), sizes.hidden, banned, limits),
            strict=True,
        )
        figures["searched"] = sum(a.ids == b.ids for a, b in pairs)
    if figures.get("half_change", 0) > MAX_CHANGE or figures.get("searched", _TOPICS) < _TOPICS:
        raise ExportError(f"The graphs for GPUs differ from the others: {figures}.")
    return figures
