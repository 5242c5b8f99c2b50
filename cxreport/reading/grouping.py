"""Grouping of files into studies: keys of the files that belong together, and names that tell studies apart.

Studies are handed on in order of first appearance, each as soon as no file to come can belong to it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cxreport.errors import StudyError
from cxreport.reading.pseudonym import keyed_digest, secret

_PLACEHOLDER = "The Study Instance UID is no UID: the file is read as a study of its own."
_SEVERAL_PATIENTS = "Files of {} patients have the same Study Instance UID: each patient's are a study."


class FileKey(NamedTuple):
    """Key of the files that belong together."""

    study: str
    """Digest of a Study Instance UID; for pictures, and for DICOM without a UID, empty."""
    path: str = ""
    """Of the only file, or of a folder of pictures; empty where there is a UID."""
    patient: str = ""
    """Digest of the Patient ID, empty where unknown."""
    issuer: str = ""
    """Digest of who gave the id, empty where unknown."""
    name: str = ""
    """Digest of the patient's name, empty where unknown; it tells only those apart who have no id."""


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


class StudyFiles(NamedTuple):
    """The files of one study."""

    id: str
    """Pseudonym, one of its kind in a run: a keyed digest of the Study Instance UID, or the name of the image file or
    folder with as many of the folders around it as tell it apart from the others that were found."""
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


class StudiesFound(Iterator[StudyFiles]):
    """Studies of files in order of first appearance, each handed on as soon as no file to come can belong to it.

    A picture, which is a study of its own, does not wait for the files behind it to be opened. It does where a study
    ahead of it waits: the files of a DICOM study may be anywhere.

    Args:
        files: all that were found, each once.
        references: of the files, taken as studies are.
        group_by: "study" or "folder".
        salt: of the pseudonyms of DICOM studies; None takes the user's own secret.

    Attributes:
        left: studies to come; until all files are opened, the most that there may be.
    """

    def __init__(
        self,
        files: list[FoundFile],
        references: Iterable[FileReference | StudyError | None],
        group_by: str,
        salt: str | None,
    ) -> None:
        self.left = len(files)
        self._salt = salt
        self._by_folder = group_by == "folder"
        self._names = Names([] if self._by_folder else [file.path for file in files])
        self._files: dict[FileKey, list[str]] = {}
        self._named: set[str] = set()
        self._placeholders: set[str] = set()
        self._errors: dict[str, StudyError] = {}
        self._studies = self._found(files, references)

    def __next__(self) -> StudyFiles:
        return next(self._studies)

    def _found(
        self, files: list[FoundFile], references: Iterable[FileReference | StudyError | None]
    ) -> Iterator[StudyFiles]:
        waits = self._by_folder
        for file, reference in zip(files, references, strict=True):
            if isinstance(reference, StudyError):
                self._errors[file.path], reference = reference, FileReference(FileKey("", path=file.path))
            if reference is not None:
                self._add(file, reference)
                waits = waits or bool(reference.key.study)
            if not waits:
                self.left -= 1
                yield from self._taken()
        files.clear()  # a hundred thousand of them take what a model takes
        self.left = len(self._files)
        for study in self._taken():
            self.left -= 1
            yield study

    def _add(self, file: FoundFile, reference: FileReference) -> None:
        """Put a file beside those of its study."""
        path, is_named = file
        if is_named:
            self._named.add(path)
        if reference.has_placeholder:
            self._placeholders.add(path)
        key = reference.key
        if key.path == path:
            key = FileKey("", path=path)  # another process sent a copy of the path
        self._files.setdefault(key, []).append(path)

    def _taken(self) -> Iterator[StudyFiles]:
        """The studies so far; what is known of their files goes into them, and is here no more."""
        files, self._files = one_patient_each(self._files), {}
        patients = Counter(key.study for key in files if key.study)
        names = Names([key.path for key in files if not key.study]) if self._by_folder else self._names
        numbers: Counter[str] = Counter()
        keys = list(reversed(files))
        while keys:
            key = keys.pop()
            paths = files.pop(key)
            numbers[key.study] += 1
            id_ = self._pseudonym(key.study) if key.study else names.of(key.path)
            warnings = (_PLACEHOLDER,) if not self._placeholders.isdisjoint(paths) else ()
            if patients[key.study] > 1:
                id_ = f"{id_}-{numbers[key.study]}"
                warnings = (_SEVERAL_PATIENTS.format(patients[key.study]),)
            named = tuple(path for path in paths if path in self._named) if self._named else ()
            yield StudyFiles(id_, paths, named, warnings, self._errors.get(key.path), key.study or id_)

    def _pseudonym(self, digest: str) -> str:
        return f"study-{keyed_digest(digest, secret(self._salt))[:12]}"


def one_patient_each(files: dict[FileKey, list[str]]) -> dict[FileKey, list[str]]:
    """Files of each study brought together by patient.

    A file without an issuer belongs to the only one with the same id. A file without an id belongs to the only id with
    the same name, and one without a name, too, to the only patient of its study.
    """
    ids: dict[str, dict[str, set[str]]] = {}
    names: dict[tuple[str, str], set[str]] = {}
    for key in files:
        if key.study and key.patient:
            ids.setdefault(key.study, {}).setdefault(key.patient, set()).update({key.issuer} - {""})
            names.setdefault((key.study, key.name), set()).add(key.patient)
    if not any(key.study for key in files):
        return files
    merged: dict[FileKey, list[str]] = {}
    for key, paths in files.items():
        if not key.study:
            merged[key] = paths
            continue
        key = _known(key, ids.get(key.study, {}), names.get((key.study, key.name), set()))
        merged.setdefault(key, []).extend(paths)
    return merged


def _known(key: FileKey, ids: dict[str, set[str]], namesakes: set[str]) -> FileKey:
    """The key with what others say of its patient: the ids of the study with their issuers, those of the same name."""
    patient = key.patient
    if not patient:
        candidates = namesakes if key.name else ids
        if len(candidates) != 1:
            return key
        patient = next(iter(candidates))
    issuers = ids[patient]
    issuer = key.issuer or (next(iter(issuers)) if len(issuers) == 1 else "")
    return FileKey(key.study, patient=patient, issuer=issuer)


class Names:
    """Names of files or folders, with as many of the folders around them as tell them apart.

    Args:
        paths: distinct ones. A number ends the names of those that have several paths to one place.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        seen: set[str] = set()
        self._alike: dict[str, list[str]] = {}
        for name in map(_name, paths):
            if name in seen:
                self._alike[name] = []
            seen.add(name)
        self._paths = paths if self._alike else ()
        self._told_apart: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Name of one of the paths."""
        name = _name(path)
        if name not in self._alike:
            return name
        if path not in self._told_apart:
            self._told_apart |= _told_apart(self._group(name))
        return self._told_apart[path]

    def _group(self, name: str) -> list[str]:
        """Paths with one name; where a tree has many files of one name, it may be that nobody asks for theirs."""
        for path in self._paths:
            if (alike := self._alike.get(_name(path))) is not None:
                alike.append(path)
        self._paths = ()
        return self._alike[name]


def unique_names(paths: Sequence[str]) -> dict[str, str]:
    """Name by path, see `Names`."""
    names = Names(paths)
    return {path: names.of(path) for path in paths}


def _name(path: str) -> str:
    """Name of a file or folder; only what ends with a slash or dots has to be made absolute for it."""
    name = os.path.basename(path)
    return Path(os.path.basename(_absolute(path))).as_posix() if name in ("", ".", "..") else name


def _told_apart(paths: list[str]) -> dict[str, str]:
    parts = {path: Path(_absolute(path)).parts[1:] for path in paths}
    length = 2
    while length < max(map(len, parts.values())) and len({part[-length:] for part in parts.values()}) < len(paths):
        length += 1
    seen: Counter[str] = Counter()
    names = {}
    for path, part in parts.items():
        name = "/".join(part[-length:])
        seen[name] += 1
        names[path] = name if seen[name] == 1 else f"{name}~{seen[name]}"
    return names


def _absolute(path: str) -> str:
    """A path from the root on; as it is named where the working folder is gone."""
    try:
        return os.path.abspath(path)
    except OSError:
        return os.path.normpath(path)
