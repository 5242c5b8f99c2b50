"""Bundle: a folder with ``model.json``, and the ONNX graphs and the lexicon that it names and vouches for.

Everything is read as JSON and checked before it is used; nothing is ever unpickled. This module needs neither
onnxruntime nor torch, so that `cxreport info` answers at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cxreport.errors import BundleError
from cxreport.model.choices import Architecture, Precision
from cxreport.model.manifest import (
    GPU_GRAPHS,
    TEXT_ENCODER,
    WEIGHTS_OF,
    BundleFile,
    DecodingDefaults,
    DistanceLimits,
    EvidenceModel,
    Manifest,
    ReportingTag,
    Sizes,
    Tag,
    graph_names,
)
from cxreport.model.manifest_checks import check_manifest
from cxreport.model.weights import are_finite, external_files
from cxreport.text import lexicon
from cxreport.text.lexicon import LEXICON_FILE, Lexicon
from cxreport.types import Detail

SCHEMA_VERSION = 5
"""Version of ``model.json``. An older cxreport refuses it: it would tell flatly what is to be told as possible."""
_VERSION_4 = 4
"""Version without limits of certainty: such bundles tell every positive tag flatly, and add sentences of their own."""
_VERSION_3 = 3
"""Version without lexicon and encoder: such bundles were made with the package's lexicon, and there was one encoder."""
_READABLE_VERSIONS = (_VERSION_3, _VERSION_4, SCHEMA_VERSION)
MANIFEST_FILE = "model.json"
_T = TypeVar("_T")


def is_bundle(folder: Path) -> bool:
    """True if a folder holds a bundle, sound or not."""
    return (folder / MANIFEST_FILE).is_file()


def find_bundle(model: str | Path | None) -> Path:
    """Locate a bundle's folder.

    Args:
        model: a bundle folder; None for the shipped one, inside the wheel or beside the package in a checkout.

    Raises:
        BundleError: there is no bundle.
    """
    if model is not None:
        folder = Path(model)
        if not is_bundle(folder):
            raise BundleError(f"{folder}: no model bundle there ({MANIFEST_FILE} is missing).")
        return folder
    package = Path(__file__).resolve().parents[1]
    for parent in (package, package.parent):
        folder = parent / "exported" / "default"
        if is_bundle(folder):
            return folder
    raise BundleError("The model bundle that cxreport ships is missing.")


def load_manifest(folder: str | Path) -> Manifest:
    """Parse and check ``model.json``; the lexicon is read, the graphs are not.

    Raises:
        BundleError: missing, not JSON, of another schema version, or contradicting itself; or the lexicon is missing
            or altered.
    """
    folder = Path(folder)
    path = folder / MANIFEST_FILE
    try:
        content = path.read_bytes()
        raw = json.loads(content)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not valid JSON.") from error
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version not in _READABLE_VERSIONS:
        readable = f"{', '.join(map(str, _READABLE_VERSIONS[:-1]))} and {SCHEMA_VERSION}"
        raise BundleError(f"{path}: schema version {version!r}; this cxreport reads versions {readable}.")
    try:
        manifest = _parse(raw, hashlib.sha256(content).hexdigest(), _read_lexicon(folder, raw))
        check_manifest(manifest)
    except KeyError as error:
        raise BundleError(f"{path}: {error.args[0]!r} is missing.") from error
    except (AttributeError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise BundleError(f"{path}: {error}.") from error
    return manifest


class GraphFiles(Mapping[str, bytes]):
    """Graphs of a bundle by name, each read and checked when it is asked for, so that no two need be in memory."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Read none yet."""
        self._folder, self._manifest = folder, manifest

    def __getitem__(self, name: str) -> bytes:
        """Content of a graph; what is wrong with it is raised as by `read_graphs`."""
        files = self._manifest.graphs
        content = _read_file(self._folder, files[name])
        others = {files[WEIGHTS_OF[name]].file} if name in WEIGHTS_OF else set()
        _refuse_weights(self._folder / files[name].file, content, others)
        return content

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifest.graphs)

    def __len__(self) -> int:
        return len(self._manifest.graphs)


def read_graphs(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """Read the graphs and compare their digests with the manifest's, so that what was checked is what gets loaded.

    Raises:
        BundleError: a graph is missing or altered, or its weights are in a file outside the bundle, or not
            finite.
    """
    return dict(GraphFiles(folder, manifest))


def verify_graphs(folder: Path, manifest: Manifest) -> None:
    """Check the digest of every graph.

    Raises:
        BundleError: a graph is missing or altered.
    """
    read_graphs(folder, manifest)


def _refuse_weights(path: Path, graph: bytes, allowed: set[str]) -> None:
    """Refuse a graph with weights in files but those of the graph that it shares them with, or that are not finite."""
    try:
        others = external_files(graph) - allowed
        is_sound = are_finite(graph)
    except ValueError:
        return  # ONNX Runtime will say so
    if others:
        raise BundleError(f"{path}: the graph takes weights from a file outside the bundle.")
    if not is_sound:
        raise BundleError(f"{path}: the graph has weights that are infinite or no numbers.")


def _read_file(folder: Path, file: BundleFile) -> bytes:
    """Content of a file, which must have its digest in ``model.json``."""
    path = folder / file.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}).") from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise BundleError(f"{path}: altered or damaged, its SHA-256 is not the one in {MANIFEST_FILE}.")
    return content


def _read_lexicon(folder: Path, raw: dict[str, Any]) -> Lexicon:
    """Lexicon of a bundle; for one of version 3, that of the package."""
    if raw["schema_version"] == _VERSION_3:
        return lexicon.packaged()
    return Lexicon(_read_file(folder, _parse_file(raw["lexicon"])), str(folder / LEXICON_FILE))


def _parse(raw: dict[str, Any], sha256: str, lexicon: Lexicon) -> Manifest:
    decoding, typicality = raw["decoding"], raw["typicality"]
    return Manifest(
        name=_of(str, raw, "name"),
        version=_of(str, raw, "version"),
        encoder="vgg19" if raw["schema_version"] == _VERSION_3 else _of(str, raw, "encoder"),
        architecture=_parse_architecture(raw),
        sha256=sha256,
        sizes=Sizes(**{field.name: _of(int, raw["sizes"], field.name) for field in fields(Sizes)}),
        graphs=_parse_graphs(raw),
        tags=_each(raw, "tags", lambda tag: Tag(_of(str, tag, "name"), threshold=_number(tag["threshold"]))),
        reporting_tags=_each(raw, "reporting_tags", _parse_reporting_tag),
        evidence={source: _parse_evidence(model) for source, model in _of(dict, raw, "evidence").items()},
        aliases={str(finding): str(tag) for finding, tag in _of(dict, raw, "aliases").items()},
        vocabulary=_each(raw, "vocabulary", _text),
        detail_words=_parse_detail_words(raw),
        decoding=DecodingDefaults(
            max_sentences=_of(int, decoding, "max_sentences"),
            min_words=_of(int, decoding, "min_words"),
            max_words=_of(int, decoding, "max_words"),
            planned=_of(bool, decoding, "planned"),
            denials=_of(int, decoding, "denials"),
            **_parse_exact(raw["schema_version"], decoding),
        ),
        typicality=DistanceLimits(warn=_of(float, typicality, "warn"), refuse=_of(float, typicality, "refuse")),
        lexicon=lexicon,
        extra_words=_each(raw, "extra_words", _text),
        precision=_parse_precision(raw),
        quantised_from=raw.get("quantised_from"),
        raw=raw,
    )


def _parse_exact(version: int, decoding: dict[str, Any]) -> dict[str, Any]:
    """Entries of `DecodingDefaults` that older bundles lack."""
    if version < SCHEMA_VERSION:
        return {}
    sets = {
        key: _each(decoding, key, lambda names: tuple(map(_text, names)))
        for key in ("findings_denials", "impression_denials")
    }
    return {"exact": _of(bool, decoding, "exact"), **sets}


def _parse_reporting_tag(raw: dict[str, Any]) -> ReportingTag:
    return ReportingTag(
        name=_of(str, raw, "name"),
        impression=_of(bool, raw, "impression"),
        deniable=_of(bool, raw, "deniable"),
        place=_of(float, raw, "place"),
    )


def _parse_detail_words(raw: dict[str, Any]) -> NDArray[np.bool_]:
    words = raw["detail_words"]
    return np.array([[word in words[str(detail)] for word in raw["vocabulary"]] for detail in Detail], np.bool_)


def _parse_architecture(raw: dict[str, Any]) -> Architecture:
    name = _of(str, raw, "architecture")
    if name not in list(Architecture):
        raise ValueError(f"unknown architecture {name!r}")
    return Architecture(name)


def _parse_precision(raw: dict[str, Any]) -> Precision:
    name, quantised = raw.get("precision", Precision.FLOAT32), isinstance(raw.get("quantised_from"), str)
    if name not in (Precision.FLOAT32, Precision.INT8) or (name == Precision.INT8) != quantised:
        raise ValueError("the precision is unknown, or contradicts 'quantised_from'")
    return Precision(name)


def _parse_graphs(raw: dict[str, Any]) -> dict[str, BundleFile]:
    names = graph_names(_parse_architecture(raw), TEXT_ENCODER in raw["graphs"])
    gpu_names = [name for name in GPU_GRAPHS if name in raw["graphs"]]
    if not all(WEIGHTS_OF[name] in names for name in gpu_names):
        raise ValueError("a graph for GPUs has no graph to take its weights from")
    return {name: _parse_file(raw["graphs"][name]) for name in (*names, *gpu_names)}


def _parse_file(raw: dict[str, Any]) -> BundleFile:
    file = BundleFile(file=_of(str, raw, "file"), sha256=_of(str, raw, "sha256"), bytes=_of(int, raw, "bytes"))
    if Path(file.file).name != file.file or not file.file.isprintable():
        raise ValueError(f"file {file.file!r} lies outside the bundle")
    return file


def _parse_evidence(raw: dict[str, Any]) -> EvidenceModel:
    with np.errstate(over="ignore"):  # the checks refuse what is not finite then
        arrays = {name: np.array(array, np.float32) for name, array in raw.items() if name != "inputs"}
    return EvidenceModel.of(_each(raw, "inputs", _text), arrays)


def _number(value: Any) -> float:
    """A number, also one without a point."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r:.40} is no number")
    return float(value)


def _text(value: Any) -> str:
    """A text of an array."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.40} is no text")
    return value


def _of(kind: type[_T], raw: dict[str, Any], key: str) -> _T:
    """Value of a key, which must be of a type."""
    value = raw[key]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{key!r} has a value of the wrong kind")
    return value


def _each(raw: dict[str, Any], key: str, parse: Callable[[Any], _T]) -> tuple[_T, ...]:
    """Items of a key's array, parsed."""
    return tuple(parse(item) for item in _of(list, raw, key))
