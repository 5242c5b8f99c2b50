"""Images, reports and sentences with shared labels: what the joint space is learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cxreport.datasets.nih import LabelledImages
from cxreport.datasets.openi import OpeniReport
from cxreport.text import lexicon
from cxreport.text.tokens import tokenise
from cxreport.text.vocabulary import PAD, UNK
from cxreport.train.networks.encoder import Encoder, has_bfloat16_units, to_input
from cxreport.train.networks.joint import joint_features
from cxreport.types import Floats

_LONGEST_SENTENCE = 40
_LEAST = 3  # reports that have a word
_BATCH = 32

LabelsOf = Callable[[OpeniReport, Collection[str], bool], Collection[str]]
"""A report, the reporting tags that a text of it states, and whether the text is all of it -> labels of the images."""


@dataclass(frozen=True, eq=False)
class JointImages:
    """N images: features (N, F), patches (N, P, D) in half precision, labels (N, T), which may be soft."""

    features: Tensor
    patches: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class JointTexts:
    """M texts: word ids (M, L) padded with `PAD`, labels (M, T) that they state."""

    words: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class JointData:
    """Images, whole reports, sentences that state something, and the labels' names."""

    train: JointImages
    val: JointImages
    reports: JointTexts
    sentences: JointTexts
    names: Tensor
    """(T, L) word ids."""
    tags: tuple[str, ...]


@dataclass(frozen=True)
class ReportTexts:
    """Reports in the terms of the images' labels."""

    reports: Sequence[OpeniReport]
    """Of the train split."""
    vocabulary: tuple[str, ...]
    """Of the writer, and behind it `text_vocabulary`."""
    labels_of: LabelsOf


def nih_labels(_report: OpeniReport, stated: Collection[str], _complete: bool) -> Collection[str]:
    """The NIH findings that stated reporting tags speak for."""
    evidence = lexicon.packaged().nih_findings
    return {finding for tag in stated for finding in evidence.get(tag, ())}


def mesh_labels(report: OpeniReport, stated: Collection[str], complete: bool) -> Collection[str]:
    """The MeSH headings of a complete report; of a sentence of it those that are stated."""
    return report.mesh if complete else set(report.mesh) & set(stated)


def text_vocabulary(
    vocabulary: tuple[str, ...], tags: tuple[str, ...], reports: Iterable[OpeniReport]
) -> tuple[str, ...]:
    """Words that the text encoder knows beyond the writer's: of the labels' names, and of several reports."""
    counts = Counter(word for r in reports for word in set(tokenise(f"{r.findings} {r.impression}")))
    words = [*(word for tag in tags for word in _name(tag)), *(w for w, n in sorted(counts.items()) if n >= _LEAST)]
    return tuple(word for word in dict.fromkeys(words) if word not in vocabulary)


@torch.inference_mode()
def joint_images(encoder: Encoder, images: LabelledImages, labels: Floats, most: int, seed: int) -> JointImages:
    """Encode images, or a sample of them, in bfloat16 where the processor has units for it.

    Args:
        encoder: trained.
        images: N of them.
        labels: (N, T) between 0 and 1, in place of the images' own.
        most: size of the sample; the patches of an image take 512 kB at 128 px with VGG-19.
        seed: of the sample.
    """
    sample = np.sort(np.random.default_rng(seed).permutation(len(images))[:most])
    features, patches, bf16 = [], [], has_bfloat16_units()
    for start in range(0, len(sample), _BATCH):
        rows = sample[start : start + _BATCH]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            maps = encoder.maps(to_input(images.pixels[rows]))
        image_features, patch_features = joint_features([depth.float() for depth in maps[-3:]])
        features.append(image_features)
        patches.append(patch_features.half())
    return JointImages(torch.cat(features), torch.cat(patches), torch.from_numpy(labels[sample]))


def joint_data(train: JointImages, val: JointImages, tags: tuple[str, ...], texts: ReportTexts) -> JointData:
    """Put images and texts together.

    Args:
        train: images to learn from.
        val: images to measure on.
        tags: names of the labels.
        texts: reports to learn from.
    """
    index = {word: i for i, word in enumerate(texts.vocabulary)}

    def row(report: OpeniReport, stated: Collection[str], complete: bool) -> Floats:
        labels = texts.labels_of(report, stated, complete)
        return np.array([tag in labels for tag in tags], np.float32)

    reports, sentences = [], []
    for report in texts.reports:
        sections = report.findings, report.impression
        stated = lexicon.packaged().affirmed_in(sections)
        reports.append((tokenise(f"{report.findings} {report.impression}"), row(report, stated, True)))
        for text in (sentence for section in sections for sentence in lexicon.split_sentences(section)):
            labels = row(report, lexicon.packaged().affirmed(text), False)
            if labels.any():
                sentences.append((tokenise(text)[:_LONGEST_SENTENCE], labels))
    return JointData(
        train=train,
        val=val,
        reports=_texts(index, reports, tags),
        sentences=_texts(index, sentences, tags),
        names=text_words(index, [_name(tag) for tag in tags]),
        tags=tags,
    )


def text_words(index: dict[str, int], texts: Sequence[Sequence[str]], longest: int = 128) -> Tensor:
    """(M, L) ids of tokenised texts, padded with `PAD`."""
    rows = [torch.tensor([index.get(w, UNK) for w in text[:longest]] or [UNK]) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)


def _name(tag: str) -> list[str]:
    return tokenise(tag.replace("_", " "))


def _texts(index: dict[str, int], texts: list[tuple[list[str], Floats]], tags: tuple[str, ...]) -> JointTexts:
    if not texts:
        return JointTexts(torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, len(tags)))
    words = text_words(index, [words for words, _ in texts])
    return JointTexts(words, torch.from_numpy(np.stack([labels for _, labels in texts])))
