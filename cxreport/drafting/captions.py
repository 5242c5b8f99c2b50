"""Reports of the captioning architectures: one sequence of words per image, split into sections and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cxreport.drafting.beam import search
from cxreport.drafting.word_scores import CaptionScorer
from cxreport.errors import InvalidTagsError
from cxreport.model.manifest import Manifest
from cxreport.model.texts import TextLimits, WrittenText
from cxreport.text.vocabulary import FULL_STOP, NEXT_SECTION
from cxreport.types import Decoding, Encoding, Floats, Section, SentenceIds

if TYPE_CHECKING:
    from cxreport.model.session import Model

REPEATS = 6
"""A report may have a phrase of fewer words twice, as "there is no evidence of"; a sentence should not come twice."""


def write_captions(model: Model, encodings: Sequence[Encoding], limits: TextLimits) -> list[Decoding]:
    """Write the reports of a batch of images.

    Args:
        model: a bundle of a captioning architecture.
        encodings: of images.
        limits: beam, and words of a whole report, full stops counted. Long words may recur in a report, unlike in a
            sentence; no phrase of `REPEATS` words does.

    Raises:
        InvalidTagsError: a study has no image.
    """
    patches = [encoding.patches for encoding in encodings if encoding.patches is not None]
    if len(patches) < len(encodings):
        raise InvalidTagsError(
            f"The bundle's architecture, {model.manifest.architecture}, writes from images alone.",
            hint="Use a co-attention bundle for tag tables.",
        )
    if not patches:
        return []
    scorer = CaptionScorer(model, np.stack(patches))
    limits = replace(limits, once=np.zeros_like(limits.once), repeats=REPEATS)
    banned = np.zeros((len(scorer), len(limits.once)), np.bool_)
    captions = search(scorer, model.manifest.sizes.hidden, banned, limits)
    return [split(model.manifest, caption) for caption in captions]


def split(manifest: Manifest, caption: WrittenText) -> Decoding:
    """Split a caption at its full stops, and at the word that begins the Impression; a sentence comes once a section.

    The log-probability of a sentence is its share of the caption's by length.
    """
    full_stop, next_section = _mark(manifest, FULL_STOP), _mark(manifest, NEXT_SECTION)
    sentences: dict[tuple[Section, tuple[int, ...]], SentenceIds] = {}
    section, start = Section.FINDINGS, 0
    for end, word in enumerate((*caption.ids, full_stop)):
        if word not in (full_stop, next_section):
            continue
        if ids := caption.ids[start:end]:
            attention = None if caption.attention is None else caption.attention[start:end]
            sentences.setdefault((section, ids), _sentence(section, ids, attention, caption))
        if word != full_stop:
            section = Section.IMPRESSION
        start = end + 1
    return Decoding(tuple(sentences.values()))


def _sentence(
    section: Section, ids: tuple[int, ...], word_attention: Floats | None, caption: WrittenText
) -> SentenceIds:
    """A sentence of a caption."""
    return SentenceIds(
        section=section,
        ids=ids,
        planned=None,
        attention=None if word_attention is None else word_attention.mean(0),
        log_probability=caption.log_probability * len(ids) / len(caption.ids),
        word_attention=word_attention,
    )


def _mark(manifest: Manifest, word: str) -> int:
    """Id of a mark; -1 for one that the vocabulary lacks, as that of captions of pictures does."""
    return manifest.vocabulary.index(word) if word in manifest.vocabulary else -1
