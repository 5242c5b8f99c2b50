"""Sending by C-STORE: Storage as an SCU (PS3.4 Annex B), the bytes of files as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydicom import dcmread, uid
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, _config, build_context, evt

from cxreport.arrivals.destination import ApplicationEntity
from cxreport.arrivals.receiver import mute, send_at_once
from cxreport.arrivals.sent import Answer, Sent
from cxreport.errors import DeliveryError
from cxreport.reading.processes.muted_libraries import quiet

_KINDS = 64
"""Kinds of an association, with two presentation contexts each: there are 128 at most (PS3.8 9.3.2.2)."""
_NATIVE = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian)
_CONNECT_S = 10.0
_ANSWER_S = 60.0
_DUPLICATE = 0x0111  # PS3.7 C.5.6
_NO_ROOM = 0xA700


class _Kind(NamedTuple):
    """What a presentation context is negotiated for."""

    sop_class: str
    transfer_syntax: str


def send_by_c_store(paths: Sequence[Path], entity: ApplicationEntity, title: str) -> Iterator[Sent]:
    """Send files by C-STORE, as `send` does, in as few associations as their kinds allow."""
    mute()
    _config.STORE_SEND_CHUNKED_DATASET = True  # bytes as they are in the file
    kinds: dict[_Kind, list[Path]] = {}
    for path in paths:
        kind = _kind(path)
        if kind is None:
            yield Sent(path, Answer.REFUSED, "no DICOM file with meta information")
        else:
            kinds.setdefault(kind, []).append(path)
    listed = list(kinds)
    for start in range(0, len(listed), _KINDS):
        some = listed[start : start + _KINDS]
        yield from _in_association(some, [(path, kind) for kind in some for path in kinds[kind]], entity, title)


def echo(entity: ApplicationEntity, title: str) -> None:
    """Ask an application entity whether it answers (C-ECHO).

    Raises:
        DeliveryError: it does not.
    """
    mute()
    association = _associated([build_context(uid.UID("1.2.840.10008.1.1"))], entity, title)
    try:
        if association.send_c_echo().get("Status") != 0:
            raise DeliveryError(f"{_name(entity)} does not answer a C-ECHO.")
    finally:
        association.release()


def _in_association(
    kinds: Iterable[_Kind], files: Iterable[tuple[Path, _Kind]], entity: ApplicationEntity, title: str
) -> Iterator[Sent]:
    proposed = dict.fromkeys((kind.sop_class, syntax) for kind in kinds for syntax in _proposed(kind.transfer_syntax))
    association = _associated([build_context(*pair) for pair in proposed], entity, title)
    try:
        accepted: dict[str, set[str]] = {}
        for context in association.accepted_contexts:
            accepted.setdefault(str(context.abstract_syntax), set()).add(str(context.transfer_syntax[0]))
        for path, kind in files:
            syntaxes = accepted.get(kind.sop_class, set()) & set(_proposed(kind.transfer_syntax))
            yield (
                _sent(association, path, kind, syntaxes)
                if syntaxes
                else Sent(path, Answer.REFUSED, "its kind of object, or its transfer syntax, is not taken")
            )
    finally:
        if association.is_established:
            association.release()


def _sent(association: Any, path: Path, kind: _Kind, syntaxes: set[str]) -> Sent:
    """Send one file; pynetdicom converts between the native transfer syntaxes what it has decoded."""
    try:
        with quiet():
            as_it_is = kind.transfer_syntax in syntaxes
            status = association.send_c_store(path if as_it_is else dcmread(path)).get("Status")
    except OSError as error:
        return Sent(path, Answer.REFUSED, f"cannot be read ({error.strerror})")
    except Exception as error:  # a damaged file raises anything, and the texts may quote values
        if not association.is_established:
            raise DeliveryError("The connection was lost.") from error
        return Sent(path, Answer.REFUSED, f"damaged ({type(error).__name__})")
    if status is None:
        raise DeliveryError("The connection was lost, or no answer came in time.")
    return Sent(path, *_meaning(int(status)))


def _meaning(status: int) -> tuple[Answer, str]:
    """What a status of C-STORE says (PS3.4 B.2.3, PS3.7 Annex C)."""
    if status in (0, _DUPLICATE) or status >> 12 == 0xB:
        return Answer.STORED, ""
    if status & 0xFF00 == _NO_ROOM:
        return Answer.NOT_NOW, f"out of resources (status {status:04X}H)"
    return Answer.REFUSED, f"status {status:04X}H"


def _associated(contexts: list[Any], entity: ApplicationEntity, title: str) -> Any:
    own = AE(ae_title=title)
    own.connection_timeout = own.acse_timeout = _CONNECT_S
    own.dimse_timeout = own.network_timeout = _ANSWER_S
    try:
        association = own.associate(
            entity.host,
            entity.port,
            contexts=contexts,
            ae_title=entity.title,
            evt_handlers=[(evt.EVT_CONN_OPEN, send_at_once)],
        )
    except OSError as error:  # no such host
        raise DeliveryError(f"{_name(entity)} cannot be reached ({error.strerror}).") from error
    if association.is_established:
        return association
    if association.is_rejected:
        raise DeliveryError(f"{_name(entity)} rejected the association: it may not know the AE titles.")
    if association.acceptor.primitive is not None:
        raise DeliveryError(f"{_name(entity)} takes none of the objects.")
    raise DeliveryError(f"{_name(entity)} cannot be reached.")


def _proposed(transfer_syntax: str) -> list[str]:
    """Transfer syntaxes that a file can be sent in: its own, and the other native one.

    Each gets a presentation context of its own, as of several in one the receiver takes which it likes.
    """
    if transfer_syntax not in _NATIVE:
        return [transfer_syntax]
    return [transfer_syntax, *(str(syntax) for syntax in _NATIVE if syntax != transfer_syntax)]


def _kind(path: Path) -> _Kind | None:
    """SOP class and transfer syntax by the meta information of a file; None without."""
    with quiet(), contextlib.suppress(Exception):  # damage raises anything
        meta = read_file_meta_info(path)
        return _Kind(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
    return None


def _name(entity: ApplicationEntity) -> str:
    return f"{entity.title}@{entity.host}:{entity.port}"
