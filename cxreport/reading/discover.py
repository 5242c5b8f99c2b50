"""Finding studies: walk folders, tell files apart by content, and index what belongs together."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cxreport.errors import UnreadableFileError
from cxreport.reading.dicom import views

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_SUFFIXES = {".dcm", ".dicom", ".dic", ".ima", ".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff"}
_PASSED_OVER = {"__macosx", "thumbs.db", "desktop.ini", "dicomdir"}
_VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"OB", b"OW", b"PN", b"SH", b"SL", b"SQ"),
    *(b"SS", b"ST", b"TM", b"UI", b"UL", b"UN", b"US", b"UT"),
)
_FIRST_GROUPS = (2, 8)
_SNIFF_BYTES = 512


class Kind(enum.Enum):
    """What a file is, by its content."""

    DICOM = "dicom"
    PICTURE = "picture"
    TEXT = "text"
    OTHER = "other"


Groups = dict[str, list[str]]
"""Key -> paths of one study, in order of first appearance.

The key is `uid_key` of a digest for DICOM studies, the path of the only file, or the path of a folder of pictures.
"""
_UID_PREFIX = "\0"


class Group(NamedTuple):
    """The files of one study."""

    key: str
    """As in `Groups`."""
    members: list[str]
    named: tuple[str, ...]
    """Those that were named rather than found."""

    @property
    def id(self) -> str:
        """Pseudonym: a digest of the Study Instance UID, or the name of the image file or folder."""
        digest = digest_of(self.key)
        return f"study-{digest[:12]}" if digest is not None else os.path.basename(os.path.abspath(self.key))


def uid_key(digest: str) -> str:
    """Key of a DICOM study in `Groups`; no path begins like it."""
    return _UID_PREFIX + digest


def digest_of(key: str) -> str | None:
    """The digest of the Study Instance UID in a key, None for a key that is a path."""
    return key[len(_UID_PREFIX) :] if key.startswith(_UID_PREFIX) else None


def sniff(path: str) -> Kind:
    """Tell what a file is by its first bytes; the name plays no part.

    Args:
        path: any file.

    Returns:
        DICOM also for a file without preamble and meta information (PS3.10 7.1), if it begins like a data set.

    Raises:
        UnreadableFileError: missing, not a file, or not permitted to be read.
    """
    try:
        if not Path(path).is_file():
            missing = not Path(path).exists()
            raise UnreadableFileError("The file does not exist." if missing else "This is not a regular file.")
        with open(path, "rb") as file:
            head = file.read(_SNIFF_BYTES)
    except OSError as error:
        raise UnreadableFileError(f"The file cannot be opened: {error.strerror}.") from None
    if head[128:132] == b"DICM" or _begins_like_a_data_set(head):
        return Kind.DICOM
    if head.startswith(_SIGNATURES):
        return Kind.PICTURE
    return Kind.OTHER if b"\0" in head else Kind.TEXT


def index(paths: Iterable[Path], group_by: str) -> list[Group]:
    """Group all files into studies by reading as little of each as will do.

    Of a picture that is its first bytes, of a DICOM file the header up to the Study Instance UID. What is kept is a
    path per file and a digest per study.

    Args:
        paths: files, and folders to search.
        group_by: "study" or "folder" (pictures of one folder are one study).

    Returns:
        The studies in order of first appearance.
    """
    groups: Groups = {}
    named: set[str] = set()
    seen: set[str] = set()
    for path in map(str, paths):
        if path in seen:
            continue
        seen.add(path)
        if os.path.isdir(path):
            for found in _walk(path):
                _add(groups, found, group_by, is_named=False)
        else:
            named.add(path)
            _add(groups, path, group_by, is_named=True)
    return [Group(key, members, tuple(filter(named.__contains__, members))) for key, members in groups.items()]


def _walk(folder: str) -> Iterator[str]:
    """Files below a folder in sorted order, without hidden ones and leftovers; folders that cannot be listed, too."""
    denied: list[str] = []
    for root, folders, files in os.walk(folder, onerror=lambda error: denied.append(str(error.filename))):
        folders[:] = sorted(name for name in folders if not _is_leftover(name))
        for name in sorted(files):
            if not _is_leftover(name):
                yield os.path.join(root, name)
    yield from denied


def _is_leftover(name: str) -> bool:
    return name.startswith(".") or name.lower() in _PASSED_OVER


def _add(groups: Groups, path: str, group_by: str, *, is_named: bool) -> None:
    key = _key(path, group_by, is_named=is_named)
    if key is None:
        return
    members = groups.setdefault(key, [])
    if len(members) == 0 or members[-1] != path:
        members.append(path)


def _key(path: str, group_by: str, *, is_named: bool) -> str | None:
    try:
        kind = sniff(path)
    except UnreadableFileError:
        return path
    if kind is Kind.DICOM:
        digest = views.study_digest(path)
        if digest is None:
            return path if is_named else None
        return uid_key(digest) if digest else path
    if kind is Kind.PICTURE:
        return (os.path.dirname(path) or ".") if group_by == "folder" else path
    return path if is_named or _claims_to_be_an_image(path, kind) else None


def _claims_to_be_an_image(path: str, kind: Kind) -> bool:
    """Whether a file that is no image was meant as one: worth a failure, not silence."""
    suffix = os.path.splitext(path)[1].lower()
    bare = not suffix or re.fullmatch(r"\.\d+", suffix) is not None  # files named by a UID look as if they had one
    return suffix in _IMAGE_SUFFIXES or (bare and kind is Kind.OTHER)


def _begins_like_a_data_set(head: bytes) -> bool:
    if len(head) < 16:
        return False
    for order in ("little", "big"):
        group = int.from_bytes(head[:2], order)
        element = int.from_bytes(head[2:4], order)
        if group in _FIRST_GROUPS and element <= 0x0100:
            if head[4:6] in _VRS:
                return True
            return order == "little" and int.from_bytes(head[4:8], "little") <= 1024
    return False
