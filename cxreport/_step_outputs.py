"""What the graphs of a bundle give, by name."""

from __future__ import annotations

from typing import NamedTuple

from cxreport.types import Floats


class EncoderOutput(NamedTuple):
    """What the encoder gives."""

    patches: Floats
    """(B, P, D)"""
    probabilities: Floats
    """(B, T)"""
    embedding: Floats
    """(B, E) unit vectors."""
    distance: Floats
    """(B,) from the training images."""
    patch_embeddings: Floats | None = None
    """(B, P', E); None where the bundle has no text encoder."""


class SentenceOutput(NamedTuple):
    """What a sentence step gives."""

    topic: Floats
    """(B, H)"""
    stop: Floats
    """(B,) probability that the report ends after this sentence."""
    section_next: Floats
    """(B,) probability that the next sentence belongs to the Impression."""
    attention: Floats
    """(B, P)"""
    hidden: Floats
    cell: Floats


class WordOutput(NamedTuple):
    """What a word step gives."""

    log_probabilities: Floats
    """(N, V)"""
    hidden: Floats
    cell: Floats


class CaptionOutput(NamedTuple):
    """What a step of a captioning architecture gives."""

    log_probabilities: Floats
    """(N, V)"""
    attention: Floats | None
    """(N, P); None where the architecture has none."""
    hidden: Floats
    cell: Floats
