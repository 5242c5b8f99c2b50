"""Discovery of studies: folders walked, files told apart by content and opened, those of one study brought together."""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cxreport.errors import StudyError, UnreadableFileError
from cxreport.reading.instance import DecodeLimits, ImageFile
from cxreport.reading.pseudonym import keyed_digest, secret

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_SUFFIXES = {".dcm", ".dicom", ".dic", ".ima", ".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff"}
_LEFTOVERS = {"__macosx", "thumbs.db", "desktop.ini", "dicomdir"}
_VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"OB", b"OW", b"PN", b"SH", b"SL", b"SQ"),
    *(b"SS", b"ST", b"TM", b"UI", b"UL", b"UN", b"US", b"UT"),
)
_FIRST_GROUPS = (2, 8)
_HEAD_BYTES = 512
_UID_PREFIX = "\0"


class FileKind(enum.Enum):
    """Kinds of files, told apart by content."""

    DICOM = "dicom"
    PICTURE = "picture"
    TEXT = "text"
    OTHER = "other"


class FoundFile(NamedTuple):
    """File that was named, or come upon in a folder."""

    path: str
    is_named: bool


StudyKey = str | None
"""Key of the study that a file belongs to, as `StudyFiles` has it, of a DICOM study without the secret; None for a file
to pass over."""
FindKeys = Callable[[Sequence[FoundFile], str], Iterable[StudyKey | StudyError]]
"""Files and how to group them -> a key for each, or the reason why it is not to be opened again."""


class StudyFiles(NamedTuple):
    """The files of one study."""

    key: str
    """`_uid_key` of a keyed digest for a DICOM study, the path of the only file, or that of a folder of pictures."""
    paths: list[str]
    """In order of first appearance."""
    named: tuple[str, ...]
    """Those that were named, rather than come upon in a folder."""
    error: StudyError | None = None
    """Reason why the only file is not to be opened again: looking at it ended or blocked a process."""

    @property
    def id(self) -> str:
        """Pseudonym: a keyed digest of the Study Instance UID, or the name of the image file or folder."""
        if self.key.startswith(_UID_PREFIX):
            return f"study-{self.key[len(_UID_PREFIX) :][:12]}"
        return os.path.basename(os.path.abspath(self.key))


def group_files(
    paths: Iterable[Path], group_by: str, salt: str | None = None, find_keys: FindKeys | None = None
) -> list[StudyFiles]:
    """Group all files into studies, by opening each once and reading as little of it as will do.

    Of a picture that is its first bytes, of a DICOM file the header up to the Study Instance UID. What stays in memory
    is a path per file and a digest per study.

    Args:
        paths: files, and folders to search.
        group_by: "study" or "folder" (pictures of one folder are one study).
        salt: of the pseudonyms of DICOM studies; None takes the user's own secret.
        find_keys: opens the files; None opens them here.

    Returns:
        The studies in order of first appearance.
    """
    found = find_files(paths)
    keys = (find_keys or study_keys)(found, group_by)
    studies: dict[str, list[str]] = {}
    errors: dict[str, StudyError] = {}
    for file, key in zip(found, keys, strict=True):
        if isinstance(key, StudyError):
            errors[file.path], key = key, file.path
        if key is None:
            continue
        files = studies.setdefault(key, [])
        if len(files) == 0 or files[-1] != file.path:
            files.append(file.path)
    named = {file.path for file in found if file.is_named}
    return [
        StudyFiles(_with_secret(key, salt), files, tuple(filter(named.__contains__, files)), errors.get(key))
        for key, files in studies.items()
    ]


def find_files(paths: Iterable[Path]) -> list[FoundFile]:
    """The files that are named and those below the folders that are; no file is opened."""
    found: list[FoundFile] = []
    for path in dict.fromkeys(map(str, paths)):
        if os.path.isdir(path):
            found += [FoundFile(file, is_named=False) for file in _walk(path)]
        else:
            found.append(FoundFile(path, is_named=True))
    return found


def study_keys(files: Sequence[FoundFile], group_by: str) -> Iterator[StudyKey]:
    """Open files, one after the other, to tell which study each belongs to."""
    for path, is_named in files:
        yield _key(path, group_by, is_named=is_named)


def open_file(path: str) -> BinaryIO:
    """Open a file to read.

    Raises:
        UnreadableFileError: missing, not a regular file, or not permitted to be read.
    """
    try:
        if not Path(path).is_file():
            missing = not Path(path).exists()
            raise UnreadableFileError("The file does not exist." if missing else "This is not a regular file.")
        return open(path, "rb")
    except OSError as error:
        raise UnreadableFileError(f"The file cannot be opened: {error.strerror}.") from None


def file_kind(stream: BinaryIO) -> FileKind:
    """Tell what an open file is by its first bytes; its name plays no part.

    Returns:
        DICOM also for a file without preamble and meta information (PS3.10 7.1), if it begins like a data set. The
        stream is at its beginning again.

    Raises:
        UnreadableFileError: nothing can be read from it.
    """
    try:
        head = stream.read(_HEAD_BYTES)
        stream.seek(0)
    except OSError as error:
        raise UnreadableFileError(f"The file cannot be read: {error.strerror}.") from None
    if head[128:132] == b"DICM" or _begins_like_a_data_set(head):
        return FileKind.DICOM
    if head.startswith(_SIGNATURES):
        return FileKind.PICTURE
    return FileKind.OTHER if b"\0" in head else FileKind.TEXT


def sniff(path: str) -> FileKind:
    """Open a file to tell what it is, see `open_file` and `file_kind`."""
    with open_file(path) as stream:
        return file_kind(stream)


def open_image(source: str, limits: DecodeLimits, colour: bool = False) -> ImageFile:
    """Open an image and read its header; its content decides whether it is DICOM or a picture.

    Args:
        source: path of the file.
        limits: of decoding.
        colour: keep the colours of a picture that has some.

    Returns:
        The image; `close` closes the file.

    Raises:
        StudyError: neither DICOM nor a picture, truncated, damaged, or not to be opened.
    """
    stream = open_file(source)
    try:
        kind = file_kind(stream)
        if kind is FileKind.DICOM:
            from cxreport.reading.dicom.views import DicomImage  # pydicom takes as long to load as all else

            return DicomImage(stream, source, limits)
        if kind is FileKind.PICTURE:
            from cxreport.reading.pictures import Picture

            return Picture(stream, source, limits, colour)
        raise UnreadableFileError("The file is neither DICOM nor a PNG, JPEG or TIFF picture.")
    except BaseException:
        stream.close()
        raise


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
    return name.startswith(".") or name.lower() in _LEFTOVERS


def _key(path: str, group_by: str, *, is_named: bool) -> str | None:
    """Key of the study that a file belongs to; None for a file to pass over."""
    try:
        with open_file(path) as stream:
            kind = file_kind(stream)
            if kind is FileKind.DICOM:
                from cxreport.reading.dicom.views import study_digest

                digest = study_digest(stream)
                if digest is None:
                    return path if is_named else None
                return _uid_key(digest) if digest else path
    except UnreadableFileError:
        return path
    if kind is FileKind.PICTURE:
        return (os.path.dirname(path) or ".") if group_by == "folder" else path
    return path if is_named or _claims_to_be_an_image(path, kind) else None


def _uid_key(digest: str) -> str:
    """Key of a DICOM study; no path begins like it."""
    return _UID_PREFIX + digest


def _with_secret(key: str, salt: str | None) -> str:
    """Key of a study with the digest of a DICOM study keyed."""
    return _uid_key(keyed_digest(key[len(_UID_PREFIX) :], secret(salt))) if key.startswith(_UID_PREFIX) else key


def _claims_to_be_an_image(path: str, kind: FileKind) -> bool:
    """True for a file that is no image but was meant to be one: worth a failure, not silence."""
    suffix = os.path.splitext(path)[1].lower()
    bare = not suffix or re.fullmatch(r"\.\d+", suffix) is not None  # files named by a UID look as if they had one
    return suffix in _IMAGE_SUFFIXES or (bare and kind is FileKind.OTHER)


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
