"""Grouping of files into studies: keys of the files that belong together, and names that tell studies apart."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


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


def unique_names(paths: Sequence[str]) -> dict[str, str]:
    """Names of files and folders, with as many of the folders around them as tell them apart.

    Args:
        paths: distinct ones.

    Returns:
        Name by path; a number ends those that have several paths to one place.
    """
    names = {path: _name(path) for path in paths}
    if len(set(names.values())) == len(names):
        return names
    counts = Counter(names.values())
    alike: dict[str, list[str]] = {}
    for path, name in names.items():
        if counts[name] > 1:
            alike.setdefault(name, []).append(path)
    for group in alike.values():
        names |= _told_apart(group)
    return names


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
