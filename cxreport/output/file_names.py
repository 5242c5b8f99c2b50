"""Names of files for studies, of the ids that studies have: short enough for any file system."""

from __future__ import annotations

import hashlib
import re

_MOST_BYTES = 100
"""Some file systems take 143 bytes, and suffixes follow."""
_DIGEST_LENGTH = 8
_RESERVED = re.compile(r"con|prn|aux|nul|(?:com|lpt)\d", re.I)
"""Names of devices on Windows, whatever suffix they have: what is written there is lost."""


def file_stem(id_: str) -> str:
    """File name of a study's id, without a suffix: of a long id its beginning, with a digest of the whole."""
    stem = re.sub(r"[^\w.-]+", "_", id_).strip("._") or "study"
    if _RESERVED.fullmatch(stem.partition(".")[0]):
        stem = f"_{stem}"
    content = stem.encode("utf-8", "surrogatepass")
    if len(content) <= _MOST_BYTES:
        return stem
    beginning = content[: _MOST_BYTES - _DIGEST_LENGTH - 1].decode("utf-8", "ignore")
    return f"{beginning}-{hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]}"
