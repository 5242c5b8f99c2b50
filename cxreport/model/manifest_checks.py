"""Checks of a manifest: entries that fit each other, names that can be shown, numbers that a run ends with."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np

from cxreport.model.manifest import HEAD, EvidenceModel, Manifest, Sizes
from cxreport.text.vocabulary import SPECIAL_WORDS
from cxreport.types import Floats

_MOST_SENTENCES, _MOST_WORDS = 100, 1000
"""Of a section and of a sentence, or of a captioner's whole report: a bundle may not make a run endless."""
_BEYOND = 0.02
"""By as much a limit of certainty may lie beyond 1 for a tag that is never told so, or below 0 for one never denied."""
_MOST_PIXELS = 4096
_MOST_OF_A_SIZE = 1 << 20


def check_manifest(manifest: Manifest) -> None:
    """Refuse a manifest whose entries do not fit each other, or are out of range.

    Raises:
        ValueError: with the reason.
        KeyError: the preprocessing is missing.
    """
    sizes, reporting = manifest.sizes, manifest.sizes.reporting_tags
    lengths = (len(manifest.tags), len(manifest.reporting_tags), len(manifest.vocabulary))
    if lengths != (sizes.tags, reporting, sizes.words):
        raise ValueError("sizes do not fit the listed tags, reporting tags or words")
    _check_names(manifest)
    _check_numbers(manifest)
    for source, evidence in manifest.evidence.items():
        vectors = {array.shape for name, array in evidence.arrays.items() if name != "weights"}
        if evidence.weights.shape != (reporting, len(evidence.inputs)) or vectors != {(reporting,)}:
            raise ValueError(f"evidence {source!r} does not fit the {reporting} reporting tags")
        _check_evidence(source, evidence)
    if sizes.channels not in (1, 3) or manifest.embeds_texts != (sizes.patch_embeddings > 0):
        raise ValueError("the sizes do not fit the graphs")
    preprocessing = manifest.raw["preprocessing"]
    if (preprocessing["size"], preprocessing["channels"]) != (sizes.image, sizes.channels):
        raise ValueError("the preprocessing does not fit the encoder")


def _check_names(manifest: Manifest) -> None:
    """Refuse names and words that stand for nothing, come twice, or would do something to a terminal."""
    for names in (manifest.tag_names, manifest.reporting_names, manifest.text_vocabulary):
        if len(set(names)) != len(names):
            raise ValueError("a tag or word is listed twice")
    shown = (manifest.name, manifest.version, manifest.encoder, *manifest.evidence, *manifest.aliases)
    for name in (*shown, *manifest.tag_names, *manifest.reporting_names, *manifest.text_vocabulary):
        if not name.isprintable():
            raise ValueError(f"{name!r} has characters that cannot be printed")
    if manifest.vocabulary[: len(SPECIAL_WORDS)] != SPECIAL_WORDS:
        raise ValueError(f"the vocabulary must begin with {', '.join(SPECIAL_WORDS)}")
    if not set(manifest.aliases.values()) <= set(manifest.reporting_names):
        raise ValueError("an alias names an unknown reporting tag")
    denials = (*manifest.decoding.findings_denials, *manifest.decoding.impression_denials)
    if not {name for names in denials for name in names} <= set(manifest.reporting_names):
        raise ValueError("a denial names an unknown reporting tag")
    head = manifest.evidence.get(HEAD)
    if head is not None and not set(head.inputs) <= set(manifest.tag_names):
        raise ValueError(f"evidence {HEAD!r} names an unknown tag")


def _check_numbers(manifest: Manifest) -> None:
    """Refuse numbers that switch a finding off, or make a run endless."""
    for field in fields(Sizes):
        if not 0 <= getattr(manifest.sizes, field.name) <= _MOST_OF_A_SIZE:
            raise ValueError(f"the size {field.name!r} is out of range")
    if not 1 <= manifest.sizes.image <= _MOST_PIXELS:
        raise ValueError("the size 'image' is out of range")
    if not all(0 <= tag.threshold <= 1 for tag in manifest.tags):
        raise ValueError("the threshold of a tag is not from 0 to 1")
    if not all(0 <= tag.place <= 1 for tag in manifest.reporting_tags):
        raise ValueError("the place of a reporting tag is not from 0 to 1")
    decoding = manifest.decoding
    if not (1 <= decoding.min_words <= decoding.max_words <= _MOST_WORDS and decoding.denials >= 0):
        raise ValueError("the decoding lengths are out of range")
    if not 1 <= decoding.max_sentences <= _MOST_SENTENCES:
        raise ValueError("the decoding lengths are out of range")
    if not 0 < manifest.typicality.warn <= manifest.typicality.refuse < math.inf:
        raise ValueError("the limits of typicality are out of range")


def _check_evidence(source: str, evidence: EvidenceModel) -> None:
    """Refuse an evidence adapter that does not compute, or whose limits no probability keeps to."""
    if not all(np.isfinite(array).all() for array in evidence.arrays.values()):
        raise ValueError(f"evidence {source!r} has numbers that are not finite")
    if not (evidence.spread > 0).all():
        raise ValueError(f"evidence {source!r} has a spread that is not positive")
    degrees, thresholds, limits = [evidence.mild, evidence.marked], [evidence.thresholds], evidence.limits
    if limits is None:
        _check_range(source, "thresholds", [*degrees, *thresholds], 0, 1)
        return
    _check_range(source, "thresholds", degrees, 0, 1)
    told = [*thresholds, limits.certain, limits.sensitive, limits.specific]
    _check_range(source, "limits of what is told", told, 0, 1 + _BEYOND)
    _check_range(source, "limits of what is denied", [limits.absent], -_BEYOND, 1)
    if (limits.absent > evidence.thresholds).any():
        raise ValueError(f"evidence {source!r} denies what it tells")


def _check_range(source: str, name: str, arrays: list[Floats], low: float, high: float) -> None:
    if not all(((array >= low) & (array <= high)).all() for array in arrays):
        raise ValueError(f"evidence {source!r} has {name} that are not from 0 to 1")
