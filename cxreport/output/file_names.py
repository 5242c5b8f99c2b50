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
    return f"{beginning}-{_digest(content)}"


def own_stem(id_: str) -> str:
    """`file_stem` of no other study, whatever else is in the folder: with a digest where it is not the id itself."""
    stem = file_stem(id_)
    return stem if stem == id_ else f"{stem}-{_digest(id_.encode('utf-8', 'surrogatepass'))}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]
