"""An explanation with a map of its own for each word, made without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cxreport.explain.explain import Explanation, TagMap
from cxreport.reading.network_input import network_input
from cxreport.types import Position, Report, Section, SentenceMap, Study, View, ViewInfo, WordMap

SIDE = 8


def blob(row: float, column: float, spread: float = 1.3) -> np.ndarray:
    """(8, 8) map around a patch, with a sum of 1."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    weights = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2)).astype(np.float32)
    return weights / weights.sum()


def sentence(section: Section, text: str, place: tuple[float, float]) -> SentenceMap:
    """A sentence whose words look at places along a line from the top left to ``place``."""
    words = text.split()
    steps = np.linspace(0, 1, len(words))
    maps = tuple(WordMap(word, blob(place[0] * s, place[1] * s, 0.8)) for word, s in zip(words, steps, strict=True))
    return SentenceMap(section, text, blob(*place), maps)


def made_explanation(phantoms: Path, name: str = "normal-8bit.png", warnings: tuple[str, ...] = ()) -> Explanation:
    picture = network_input(np.asarray(Image.open(phantoms / "normal-8bit.png").convert("L")), 128)
    sentences = (
        sentence(Section.FINDINGS, "There is a small right pleural effusion.", (6, 1)),
        sentence(Section.FINDINGS, "The heart is enlarged.", (5, 4)),
        sentence(Section.IMPRESSION, "Small right pleural effusion & cardiomegaly.", (6, 2)),
    )
    study = Study(name, (f"secret/{name}",), View(ViewInfo(f"secret/{name}", 0, Position.PA), picture))
    report = Report(
        study,
        (),
        (),
        tuple(s.text for s in sentences if s.section is Section.FINDINGS),
        tuple(s.text for s in sentences if s.section is Section.IMPRESSION),
        warnings,
        maps=sentences,
    )
    return Explanation(report, picture, sentences, (TagMap("Pneumothorax", "Pneumothorax", 0.125, False, blob(1, 6)),))
