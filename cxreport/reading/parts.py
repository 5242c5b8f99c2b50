"""Parts of a run: which of its studies each of several runs drafts, on machines that need not know of each other."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from cxreport.errors import UsageError

_PART = re.compile(r"(\d{1,6})/(\d{1,6})", re.ASCII)


@dataclass(frozen=True)
class Part:
    """One part of several that together are a run."""

    number: int
    """From 1."""
    count: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read a part as users write it: ``2/8``.

        Raises:
            UsageError: it is none.
        """
        match = _PART.fullmatch(text)
        part = cls(int(match[1]), int(match[2])) if match else None
        if part is None or not 1 <= part.number <= part.count:
            hint = "Write it as 2/8: the second of eight parts, which are numbered from 1."
            raise UsageError(f"--part {text}: is no part.", hint=hint)
        return part

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def label(self) -> str:
        """The part in names of files, in their order: ``2-of-8``, ``02-of-16``."""
        return f"{self.number:0{len(str(self.count))}}-of-{self.count}"

    def holds(self, key: str) -> bool:
        """True if a study is of this part: the first 8 bytes of the SHA-256 of its key, big-endian, modulo the count.

        Args:
            key: of the study, the same on every machine: see `StudyFiles.key`.
        """
        start = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8]
        return int.from_bytes(start, "big") % self.count == self.number - 1
