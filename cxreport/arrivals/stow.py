"""Sending by STOW-RS (PS3.18 10.5): a request for each file, over one connection."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import urllib.parse
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cxreport import __version__
from cxreport.arrivals.destination import WebService
from cxreport.arrivals.sent import Answer, Sent
from cxreport.errors import DeliveryError

_TIMEOUT_S = 60.0
_FAILED = "00081198"  # Failed SOP Sequence
_REASON = "00081197"  # Failure Reason
_DUPLICATE = 0x0111
_OF_THE_OBJECT = {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
_ANSWERS = {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT, HTTPStatus.CONFLICT}
_MOST_BYTES = 4 << 20


def send_by_stow(paths: Sequence[Path], service: WebService) -> Iterator[Sent]:
    """Send files by STOW-RS, as `send` does."""
    parts = urllib.parse.urlsplit(service.url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=_TIMEOUT_S, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_S)
    try:
        for path in paths:
            try:
                content = path.read_bytes()
            except OSError as error:
                yield Sent(path, Answer.REFUSED, f"cannot be read ({error.strerror})")
                continue
            if content[128:132] != b"DICM":
                yield Sent(path, Answer.REFUSED, "no DICOM file with meta information")
                continue
            try:
                status, answer = _posted(connection, f"{parts.path}/studies", content, service.authorization)
            except (OSError, http.client.HTTPException) as error:
                raise DeliveryError(f"{service.url} cannot be reached ({_cause(error)}).") from error
            yield Sent(path, *_meaning(status, answer, service))
    finally:
        connection.close()


def _posted(connection: http.client.HTTPConnection, path: str, content: bytes, authorization: str) -> tuple[int, bytes]:
    boundary = f"cxreport-{secrets.token_hex(16)}"
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
            content,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
        "User-Agent": f"cxreport/{__version__}",
    }
    if authorization:
        headers["Authorization"] = authorization
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    return response.status, response.read(_MOST_BYTES)


def _meaning(status: int, answer: bytes, service: WebService) -> tuple[Answer, str]:
    """What a server says of the one instance of a request (PS3.18 10.5.3).

    Raises:
        DeliveryError: it does not take requests, or not from us.
    """
    if status in _OF_THE_OBJECT:
        return Answer.REFUSED, f"HTTP {status}"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        hint = "Give the value of the header Authorization in the variable CXREPORT_AUTHORIZATION."
        raise DeliveryError(f"{service.url} asks for an authorization (HTTP {status}).", hint=hint)
    if status not in _ANSWERS:
        raise DeliveryError(f"{service.url} does not store (HTTP {status}).")
    reasons = _failure_reasons(answer)
    if all(reason == _DUPLICATE or reason >> 12 == 0xB for reason in reasons) and (
        reasons or status != HTTPStatus.CONFLICT
    ):
        return Answer.STORED, ""
    if any(reason & 0xFF00 == 0xA700 for reason in reasons):
        return Answer.NOT_NOW, "out of resources"
    return Answer.REFUSED, f"HTTP {status}" + "".join(f", reason {reason:04X}H" for reason in reasons)


def _failure_reasons(answer: bytes) -> list[int]:
    """Failure reasons in an answer in DICOM JSON (PS3.18 Annex F); none in another."""
    try:
        parsed: Any = json.loads(answer or b"{}")
        data_sets = parsed if isinstance(parsed, list) else [parsed]
        items = [item for data_set in data_sets for item in data_set.get(_FAILED, {}).get("Value", [])]
        return [int(item.get(_REASON, {}).get("Value", [0x0110])[0]) for item in items]
    except (ValueError, TypeError, AttributeError, IndexError):
        return []


def _cause(error: Exception) -> str:
    """Kind of an error of the network, with what the system says of it."""
    said = error.strerror if isinstance(error, OSError) else None
    return str(said or type(error).__name__)
