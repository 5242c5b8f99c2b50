"""Values between the stages: study -> preprocess -> encode -> plan -> decode -> report -> render."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import CxreportError
from cxreport.plans import Certainty as Certainty
from cxreport.plans import Detail as Detail
from cxreport.plans import Plan as Plan
from cxreport.plans import PlannedTopic as PlannedTopic
from cxreport.points import OperatingPoint as OperatingPoint

if TYPE_CHECKING:
    from cxreport.sentences import Sentence

Grey = NDArray[np.uint8]
"""(H, W) grey levels, 0 = black."""
Pixels = NDArray[np.uint8]
"""(H, W) grey or (H, W, 3) RGB."""
Floats = NDArray[np.float32]
"""Single-precision numbers of the shape that is stated where they are used."""


@dataclass(frozen=True)
class InputShape:
    """Shape of the network's input: a square of grey pixels, or of RGB."""

    size: int
    """Side in pixels."""
    channels: int = 1
    """1 for grey, 3 for RGB."""

    @property
    def of_array(self) -> tuple[int, ...]:
        """(S, S), or (S, S, 3) with three channels."""
        square = (self.size, self.size)
        return square if self.channels == 1 else (*square, self.channels)


class Position(enum.StrEnum):
    """Projection of a view, after DICOM View Position (PS3.3 C.8.1.2.1.1)."""

    PA = "PA"
    AP = "AP"
    LATERAL = "LATERAL"
    UNKNOWN = "UNKNOWN"

    @property
    def frontal(self) -> bool:
        """True where the view can feed the model; a view of unknown projection can."""
        return self is not Position.LATERAL


class Section(enum.StrEnum):
    """Section of a report."""

    FINDINGS = "findings"
    IMPRESSION = "impression"


@dataclass(frozen=True)
class ViewInfo:
    """Origin of a view."""

    source: str
    """Path as the user gave it."""
    frame: int
    """In its file, from 0."""
    position: Position
    reason: str = ""
    """Why it is used or not, in a few words."""
    changes: tuple[str, ...] = ()
    """What was done to its pixels because of what the file says, and to its grey beyond its window, in sentences."""


@dataclass(frozen=True)
class View:
    """Projection with its decoded pixels."""

    info: ViewInfo
    pixels: Pixels
    """(H, W), 0 = black = air, whatever the photometric interpretation was; (H, W, 3) of a picture read in colour."""


@dataclass(frozen=True)
class Study:
    """Examination of one patient: the input of the pipeline."""

    id: str
    """Pseudonym: a keyed digest of the Study Instance UID, or the image's file name."""
    sources: tuple[str, ...]
    """Paths of its files as the user gave them."""
    view: View | None
    """Frontal view that feeds the model; None when the study comes as tag probabilities."""
    other_views: tuple[ViewInfo, ...] = ()
    """Views read but not used."""
    warnings: tuple[str, ...] = ()
    tags: dict[str, float] | None = None
    """Probabilities by the names of the classifier's tags (`generate --from-tags`)."""
    timing_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds per stage so far, measured in the process that read it."""
    next_view: Callable[[str], Study | Failure] | None = field(default=None, compare=False, repr=False)
    """Reads it anew with its next view, given why this one is refused; None where there is none."""
    doubts: tuple[str, ...] = ()
    """Those of ``warnings`` that the header raises about the view: they may explain why it is refused."""


@dataclass(frozen=True)
class Failure:
    """Study that could not be read or processed, with the reason."""

    id: str
    sources: tuple[str, ...]
    error: CxreportError


@dataclass(frozen=True)
class Encoding:
    """Output of the encoder for one study, or its tag probabilities in place of it."""

    tags: dict[str, float]
    """Tag name -> probability, in the order of the bundle's tags."""
    patches: Floats | None
    """(P, D) patch features; None without an image."""
    embedding: Floats | None
    """(E,) unit vector of the image in the space that it shares with texts; None without an image."""
    patch_embeddings: Floats | None = None
    """(P', E) patches in the same space, of any length; their mean has the direction of ``embedding``."""
    distance: float | None = None
    """Out-of-distribution distance, a PCA reconstruction error: 1 for a typical training image; None without one."""


@dataclass(frozen=True)
class SentenceIds:
    """Decoded sentence, as word ids."""

    section: Section
    ids: tuple[int, ...]
    """Word ids without start and end marks."""
    planned: int | None
    """Index of the reporting tag that its topic was planned to state; None for a denial or a free topic."""
    attention: Floats | None
    """(P,) attention over the patches, with a sum of 1; None without an image, or without attention."""
    log_probability: float
    """Sum over the words and the end mark; of a sentence cut from a caption, a share by its length."""
    word_attention: Floats | None = None
    """(W, P) attention of each word; None where it was not asked for."""
    decoder_attention: Floats | None = None
    """(P,) attention of the decoder, where `ground` has replaced ``attention`` by a map of the sentence's content."""
    topic: PlannedTopic | None = None
    """What it was planned to say; None for a free topic."""


@dataclass(frozen=True)
class Decoding:
    """Sentences of one study in the order in which they were decoded."""

    sentences: tuple[SentenceIds, ...]


@dataclass(frozen=True)
class Draft:
    """Study between the stages of the pipeline, with the outputs of those that it has passed."""

    study: Study
    """Its pixels are the network's input."""
    encoding: Encoding
    warnings: tuple[str, ...] = ()
    """Doubts about the image, for the reader of the report."""
    plan: Plan = field(default_factory=Plan)
    decoding: Decoding = Decoding(())
    """Without sentences where only the tags were asked for."""
    worded: bool = False
    """True once it was decoded, where a plan may have no topics."""


@dataclass(frozen=True)
class TagResult:
    """Finding of the tag head."""

    name: str
    probability: float
    positive: bool
    """True where the probability reaches the tag's threshold."""
    reported_as: str | None = None
    """Reporting tag that it speaks for; None where reports of the bundle have none for it."""


@dataclass(frozen=True)
class PlannedTag:
    """Reporting tag that the report was planned to state."""

    tag: str
    probability: float
    details: tuple[str, ...] = ()
    """Names of the `Detail` values that it was planned with."""
    certainty: Certainty = Certainty.STATED
    """Stated flatly, or as possible."""


@dataclass(frozen=True)
class Repairs:
    """Number of changes that make the sentences of a report keep to its plan."""

    removed: int = 0
    """Sentences left out because they contradict it."""
    added: int = 0
    """Plain sentences for planned tags that no sentence of a section states."""


EntryKind = Literal["report", "image"]
"""Kind of an entry of an index."""


@dataclass(frozen=True)
class Match:
    """Entry of an index near a query."""

    kind: EntryKind
    id: str
    source: str
    """Path of the file that it came from."""
    similarity: float
    """Cosine, -1 to 1."""
    findings: str = ""
    impression: str = ""
    """Sections of a report; empty for an image."""


@dataclass(frozen=True)
class Report:
    """Drafted report of one study, in words."""

    study: Study
    tags: tuple[TagResult, ...]
    plan: tuple[PlannedTag, ...]
    sentences: tuple[Sentence, ...] = ()
    """Findings first."""
    warnings: tuple[str, ...] = ()
    repairs: Repairs = Repairs()
    operating_point: OperatingPoint | None = OperatingPoint.BALANCED
    """Limits that its findings were told by; None where one threshold took their place."""
    similar: tuple[Match, ...] | None = None
    """Nearest reports of an index, the nearest first; None where no index was named."""
    timing_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds per stage: the study's own until `preprocess`, then its share of its batch."""
    drafted_at: datetime.datetime | None = None
    """When it was drafted, in UTC and whole seconds; None where that is not known."""

    @property
    def findings(self) -> tuple[str, ...]:
        """Texts of the sentences of the Findings."""
        return tuple(sentence.text for sentence in self.sentences if sentence.section is Section.FINDINGS)

    @property
    def impression(self) -> tuple[str, ...]:
        """Texts of the sentences of the Impression."""
        return tuple(sentence.text for sentence in self.sentences if sentence.section is Section.IMPRESSION)

    @property
    def warnings_without_paths(self) -> tuple[str, ...]:
        """Warnings but for those that name files, whose paths may name a patient: for documents that are passed on."""
        views = [self.study.view.info] if self.study.view else []
        paths = {*self.study.sources, *(view.source for view in (*views, *self.study.other_views))}
        return tuple(each for each in self.warnings if not any(path in each for path in paths))

    @property
    def told(self) -> frozenset[str]:
        """Reporting tags that a sentence states, for certain or not."""
        return frozenset(statement.tag for sentence in self.sentences for statement in sentence.affirmed)


Outcome = Report | Failure
"""Result of the pipeline for one study."""
