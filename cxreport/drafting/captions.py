"""Reports of the captioning architectures: one sequence of words per image, taken apart into sections and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cxreport.drafting.beam import search
from cxreport.drafting.word_steps import CaptionWriter
from cxreport.errors import InvalidTagsError
from cxreport.model.manifest import Manifest
from cxreport.model.word_limits import Limits, Words
from cxreport.text.vocabulary import FULL_STOP, NEXT_SECTION
from cxreport.types import Decoding, Encoding, Floats, Section, SentenceIds

if TYPE_CHECKING:
    from cxreport.model.session import Model

REPEATS = 6
"""A report may say a phrase of fewer words twice, as "there is no evidence of"; a sentence should not come twice."""


def write_captions(
    model: Model, encodings: Sequence[Encoding], beam: int, min_words: int, max_words: int
) -> list[Decoding]:
    """Write the reports of a batch of images.

    Args:
        model: a bundle of a captioning architecture.
        encodings: of images.
        beam: width.
        min_words: of a whole report.
        max_words: of a whole report, full stops counted.

    Raises:
        InvalidTagsError: a study has no image.
    """
    patches = [e.patches for e in encodings if e.patches is not None]
    if len(patches) < len(encodings):
        raise InvalidTagsError(
            f"The bundle's architecture, {model.manifest.architecture}, writes from images alone.",
            hint="Use a co-attention bundle for tag tables.",
        )
    if not patches:
        return []
    writer = CaptionWriter(model, np.stack(patches))
    vocabulary = len(model.manifest.vocabulary)
    limits = Limits(beam, min_words, max_words, np.zeros(vocabulary, np.bool_), REPEATS)
    nothing = np.zeros((len(writer), vocabulary), np.bool_)
    found = search(writer, model.manifest.sizes.hidden, nothing, limits)
    return [split(model.manifest, words) for words in found]


def split(manifest: Manifest, words: Words) -> Decoding:
    """Take a sequence apart at its full stops, and at the word that begins the Impression."""
    ends, goes_on, section = _id(manifest, FULL_STOP), _id(manifest, NEXT_SECTION), Section.FINDINGS
    sentences: dict[tuple[Section, tuple[int, ...]], SentenceIds] = {}
    start = 0
    for at, word in enumerate((*words.ids, ends)):
        if word not in (ends, goes_on):
            continue
        if ids := words.ids[start:at]:
            seen = None if words.attention is None else words.attention[start:at]
            sentences.setdefault((section, ids), _sentence(section, ids, seen, words))
        if word != ends:
            section = Section.IMPRESSION
        start = at + 1
    return Decoding(tuple(sentences.values()))


def _sentence(section: Section, ids: tuple[int, ...], seen: Floats | None, whole: Words) -> SentenceIds:
    """A sentence of a sequence; its share of the sequence's log-probability goes by its length."""
    share = whole.log_probability * len(ids) / len(whole.ids)
    return SentenceIds(section, ids, None, None if seen is None else seen.mean(0), share, seen)


def _id(manifest: Manifest, word: str) -> int:
    """Id of a mark; one that the vocabulary lacks, as captions of pictures do, ends nothing."""
    return manifest.vocabulary.index(word) if word in manifest.vocabulary else -1
