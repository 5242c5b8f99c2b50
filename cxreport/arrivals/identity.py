"""Identity of a file that arrived: its study, its instance, and whether there is anything to draft."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from cxreport.errors import StudyError
from cxreport.reading.discover import open_file, references
from cxreport.reading.grouping import FoundFile
from cxreport.reading.instance import DecodeLimits

_LIMITS = DecodeLimits(max_megapixels=100.0, side=None)
"""They bound what a deflated header inflates to."""


class FileKind(enum.StrEnum):
    """Kinds of files that arrive."""

    IMAGE = "image"
    """An image, or what may be one: its study is drafted."""
    OWN_RESULT = "own-result"
    """A result of cxreport that came back, as from a PACS that forwards all that it gets."""
    OTHER = "other"
    """No image: a report, a presentation state, a file that is something else."""
    DUPLICATE = "duplicate"
    """An instance that its study was drafted with, once more."""


@dataclass(frozen=True)
class Identity:
    """What a file says of itself."""

    kind: FileKind
    study: str = ""
    """SHA-256 of the Study Instance UID in hexadecimal; empty for a file that is a study of its own."""
    instance: str = ""
    """SHA-256 of the SOP Instance UID in hexadecimal; empty where there is none."""


def identify(paths: Sequence[str]) -> list[Identity]:
    """Read the headers of files: the task of a process that reads.

    A file that cannot be read, and may be an image, counts as one: reading its study says what is wrong with it.

    Args:
        paths: of the files.
    """
    return [_identity(path) for path in paths]


def _identity(path: str) -> Identity:
    reference = next(references([FoundFile(path, is_named=False)], "study"))
    if reference is None:
        return Identity(FileKind.OTHER)
    if not reference.key.study:
        return Identity(FileKind.IMAGE)
    from cxreport.reading.dicom.attributes import digest, is_uid, text
    from cxreport.reading.dicom.eligibility import is_own_result
    from cxreport.reading.dicom.file import read_header
    from cxreport.reading.processes.muted_libraries import quiet

    study = reference.key.study
    try:
        with open_file(path) as stream, quiet():
            file = read_header(stream, _LIMITS)
            has_pixels = bool(file.stream.read(1)) or "Rows" in file.header
            instance_uid = text(file.header, "SOPInstanceUID")
            own = is_own_result(file.header)
    except StudyError:
        return Identity(FileKind.IMAGE, study)
    kind = FileKind.OWN_RESULT if own else FileKind.IMAGE if has_pixels else FileKind.OTHER
    return Identity(kind, study, digest(instance_uid) if is_uid(instance_uid) else "")
