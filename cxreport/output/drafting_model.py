"""Model behind a report, as documents name it: a bundle's manifest, or what a record says of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class DraftingModel(Protocol):
    """What documents say of the model that drafted a report; a `Manifest` has it."""

    @property
    def name(self) -> str:
        """Name of the bundle."""

    @property
    def version(self) -> str:
        """Version of the bundle."""

    @property
    def precision(self) -> str:
        """What the networks computed in."""

    @property
    def sha256(self) -> str:
        """Digest of the bundle, 64 hexadecimal digits."""

    @property
    def tag_names(self) -> Sequence[str]:
        """Findings of its tag head, in its order."""


@dataclass(frozen=True)
class RecordedModel:
    """Model that a record names."""

    name: str
    version: str
    precision: str
    sha256: str
    tag_names: tuple[str, ...] = ()
