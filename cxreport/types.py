"""What passes from stage to stage: study -> preprocess -> encode -> plan -> decode -> report -> render."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import CxreportError

Grey = NDArray[np.uint8]
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
    pixels: Grey
    """(H, W), 0 = black = air, whatever the photometric interpretation was."""


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
    """(512,) image embedding; None without an image."""
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
    """(P,) co-attention over the patches; None without an image."""
    log_probability: float
    """Sum over the words."""


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
class Report:
    """The drafted report of one study, in words."""

    study: Study
    tags: tuple[TagResult, ...]
    plan: tuple[PlannedTag, ...]
    findings: tuple[str, ...]
    impression: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    repairs: Repairs = Repairs()
    timing_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds per stage, the share of this study in its batch."""


Outcome = Report | Failure
