"""Destination of results, as ``--to`` names it: a DICOM application entity, or a DICOMweb server."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass

from cxreport.errors import UsageError

_TITLE = r"[^@\\\x00-\x1f\x7f-\uffff]{1,16}"
_TO_ENTITY = re.compile(rf"({_TITLE})@(\[[0-9A-Fa-f:.]+\]|[^\s:@\[\]]+):(\d{{1,5}})")
_HINT = "Name AET@HOST:PORT, or https://HOST/dicom-web."


@dataclass(frozen=True)
class ApplicationEntity:
    """DICOM application entity that takes instances by C-STORE (PS3.4 Annex B)."""

    title: str
    """AE title, 1 to 16 characters."""
    host: str
    port: int


@dataclass(frozen=True)
class WebService:
    """DICOMweb server that takes instances by STOW-RS (PS3.18 10.5)."""

    url: str
    """Base URL of the service, without a slash at its end; ``/studies`` follows."""
    authorization: str = ""
    """Value of the header Authorization; empty for none."""


Destination = ApplicationEntity | WebService
"""Where results are sent."""


def ae_title(text: str) -> str:
    r"""An AE title (PS3.5 6.2, VR AE), without spaces around it.

    Raises:
        UsageError: empty, longer than 16 characters, or with a character that titles do not have.
    """
    title = text.strip(" ")
    if not title or not re.fullmatch(_TITLE, title):
        raise UsageError(
            f"{text!r} is no AE title.", hint=r"AE titles have 1 to 16 characters of ASCII, and neither \ nor @."
        )
    return title


def destination(text: str, authorization: str = "") -> Destination:
    """Destination that a text names.

    Args:
        text: ``AET@HOST:PORT``, or the base URL of a DICOMweb server.
        authorization: value of the header Authorization, for a server that asks for it.

    Raises:
        UsageError: it names neither.
    """
    if re.match(r"https?://", text):
        parts = urllib.parse.urlsplit(text)
        if parts.username is not None or parts.password is not None:
            hint = "Give the value of the header Authorization in the variable CXREPORT_AUTHORIZATION."
            raise UsageError("A URL with a password would be seen by others.", hint=hint)
        if not parts.hostname or parts.query or parts.fragment or not _is_port(parts):
            raise UsageError(f"--to {text}: this is no base URL of a server.", hint=_HINT)
        return WebService(text.rstrip("/"), authorization)
    match = _TO_ENTITY.fullmatch(text)
    if match is None or not 0 < int(match[3]) < 1 << 16:
        raise UsageError(f"--to {text}: this names no destination.", hint=_HINT)
    return ApplicationEntity(ae_title(match[1]), match[2].strip("[]"), int(match[3]))


def _is_port(parts: urllib.parse.SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False
