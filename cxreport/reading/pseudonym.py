"""Pseudonyms of DICOM studies: digests keyed by a secret, so that who knows a UID cannot recognise its report.

The secret is the user's own, made at its first use and kept in the user's configuration folder, or a salt that several
users share where their pseudonyms are to agree.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import logging
import os
import secrets
import tempfile
from pathlib import Path

from cxreport.files import config_folder

log = logging.getLogger(__name__)

_SECRET_BYTES = 32
_FILE = "pseudonym.key"


def keyed_digest(digest: str, key: bytes) -> str:
    """HMAC-SHA-256 (RFC 2104) of a digest, in hexadecimal."""
    return hmac.digest(key, digest.encode(), "sha256").hex()


def secret(salt: str | None = None) -> bytes:
    """Key of pseudonyms: the salt where there is one, else the user's secret."""
    return _user_secret(config_folder()) if salt is None else salt.encode("utf-8", "surrogateescape")


def salt_digest(salt: str | None) -> str:
    """Digest that tells one salt from another; empty for none."""
    return "" if salt is None else keyed_digest("salt", secret(salt))[:12]


@functools.cache
def _user_secret(folder: Path | None) -> bytes:
    """The secret in a folder, made where there is none; one for this run where it can be neither read nor kept."""
    if folder is not None:
        path = folder / _FILE
        try:
            with contextlib.suppress(FileExistsError):
                _make(path)
            key = bytes.fromhex(path.read_text(encoding="ascii"))
            if len(key) == _SECRET_BYTES:
                return key
        except (OSError, ValueError) as error:
            log.debug("no secret of the user", exc_info=error)
    log.warning("the secret of pseudonyms cannot be kept: DICOM studies get other ids in the next run; see --salt")
    return secrets.token_bytes(_SECRET_BYTES)


def _make(path: Path) -> None:
    """Write a new secret for nobody else to read, complete before it has its name, and never over another."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f"{_FILE}.", dir=path.parent)  # mode 600; one's own, thread or host
    draft = Path(name)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_SECRET_BYTES))
        if os.name == "nt":
            os.rename(draft, path)  # there it does not replace
        else:
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
