"""What passes from stage to stage: study -> preprocess -> encode -> plan -> decode -> report -> render."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import CxreportError

Grey = NDArray[np.uint8]
Pixels = NDArray[np.uint8]
"""(H, W) grey or (H, W, 3) RGB."""
Floats = NDArray[np.float32]


class Position(enum.StrEnum):
    """How a view was projected, after DICOM View Position (PS3.3 C.8.1.2.1.1)."""

    PA = "PA"
    AP = "AP"
    LATERAL = "LATERAL"
    UNKNOWN = "UNKNOWN"

    @property
    def frontal(self) -> bool:
        """Whether the view can feed the model; a view of unknown projection can."""
        return self is not Position.LATERAL


class Section(enum.StrEnum):
    """The two sections that are written."""

    FINDINGS = "findings"
    IMPRESSION = "impression"


class Detail(enum.StrEnum):
    """How a sentence tells its tag. One planned without a detail does without it, so that nothing is made up."""

    LEFT = "left"
    RIGHT = "right"
    UPPER = "upper"
    LOWER = "lower"
    MILD = "mild"
    MARKED = "marked"
    UNCERTAIN = "uncertain"
    PRIOR = "prior"
    """Compared with an earlier examination, which the model never sees."""


@dataclass(frozen=True)
class ViewInfo:
    """Where a view came from."""

    source: str
    """Path as the user gave it."""
    frame: int
    """Frame number from 0."""
    position: Position


@dataclass(frozen=True)
class View:
    """One decoded projection."""

    info: ViewInfo
    pixels: Pixels
    """(H, W), 0 = black = air, whatever the photometric interpretation was; (H, W, 3) of a picture read in colour."""


@dataclass(frozen=True)
class Study:
    """One examination: what the study stage hands on."""

    id: str
    """Pseudonymous: a digest of the Study Instance UID, or the image's file name."""
    sources: tuple[str, ...]
    view: View | None
    """The frontal view that feeds the model; None when the study comes as tag probabilities."""
    other_views: tuple[ViewInfo, ...] = ()
    """Views read but not used."""
    warnings: tuple[str, ...] = ()
    tags: dict[str, float] | None = None
    """Given tag probabilities by the classifier's tag names (`generate --from-tags`)."""
    timing_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds per stage so far, measured in the process that read it."""


@dataclass(frozen=True)
class Failure:
    """A study that could not be read or processed."""

    id: str
    sources: tuple[str, ...]
    error: CxreportError


@dataclass(frozen=True)
class Encoding:
    """Output of the encoder for one study."""

    tags: dict[str, float]
    """Tag name -> probability, in the order of the bundle's tags."""
    patches: Floats | None
    """(P, 512) patch features; None without an image."""
    embedding: Floats | None
    """(E,) unit vector of the image in the space that it shares with texts; None without an image."""
    patch_embeddings: Floats | None = None
    """(P, E) the patches in the same space, of any length; their mean points where ``embedding`` does."""
    distance: float | None = None
    """How unlike the training images the image is, 1 for a typical one; None without an image."""


@dataclass(frozen=True)
class Plan:
    """What the report has to say: evidence in the decoder's reporting tags."""

    probabilities: Floats
    """(R,) calibrated probability of each reporting tag."""
    unusual: Floats
    """(R,) how many standard deviations its evidence lies above the usual, -3 to 3; 0 where the usual is unknown."""
    tags: tuple[int, ...]
    """Indices of the positive reporting tags, most probable first: one planned topic each."""
    denied: tuple[int, ...] = ()
    """Indices of the negative ones to deny, the most unusual evidence first: planned topics of the Findings."""
    details: Mapping[int, frozenset[Detail]] = field(default_factory=dict)
    """How the positive ones are told."""

    @property
    def positive(self) -> Floats:
        """(R,) probabilities of the positive tags, 0 for the others."""
        shown = np.zeros_like(self.probabilities)
        shown[list(self.tags)] = self.probabilities[list(self.tags)]
        return shown


@dataclass(frozen=True)
class SentenceIds:
    """One decoded sentence."""

    section: Section
    ids: tuple[int, ...]
    """Word ids without start and end marks."""
    planned: int | None
    """Index of the reporting tag that this topic was planned for; None for a free topic."""
    attention: Floats | None
    """(P,) attention over the patches, with a sum of 1; None without an image, or without attention."""
    log_probability: float
    """Sum over the words."""
    word_attention: Floats | None = None
    """(W, P) the same for each word; None where it was not asked for."""
    decoder_attention: Floats | None = None
    """(P,) what the decoder attended to, where ``attention`` has become a map of what is told (see `ground`)."""


@dataclass(frozen=True)
class Decoding:
    """Sentences of one study in the order in which they were decoded."""

    sentences: tuple[SentenceIds, ...]


@dataclass(frozen=True)
class TagResult:
    """A finding of the tag head."""

    name: str
    probability: float
    positive: bool


@dataclass(frozen=True)
class PlannedTag:
    """A reporting tag that the report was planned from."""

    tag: str
    probability: float
    details: tuple[str, ...] = ()
    """Names of the `Detail` values that it was planned with."""


@dataclass(frozen=True)
class Repairs:
    """What was done to a report so that it keeps to its plan."""

    removed: int = 0
    """Sentences left out because they contradicted it."""
    added: int = 0
    """Plain sentences for planned tags that no sentence of a section told."""


@dataclass(frozen=True)
class WordMap:
    """A word of a sentence and where the image speaks of it."""

    word: str
    """As it stands in the text, marks included."""
    weights: Floats
    """(rows, columns) of the patch grid, with a sum of 1."""


@dataclass(frozen=True)
class SentenceMap:
    """A sentence of a report and where the image speaks of it."""

    section: Section
    text: str
    weights: Floats
    """(rows, columns) of the patch grid, the top left patch first, with a sum of 1."""
    words: tuple[WordMap, ...]
    """In the order of the text; parted by spaces they are the text."""
    decoder_attention: Floats | None = None
    """(rows, columns) of the encoder's patches: what the decoder attended to; None for a sentence it did not write."""
    added: bool = False
    """Whether it is a plain sentence that was added, which the decoder did not write."""


@dataclass(frozen=True)
class Match:
    """An entry of an index near a query."""

    kind: Literal["report", "image"]
    id: str
    source: str
    """Path of the file that it came from."""
    similarity: float
    """Cosine, -1 to 1."""
    findings: str = ""
    """Of a report."""
    impression: str = ""


@dataclass(frozen=True)
class Report:
    """The drafted report of one study, in words."""

    study: Study
    tags: tuple[TagResult, ...]
    plan: tuple[PlannedTag, ...]
    findings: tuple[str, ...]
    impression: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    repairs: Repairs = Repairs()
    maps: tuple[SentenceMap, ...] | None = None
    """Of each sentence, Findings first; None where they were not asked for."""
    similar: tuple[Match, ...] | None = None
    """The nearest reports of an index, the nearest first; None where none was given."""
    timing_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds per stage: the study's own until `preprocess`, then its share of its batch."""


Outcome = Report | Failure
