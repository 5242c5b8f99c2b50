"""An explanation with a map of its own for each word, made without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from cxreport.explain.explain import Explanation, TagMap
from cxreport.reading.network_input import network_input
from cxreport.sentences import Assertion, Band, Origin, Sentence, SentenceMap, Statement, WordMap
from cxreport.types import Detail, Position, Report, Section, Study, View, ViewInfo

SIDE = 8


def blob(row: float, column: float, spread: float = 1.3) -> np.ndarray:
    """(8, 8) map around a patch, with a sum of 1."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    weights = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2)).astype(np.float32)
    return weights / weights.sum()


EFFUSION = Statement("Pleural Effusion", Assertion.PRESENT, (Detail.RIGHT, Detail.MILD), 0.75, Band.PRESENT)
HEART = Statement("Cardiomegaly", Assertion.POSSIBLE, (), 0.5, Band.PRESENT)
NODULE = Statement("Lung Lesion", Assertion.ABSENT)


def sentence(
    section: Section, text: str, place: tuple[float, float], origin: Origin, *statements: Statement
) -> Sentence:
    """A sentence whose words look at places along a line from the top left to ``place``."""
    words = text.split()
    steps = np.linspace(0, 1, len(words))
    maps = tuple(WordMap(word, blob(place[0] * s, place[1] * s, 0.8)) for word, s in zip(words, steps, strict=True))
    return Sentence(section, text, origin, None, statements, SentenceMap(blob(*place), maps))


def made_explanation(phantoms: Path, name: str = "normal-8bit.png", warnings: tuple[str, ...] = ()) -> Explanation:
    picture = network_input(np.asarray(Image.open(phantoms / "normal-8bit.png").convert("L")), 128)
    sentences = (
        sentence(Section.FINDINGS, "There is a small right pleural effusion.", (6, 1), Origin.PLANNED, EFFUSION),
        sentence(Section.FINDINGS, "The heart is enlarged.", (5, 4), Origin.ADDED, HEART),
        sentence(
            Section.IMPRESSION, "Small right pleural effusion & cardiomegaly.", (6, 2), Origin.FREE, EFFUSION, NODULE
        ),
    )
    study = Study(name, (f"secret/{name}",), View(ViewInfo(f"secret/{name}", 0, Position.PA), picture))
    report = Report(study, (), (), sentences, warnings)
    return Explanation(report, picture, (TagMap("Pneumothorax", "Pneumothorax", 0.125, False, blob(1, 6)),))
