"""Images and reports to what the joint space is learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable

import numpy as np
import torch

from cxreport.datasets.nih import LabelledImages
from cxreport.datasets.openi import OpeniReport
from cxreport.text import lexicon
from cxreport.text.tokens import tokenise
from cxreport.train.fit.joint import JointData, JointImages, JointTexts, text_words
from cxreport.train.networks.encoder import Encoder, to_input
from cxreport.train.networks.joint import joint_features
from cxreport.types import Floats

_LONGEST_SENTENCE = 40
_LEAST = 3  # reports that have a word
_BATCH = 32

LabelsOf = Callable[[OpeniReport, Collection[str], bool], Collection[str]]
"""A report, the reporting tags that a text of it states, and whether that is the whole -> labels of the images."""


def nih_labels(_report: OpeniReport, stated: Collection[str], _whole: bool) -> Collection[str]:
    """The NIH findings that stated reporting tags speak for."""
    evidence = lexicon.packaged().nih_findings
    return {finding for tag in stated for finding in evidence.get(tag, ())}


def mesh_labels(report: OpeniReport, stated: Collection[str], whole: bool) -> Collection[str]:
    """The MeSH headings of a whole report; of a part of it those that are stated."""
    return report.mesh if whole else set(report.mesh) & set(stated)


def text_vocabulary(
    vocabulary: tuple[str, ...], tags: tuple[str, ...], reports: Iterable[OpeniReport]
) -> tuple[str, ...]:
    """Words that the text encoder knows beyond the writer's: of the labels' names, and of several reports."""
    counts = Counter(word for r in reports for word in set(tokenise(f"{r.findings} {r.impression}")))
    words = [*(word for tag in tags for word in _name(tag)), *(w for w, n in sorted(counts.items()) if n >= _LEAST)]
    return tuple(word for word in dict.fromkeys(words) if word not in vocabulary)


@torch.inference_mode()
def joint_images(encoder: Encoder, images: LabelledImages, most: int, seed: int) -> JointImages:
    """Encode images, or some of them.

    Args:
        encoder: trained.
        images: with labels.
        most: how many at most; the patches of an image take 512 kB at 128 px.
        seed: of the choice.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(images))[:most])
    features, patches = [], []
    for start in range(0, len(chosen), _BATCH):
        rows = chosen[start : start + _BATCH]
        whole, parts = joint_features(encoder.maps(to_input(images.pixels[rows])))
        features.append(whole)
        patches.append(parts.half())
    return JointImages(torch.cat(features), torch.cat(patches), torch.from_numpy(images.labels[chosen]))


def joint_data(
    train: JointImages,
    val: JointImages,
    tags: tuple[str, ...],
    reports: Iterable[OpeniReport],
    vocabulary: tuple[str, ...],
    labels_of: LabelsOf,
) -> JointData:
    """Put images and texts together.

    Args:
        train: images to learn from.
        val: images to measure on.
        tags: names of the labels.
        reports: of the train split.
        vocabulary: of the writer, and behind it `text_vocabulary`.
        labels_of: what a text says in terms of the labels.
    """
    index = {word: i for i, word in enumerate(vocabulary)}

    def row(report: OpeniReport, stated: Collection[str], is_whole: bool) -> Floats:
        found = labels_of(report, stated, is_whole)
        return np.array([tag in found for tag in tags], np.float32)

    whole, sentences = [], []
    for report in reports:
        sections = report.findings, report.impression
        stated = lexicon.packaged().affirmed_in(sections)
        whole.append((tokenise(f"{report.findings} {report.impression}"), row(report, stated, True)))
        for text in (s for part in sections for s in lexicon.split_sentences(part)):
            labels = row(report, lexicon.packaged().affirmed(text), False)
            if labels.any():
                sentences.append((tokenise(text)[:_LONGEST_SENTENCE], labels))
    names = text_words(index, [_name(tag) for tag in tags])
    return JointData(train, val, _texts(index, whole, tags), _texts(index, sentences, tags), names, tags)


def _name(tag: str) -> list[str]:
    return tokenise(tag.replace("_", " "))


def _texts(index: dict[str, int], texts: list[tuple[list[str], Floats]], tags: tuple[str, ...]) -> JointTexts:
    if not texts:
        return JointTexts(torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, len(tags)))
    words = text_words(index, [words for words, _ in texts])
    return JointTexts(words, torch.from_numpy(np.stack([labels for _, labels in texts])))
