"""States of studies and results on their way, and the values that the ledger of an inbox takes and gives."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from cxreport.arrivals.identity import FileKind


class StudyState(enum.StrEnum):
    """What became of a study."""

    RECEIVED = "received"
    """It waits to be complete, or to be drafted."""
    DRAFTED = "drafted"
    """Its results are in place; those that are to be delivered are not all delivered."""
    DELIVERED = "delivered"
    FAILED = "failed"
    """It has no report."""


class ResultState(enum.StrEnum):
    """What became of a result."""

    KEPT = "kept"
    """It is not to be delivered."""
    PENDING = "pending"
    DELIVERED = "delivered"
    REFUSED = "refused"
    """The destination does not take it."""


class ArrivedFile(NamedTuple):
    """File as the system describes it."""

    path: str
    """Relative to the folder that it arrives in."""
    size: int
    """Bytes."""
    changed_ns: int
    """Nanoseconds since the epoch."""


class IdentifiedFile(NamedTuple):
    """File whose study is known."""

    path: str
    kind: FileKind
    study: str
    """Key of its study: a keyed digest; empty where there is nothing to draft."""
    id: str
    """Pseudonym of the study."""
    instance: str
    """Keyed digest of the SOP Instance UID; empty where there is none."""


class DueStudy(NamedTuple):
    """Study to draft."""

    key: str
    id: str
    paths: tuple[str, ...]
    """Of its images, relative to the folder that they arrived in."""
    attempts: int
    """How often it failed before."""


class ResultFile(NamedTuple):
    """Result of a study that is in place."""

    name: str
    """In the folder of results."""
    digest: str
    """SHA-256 of its content in hexadecimal."""
    to_deliver: bool


@dataclass(frozen=True)
class Counts:
    """Numbers of files, studies and results by what became of them."""

    files: int
    own_results: int
    """Files that are results of cxreport, come back."""
    received: int
    drafted: int
    delivered: int
    failed: int
    unidentified: int
    """Files whose study is not known yet."""
    pending: int
    """Results to be delivered."""
    refused: int
    """Results that the destination does not take."""

    @property
    def studies(self) -> int:
        """Number of all studies."""
        return self.received + self.drafted + self.delivered + self.failed


class StudyStatus(NamedTuple):
    """Study that needs a look, and why."""

    id: str
    state: StudyState
    code: str
    """Of the error, or the state of the result."""
    message: str
