"""Manifest: the content of a bundle's ``model.json``, as the stages use it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import UsageError
from cxreport.model.choices import Architecture, Precision
from cxreport.text.lexicon import Lexicon
from cxreport.types import Floats, InputShape

HEAD = "head"
"""Evidence of the bundle's own tag head."""
ENCODER, TEXT_ENCODER = "encoder", "text_encoder"
HALF_ENCODER, WORD_SEARCH = GPU_GRAPHS = (Precision.FLOAT16.row.encoder, "word_search")
"""Graphs that a float bundle may have for GPUs; they share their large weights with others, see `WEIGHTS_OF`."""
WEIGHTS_OF = {HALF_ENCODER: ENCODER, WORD_SEARCH: "word_step"}
FLOOR = -3.4028234663852886e38
"""Score of words that are ruled out in `WORD_SEARCH`: the least single-precision number, which ends a GPU's maximum."""

_SHORT_WORD = 5
"""Letters: "the", "and", "lobe", "right"."""


@dataclass(frozen=True)
class Tag:
    """Finding of the tag head, and the probability from which it counts as positive."""

    name: str
    threshold: float


@dataclass(frozen=True)
class ReportingTag:
    """Tag that reports are planned from, and that the decoder has sentences for."""

    name: str
    impression: bool
    """True if a positive one is planned in the Impression too."""
    deniable: bool
    """True if the training reports have sentences that deny it and little else."""
    place: float
    """Mean place of its mention in the Findings, from 0 at their start to 1 at their end."""


@dataclass(frozen=True, eq=False)
class CertaintyLimits:
    """Probabilities (R,) of the reporting tags between which a report speaks more or less surely, or not at all.

    `EvidenceModel.thresholds` are those from which a tag is told at the balanced operating point. They were chosen on
    images, or reports, that the adapter was not fitted to (`train.data.certainty`).
    """

    certain: Floats
    """From which it is stated flatly; above 1 for a tag that never is."""
    absent: Floats
    """Up to which it may be denied; below 0 for a tag that may not."""
    sensitive: Floats
    """From which it is told at the sensitive operating point."""
    specific: Floats
    """From which it is told at the specific operating point."""


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
    """(R,) probability below which a positive one is stated as mild."""
    marked: Floats
    """(R,) probability above which it is stated as marked."""
    usual: Floats
    """(R,) mean log odds among typical images."""
    spread: Floats
    """(R,) their standard deviation, positive."""
    limits: CertaintyLimits | None = None
    """Limits of how surely a tag is told; None in a bundle that tells every positive tag flatly."""

    @classmethod
    def of(cls, inputs: tuple[str, ...], arrays: Mapping[str, Floats]) -> EvidenceModel:
        """Put a source together from arrays by their names in ``model.json``.

        Raises:
            KeyError: one is missing; those of `CertaintyLimits` may be, all together.
        """
        names = [f.name for f in fields(cls) if f.name not in ("inputs", "limits")]
        limits = [f.name for f in fields(CertaintyLimits)]
        given = any(name in arrays for name in limits)
        return cls(
            inputs=inputs,
            **{name: arrays[name] for name in names},
            limits=CertaintyLimits(**{name: arrays[name] for name in limits}) if given else None,
        )

    @property
    def arrays(self) -> dict[str, Floats]:
        """All arrays by their names in ``model.json``."""
        own = {name: value for name, value in vars(self).items() if name not in ("inputs", "limits")}
        return own if self.limits is None else own | vars(self.limits)


@dataclass(frozen=True)
class BundleFile:
    """File that ``model.json`` names, with its digest."""

    file: str
    sha256: str
    bytes: int
    """Length of the file."""


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
    """Number of patches that are embedded in it; 0 in a bundle without a text encoder."""
    hidden: int
    tags: int
    reporting_tags: int
    words: int


@dataclass(frozen=True)
class DistanceLimits:
    """Limits of the distance from the training images: for a warning in the report, and for refusing to draft one."""

    warn: float
    refuse: float


@dataclass(frozen=True)
class DecodingDefaults:
    """Lengths and plan that the decoder was trained for."""

    max_sentences: int
    """Sentences of a section after which there are no more free ones."""
    min_words: int
    """Least length of a sentence, or of a whole report of a captioning architecture."""
    max_words: int
    """Greatest length likewise."""
    planned: bool = True
    """True if the decoder was trained with planned topics; otherwise all topics are free, as in the papers."""
    denials: int = 0
    """Number of negative tags, those with the most unusual evidence, that the Findings deny by planned topics."""
    exact: bool = False
    """True if every topic is planned, denials in sets, and each sentence is to say what its topic says and no more;
    otherwise the decoder adds sentences of its own, and denies one tag at a time."""
    findings_denials: tuple[tuple[str, ...], ...] = ()
    """Where exact: sets of tags that a sentence of the Findings can deny together, the most frequent first."""
    impression_denials: tuple[tuple[str, ...], ...] = ()
    """The same of the Impression."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """Content of ``model.json`` after its checks."""

    name: str
    version: str
    encoder: str
    """Name of the network that encodes images, as in recipes."""
    architecture: Architecture
    sha256: str
    """Digest of ``model.json``, which holds those of the graphs and the lexicon: it identifies the bundle."""
    sizes: Sizes
    graphs: dict[str, BundleFile]
    tags: tuple[Tag, ...]
    reporting_tags: tuple[ReportingTag, ...]
    evidence: dict[str, EvidenceModel]
    aliases: dict[str, str]
    """Names of findings in other classifiers -> reporting tags."""
    vocabulary: tuple[str, ...]
    detail_words: NDArray[np.bool_]
    """(D, V) True for words that express a `Detail`; a sentence planned without the detail may not have them."""
    decoding: DecodingDefaults
    typicality: DistanceLimits
    lexicon: Lexicon
    """Rules that its reports are checked with: its own, as the package's may have more tags by now."""
    extra_words: tuple[str, ...]
    """Words of the text encoder beyond the vocabulary; their ids follow on its."""
    precision: Precision
    """Precision of the bundle, or float16 once a float bundle is loaded so."""
    quantised_from: str | None
    """Digest of the float bundle's ``model.json``; None in a float bundle."""
    raw: dict[str, Any]
    """All of ``model.json``: licence, intended use and provenance too."""

    @functools.cached_property
    def long_words(self) -> NDArray[np.bool_]:
        """(V,) True for words that no sentence has twice: those of more than 5 letters."""
        return np.array([len(word) > _SHORT_WORD for word in self.vocabulary])

    @property
    def identity(self) -> str:
        """Name, version, precision and digest, for the signature of an evaluation."""
        return f"{self.name} {self.version} {self.precision} sha256:{self.sha256}"

    @property
    def origin(self) -> str:
        """Digest of this float bundle, or of the one that it was made from: both embed in the same space."""
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
        """Words of the text encoder by id."""
        return self.vocabulary + self.extra_words

    @property
    def embeds_texts(self) -> bool:
        """True if the bundle has a text encoder."""
        return TEXT_ENCODER in self.graphs

    @property
    def captioning(self) -> bool:
        """True if a report is one sequence of words, without tags and plan."""
        return self.architecture.captioning

    @functools.cached_property
    def places(self) -> dict[str, float]:
        """Mean place of each reporting tag in the Findings, 0 to 1."""
        return {tag.name: tag.place for tag in self.reporting_tags}

    @property
    def image_size(self) -> int:
        """Side of the network input in pixels."""
        return self.sizes.image

    @property
    def tag_names(self) -> tuple[str, ...]:
        """Names of the tag head's findings."""
        return tuple(t.name for t in self.tags)

    @functools.cached_property
    def reporting_names(self) -> tuple[str, ...]:
        """Names of the reporting tags."""
        return tuple(t.name for t in self.reporting_tags)

    @functools.cached_property
    def reporting_rows(self) -> dict[str, int]:
        """Name of each reporting tag -> its index."""
        return {name: row for row, name in enumerate(self.reporting_names)}

    def table_names(self, evidence: str | None) -> set[str]:
        """Names of the columns that a table of tag probabilities may have.

        Args:
            evidence: classifier that wrote the table; None where it is not known.

        Raises:
            UsageError: the bundle does not know that classifier.
        """
        if evidence is not None and evidence not in self.evidence:
            known = ", ".join(sorted(self.evidence))
            raise UsageError(f"The bundle knows no evidence {evidence!r}.", hint=f"It knows: {known}.")
        inputs = (source.inputs for source in self.evidence.values())
        return {*self.tag_names, *self.reporting_names, *self.aliases}.union(*inputs)

    def reported_as(self, finding: str) -> str | None:
        """Reporting tag that a classifier's finding speaks for, by its own name or as an alias; None without one."""
        return finding if finding in self.reporting_rows else self.aliases.get(finding)


def graph_names(architecture: Architecture, text_encoder: bool) -> tuple[str, ...]:
    """Names of the graphs that every such bundle has; it may have `GPU_GRAPHS` beside."""
    return (ENCODER, *architecture.row.steps, *((TEXT_ENCODER,) if text_encoder else ()))
