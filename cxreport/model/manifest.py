"""What a bundle says of itself: the content of ``model.json``, as the stages use it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxreport.model.choices import Architecture, Precision
from cxreport.text.lexicon import Lexicon
from cxreport.types import Floats, InputShape

ENCODER, TEXT_ENCODER = "encoder", "text_encoder"
HALF_ENCODER, WORD_SEARCH = GPU_GRAPHS = (Precision.FLOAT16.row.encoder, "word_search")
"""Graphs that a float bundle may have for GPUs; their big weights are those of other graphs, named in `WEIGHTS_OF`."""
WEIGHTS_OF = {HALF_ENCODER: ENCODER, WORD_SEARCH: "word_step"}
FLOOR = -3.4028234663852886e38
"""Score of what is ruled out in `WORD_SEARCH`: the least single-precision number, as a maximum on a GPU ends there."""

_SHORT = 5  # letters: "the", "and", "lobe", "right"


@dataclass(frozen=True)
class Tag:
    """A finding of the tag head, and the probability from which it counts as positive."""

    name: str
    threshold: float


@dataclass(frozen=True)
class ReportingTag:
    """A tag that the decoder speaks."""

    name: str
    impression: bool
    """Whether a positive one is planned in the Impression too."""
    deniable: bool
    """Whether the training reports have sentences that deny it and little else."""
    place: float
    """Where Findings speak of it on average: 0 is their start, 1 their end."""


@dataclass(frozen=True, eq=False)
class EvidenceModel:
    """Logistic map from a classifier's probabilities to those of the reporting tags."""

    inputs: tuple[str, ...]
    """The classifier's tag names."""
    weights: Floats
    """(R, inputs) on the logits."""
    bias: Floats
    """(R,)"""
    thresholds: Floats
    """(R,) probability from which a reporting tag is positive."""
    mild: Floats
    """(R,) probability below which a positive one is told as mild."""
    marked: Floats
    """(R,) probability above which it is told as marked."""
    usual: Floats
    """(R,) mean log odds among typical images."""
    spread: Floats
    """(R,) their standard deviation, positive."""


@dataclass(frozen=True)
class BundleFile:
    """A file that ``model.json`` names and vouches for."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Sizes:
    """Shapes of the networks."""

    image: int
    """Side of the network input in pixels."""
    channels: int
    """1 for grey images, 3 for RGB."""
    patches: int
    patch_dim: int
    embedding: int
    """Dimensions of the space that images and texts share."""
    patch_embeddings: int
    """How many patches are embedded in it; 0 in a bundle without a text encoder."""
    hidden: int
    tags: int
    reporting_tags: int
    words: int


@dataclass(frozen=True)
class DistanceLimits:
    """Distances from the training images: beyond ``warn`` a report has a warning, beyond ``refuse`` there is none."""

    warn: float
    refuse: float


@dataclass(frozen=True)
class DecodingDefaults:
    """Lengths: free sentences end a section at ``max_sentences``; a sentence has ``min_words`` to ``max_words``."""

    max_sentences: int
    min_words: int
    max_words: int
    planned: bool = True
    """Whether the decoder was trained with planned topics; without, all its topics are free, as in the papers."""
    denials: int = 0
    """How many negative tags, those with the most unusual evidence, the Findings deny by planned topics."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """What ``model.json`` says, checked."""

    name: str
    version: str
    encoder: str
    """Name of the network that encodes images, as in recipes."""
    architecture: Architecture
    sha256: str
    """Of ``model.json``, which holds the digests of the graphs: it identifies the bundle."""
    sizes: Sizes
    graphs: dict[str, BundleFile]
    tags: tuple[Tag, ...]
    reporting_tags: tuple[ReportingTag, ...]
    evidence: dict[str, EvidenceModel]
    aliases: dict[str, str]
    """Other classifiers' names -> reporting tags."""
    vocabulary: tuple[str, ...]
    detail_words: NDArray[np.bool_]
    """(D, V): which words give which `Detail`; a sentence planned without the detail may not have them."""
    decoding: DecodingDefaults
    typicality: DistanceLimits
    lexicon: Lexicon
    """Rules that its reports are checked with: its own, as the package's may have learned other tags since."""
    extra_words: tuple[str, ...]
    """Words that the text encoder knows beyond the vocabulary; their ids follow on it."""
    precision: Precision
    """float16 once a float bundle is loaded so."""
    quantised_from: str | None
    """Of an int8 bundle: the digest of the float bundle's ``model.json``."""
    raw: dict[str, Any]
    """The whole of ``model.json``: licence, intended use, provenance."""

    @functools.cached_property
    def long_words(self) -> NDArray[np.bool_]:
        """(V,) words that no sentence has twice: those of more than 5 letters."""
        return np.array([len(word) > _SHORT for word in self.vocabulary])

    @property
    def identity(self) -> str:
        """Name, version, precision and digest, as the signature of an evaluation has them."""
        return f"{self.name} {self.version} {self.precision} sha256:{self.sha256}"

    @property
    def origin(self) -> str:
        """Digest of the float bundle that this one is, or was made from: both embed in the same space."""
        return self.quantised_from or self.sha256

    @property
    def channels(self) -> int:
        """Channels of the network input: 1 for grey images, 3 for RGB."""
        return self.sizes.channels

    @property
    def input_shape(self) -> InputShape:
        """Shape of the network's input."""
        return InputShape(self.sizes.image, self.sizes.channels)

    @property
    def text_vocabulary(self) -> tuple[str, ...]:
        """The words of the text encoder by id."""
        return self.vocabulary + self.extra_words

    @property
    def embeds_texts(self) -> bool:
        """Whether the bundle has a text encoder."""
        return TEXT_ENCODER in self.graphs

    @property
    def captioning(self) -> bool:
        """Whether the report is written as one sequence of words, without tags and plan."""
        return self.architecture.captioning

    @functools.cached_property
    def places(self) -> dict[str, float]:
        """Where Findings speak of each reporting tag."""
        return {tag.name: tag.place for tag in self.reporting_tags}

    @property
    def image_size(self) -> int:
        """Side of the network input in pixels."""
        return self.sizes.image

    @property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the tag head's findings."""
        return tuple(t.name for t in self.tags)

    @property
    def reporting_names(self) -> tuple[str, ...]:
        """Names of the reporting tags."""
        return tuple(t.name for t in self.reporting_tags)


def graph_names(architecture: Architecture, text_encoder: bool) -> tuple[str, ...]:
    """Names of the graphs that every such bundle has; it may have `GPU_GRAPHS` beside."""
    return (ENCODER, *architecture.row.steps, *((TEXT_ENCODER,) if text_encoder else ()))
