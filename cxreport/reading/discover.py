"""Discovery of studies: folders walked, files told apart by content and opened, those of one study brought together."""

from __future__ import annotations

import enum
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from cxreport.errors import StudyError, UnreadableFileError
from cxreport.reading.grouping import FileKey, FileReference, FoundFile, StudiesFound, StudyFiles
from cxreport.reading.instance import DecodeLimits, ImageFile
from cxreport.reading.walk import archive_kind, walk

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_SUFFIXES = {".dcm", ".dicom", ".dic", ".ima", ".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff"}
_VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"OB", b"OW", b"PN", b"SH", b"SL", b"SQ"),
    *(b"SS", b"ST", b"TM", b"UI", b"UL", b"UN", b"US", b"UT"),
)
_FIRST_GROUPS = (2, 8)
_HEAD_BYTES = 512


class FileKind(enum.Enum):
    """Kinds of files, told apart by content."""

    DICOM = "dicom"
    PICTURE = "picture"
    TEXT = "text"
    OTHER = "other"


FindReferences = Callable[[Sequence[FoundFile], str], Iterable[FileReference | StudyError | None]]
"""Files and how to group them -> a reference for each; None for a file to pass over, or the reason why it is not to be
opened again."""


def find_studies(
    paths: Iterable[Path], group_by: str, salt: str | None = None, find_references: FindReferences | None = None
) -> StudiesFound:
    """Find all files, and group them into studies by opening each once and reading as little of it as will do.

    Of a picture that is its first bytes, of a DICOM file the header up to the Study Instance UID. What stays in memory
    is a path per file and digests per study. A study is one patient's: files of several patients that share a Study
    Instance UID are several studies. A file without a UID, or with something else in its place, is a study of its own.

    Args:
        paths: files, and folders to search.
        group_by: "study" or "folder" (pictures of one folder are one study).
        salt: of the pseudonyms of DICOM studies; None takes the user's own secret.
        find_references: opens the files; None opens them here.

    Returns:
        The studies in order of first appearance. All files are found by now; they are opened as studies are taken.
    """
    files = find_files(paths)
    return StudiesFound(files, (find_references or references)(files, group_by), group_by, salt)


def group_files(
    paths: Iterable[Path], group_by: str, salt: str | None = None, find_references: FindReferences | None = None
) -> list[StudyFiles]:
    """Find all studies, see `find_studies`, before any is taken."""
    return list(find_studies(paths, group_by, salt, find_references))


def find_files(paths: Iterable[Path]) -> list[FoundFile]:
    """The files that are named and those below the folders that are, each once; no file is opened."""
    is_named: dict[str, bool] = {}
    for path in map(str, paths):
        if os.path.isdir(path):
            for file in walk(path):
                is_named.setdefault(file, False)
        else:
            is_named[path] = True
    return [FoundFile(path, named) for path, named in is_named.items()]


def references(files: Sequence[FoundFile], group_by: str) -> Iterator[FileReference | None]:
    """Open files, one after the other, to tell which study each belongs to; None for a file to pass over."""
    for path, is_named in files:
        yield _reference(path, group_by, is_named=is_named)


def open_file(path: str) -> BinaryIO:
    """Open a file to read.

    Raises:
        UnreadableFileError: missing, not a regular file, or not permitted to be read.
    """
    try:
        if _is_regular(path):  # the others take more than one look
            return open(path, "rb")
        if os.path.isdir(path):
            os.scandir(path).close()
            raise UnreadableFileError("This is a folder.")
        if not Path(path).is_file():
            missing = not Path(path).exists()
            raise UnreadableFileError("The file does not exist." if missing else "This is not a regular file.")
        return open(path, "rb")
    except OSError as error:
        kind = "folder" if os.path.isdir(path) else "file"
        raise UnreadableFileError(f"The {kind} cannot be opened: {error.strerror}.") from None


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


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
            from cxreport.reading.pictures.picture import Picture

            return Picture(stream, source, limits, colour)
        archive = archive_kind(stream.read(_HEAD_BYTES))
        if archive is not None:
            raise UnreadableFileError(f"The file is an archive ({archive}).", hint="Unpack it, and name the folder.")
        raise UnreadableFileError("The file is neither DICOM nor a PNG, JPEG or TIFF picture.")
    except BaseException:
        stream.close()
        raise


def _reference(path: str, group_by: str, *, is_named: bool) -> FileReference | None:
    """Open a file to tell which study it belongs to; None for a file to pass over."""
    alone = FileReference(FileKey("", path=path))
    try:
        with open_file(path) as stream:
            kind = file_kind(stream)
            if kind is FileKind.DICOM:
                from cxreport.reading.dicom.views import study_key

                study = study_key(stream)
                if study is None:
                    return alone if is_named else None
                if not study.study:
                    return alone._replace(has_placeholder=study.has_placeholder)
                key = FileKey(study.study, patient=study.patient, issuer=study.issuer, name=study.name)
                return FileReference(key, study.has_placeholder)
    except UnreadableFileError:
        return alone
    if kind is FileKind.PICTURE:
        return FileReference(FileKey("", path=os.path.dirname(path) or ".")) if group_by == "folder" else alone
    return alone if is_named or _claims_to_be_an_image(path, kind) else None


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
