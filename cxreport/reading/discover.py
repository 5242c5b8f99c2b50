"""Discovery of studies: folders walked, files told apart by content and opened, those of one study brought together."""

from __future__ import annotations

import enum
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cxreport.errors import StudyError, UnreadableFileError
from cxreport.reading.grouping import FileKey, one_patient_each, unique_names
from cxreport.reading.instance import DecodeLimits, ImageFile
from cxreport.reading.pseudonym import keyed_digest, secret
from cxreport.reading.walk import archive_kind, walk

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_IMAGE_SUFFIXES = {".dcm", ".dicom", ".dic", ".ima", ".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff"}
_VRS = (
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"IS", b"LO", b"LT", b"OB", b"OW", b"PN", b"SH", b"SL", b"SQ"),
    *(b"SS", b"ST", b"TM", b"UI", b"UL", b"UN", b"US", b"UT"),
)
_FIRST_GROUPS = (2, 8)
_HEAD_BYTES = 512
_PLACEHOLDER = "The Study Instance UID is no UID: the file is read as a study of its own."
_SEVERAL_PATIENTS = "Files of {} patients have the same Study Instance UID: each patient's are a study."


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


class FileReference(NamedTuple):
    """What a file, once opened, says about the study that it belongs to."""

    key: FileKey
    """Of a DICOM file without the secret."""
    has_placeholder: bool = False
    """True where something other than a UID stands in the place of the Study Instance UID."""


FindReferences = Callable[[Sequence[FoundFile], str], Iterable[FileReference | StudyError | None]]
"""Files and how to group them -> a reference for each; None for a file to pass over, or the reason why it is not to be
opened again."""


class StudyFiles(NamedTuple):
    """The files of one study."""

    id: str
    """Pseudonym, one of its kind in a run: a keyed digest of the Study Instance UID, or the name of the image file or
    folder with as many of the folders around it as tell it apart."""
    paths: list[str]
    """In order of first appearance, those with one spelling of the patient's name after the other."""
    named: tuple[str, ...]
    """Those that were named, rather than come upon in a folder."""
    warnings: tuple[str, ...] = ()
    """Doubts about what belongs together."""
    error: StudyError | None = None
    """Reason why the only file is not to be opened again: looking at it ended or blocked a process."""
    key: str = ""
    """The same whatever the secret: a digest of the Study Instance UID, or the id where there is none. It is for the
    choice of a `Part`, and goes nowhere."""


def group_files(
    paths: Iterable[Path], group_by: str, salt: str | None = None, find_references: FindReferences | None = None
) -> list[StudyFiles]:
    """Group all files into studies, by opening each once and reading as little of it as will do.

    Of a picture that is its first bytes, of a DICOM file the header up to the Study Instance UID. What stays in memory
    is a path per file and digests per study. A study is one patient's: files of several patients that share a Study
    Instance UID are several studies. A file without a UID, or with something else in its place, is a study of its own.

    Args:
        paths: files, and folders to search.
        group_by: "study" or "folder" (pictures of one folder are one study).
        salt: of the pseudonyms of DICOM studies; None takes the user's own secret.
        find_references: opens the files; None opens them here.

    Returns:
        The studies in order of first appearance.
    """
    found = _Found(salt)
    files = find_files(paths)
    for file, reference in zip(files, (find_references or references)(files, group_by), strict=True):
        found.add(file, reference)
    del files  # a hundred thousand of them take what a model takes
    return found.studies()


def find_files(paths: Iterable[Path]) -> list[FoundFile]:
    """The files that are named and those below the folders that are; no file is opened."""
    found: list[FoundFile] = []
    for path in dict.fromkeys(map(str, paths)):
        if os.path.isdir(path):
            found += [FoundFile(file, is_named=False) for file in walk(path)]
        else:
            found.append(FoundFile(path, is_named=True))
    return found


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


class _Found:
    """Files found so far, by study.

    Args:
        salt: of the pseudonyms of DICOM studies; None takes the user's own secret.
    """

    def __init__(self, salt: str | None) -> None:
        self._salt = salt
        self._files: dict[FileKey, list[str]] = {}
        self._named: set[str] = set()
        self._placeholders: set[str] = set()
        self._errors: dict[str, StudyError] = {}

    def add(self, file: FoundFile, reference: FileReference | StudyError | None) -> None:
        """Put a file beside those of its study, unless it is one to pass over."""
        path, is_named = file
        if is_named:
            self._named.add(path)
        if isinstance(reference, StudyError):
            self._errors[path], reference = reference, FileReference(FileKey("", path=path))
        if reference is None:
            return
        if reference.has_placeholder:
            self._placeholders.add(path)
        key = reference.key
        if key.path == path:
            key = FileKey("", path=path)  # another process sent a copy of the path
        files = self._files.setdefault(key, [])
        if len(files) == 0 or files[-1] != path:
            files.append(path)

    def studies(self) -> list[StudyFiles]:
        """All studies in order of first appearance; what is known of the files goes into them, and is here no more."""
        files, self._files = one_patient_each(self._files), {}
        patients = Counter(key.study for key in files if key.study)
        ids = unique_names([key.path for key in files if not key.study])
        numbers: Counter[str] = Counter()
        studies = []
        keys = list(reversed(files))
        while keys:
            key = keys.pop()
            paths = files.pop(key)
            numbers[key.study] += 1
            id_ = self._pseudonym(key.study) if key.study else ids.pop(key.path)
            warnings = (_PLACEHOLDER,) if not self._placeholders.isdisjoint(paths) else ()
            if patients[key.study] > 1:
                id_ = f"{id_}-{numbers[key.study]}"
                warnings = (_SEVERAL_PATIENTS.format(patients[key.study]),)
            named = tuple(path for path in paths if path in self._named) if self._named else ()
            studies.append(StudyFiles(id_, paths, named, warnings, self._errors.get(key.path), key.study or id_))
        return studies

    def _pseudonym(self, digest: str) -> str:
        return f"study-{keyed_digest(digest, secret(self._salt))[:12]}"


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
