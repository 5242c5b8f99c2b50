"""Export: trained networks to a bundle that has proved itself before it is put in place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import nn

from cxreport.errors import BundleError, ExportError
from cxreport.files import partial_folder
from cxreport.model.bundle import MANIFEST_FILE, SCHEMA_VERSION, is_bundle, load_manifest, read_graphs
from cxreport.model.choices import Architecture, Precision
from cxreport.model.manifest import (
    ENCODER,
    TEXT_ENCODER,
    DecodingDefaults,
    DistanceLimits,
    EvidenceModel,
    Manifest,
    ReportingTag,
    Sizes,
    Tag,
)
from cxreport.model.session import Model
from cxreport.model.signatures import signatures
from cxreport.text.lexicon import LEXICON_FILE, Lexicon, packaged
from cxreport.train.export.gpu_graphs import make_gpu_graphs
from cxreport.train.export.gpu_parity import check_gpu_graphs
from cxreport.train.export.graphs import CaptionGraph, EncoderGraph, SentenceGraph, WordGraph, make_graph
from cxreport.train.export.parity import Networks, check_parity
from cxreport.train.networks.decoder import Decoder, DecoderSizes
from cxreport.types import Detail

MAX_BYTES = 50_000_000
MAX_JOINT_BYTES = 10_000_000
"""Size that the joint space may add."""
_DECIMALS = 6


@dataclass(frozen=True, eq=False)
class BundleDescription:
    """Content of ``model.json`` that does not follow from the networks."""

    name: str
    version: str
    image_size: int
    tags: tuple[Tag, ...]
    reporting_tags: tuple[ReportingTag, ...]
    evidence: dict[str, EvidenceModel]
    vocabulary: tuple[str, ...]
    decoding: DecodingDefaults
    typicality: DistanceLimits
    licence: str
    intended_use: str
    provenance: dict[str, Any]
    aliases: dict[str, str] = field(default_factory=dict)
    extra_words: tuple[str, ...] = ()
    encoder: str = "vgg19"
    """Name in `networks.encoders.ENCODERS`."""
    architecture: Architecture = Architecture.CO_ATTENTION
    lexicon: Lexicon = field(default_factory=packaged)
    """Rules that the training targets were read with."""
    resize: str = "stretch, area average"
    gpu_graphs: bool = True
    """True to add the graphs for GPUs."""


def write_bundle(out: Path, networks: Networks, description: BundleDescription) -> dict[str, Any]:
    """Export, verify, and only then put in place.

    Args:
        out: folder of the bundle; the graphs and ``model.json`` of a bundle there are replaced, its other files kept.
        networks: trained.
        description: the rest of ``model.json``.

    Returns:
        the measured figures: sizes, and how far the bundle is from the trained networks.

    Raises:
        ExportError: a check failed; ``out`` is as it was.
    """
    sizes = _sizes(networks, description)
    if out.exists() and not is_bundle(out) and (out.is_file() or any(out.iterdir())):
        raise ExportError(f"{out}: exists and is not a model bundle.", hint="Name another folder.")
    with partial_folder(out) as folder:
        _write(folder, networks, description, sizes)
        return _verify(folder, networks)


def _sizes(networks: Networks, description: BundleDescription) -> Sizes:
    """Sizes of networks that fit each other and their description.

    Raises:
        ExportError: they do not, or the lexicon lacks a reporting tag.
    """
    writer, head, joint = networks.writer.sizes, networks.encoder.tag_head, networks.joint
    sizes = Sizes(
        image=description.image_size,
        channels=networks.channels,
        patches=networks.encoder.patches(description.image_size),
        patch_dim=networks.encoder.patch_dim,
        embedding=joint.sizes.embedding if joint else head.in_features,
        patch_embeddings=joint.sizes.patches if joint else 0,
        hidden=writer.hidden,
        tags=head.out_features,
        reporting_tags=writer.tags if isinstance(writer, DecoderSizes) else 0,
        words=writer.words,
    )
    described = (len(description.tags), len(description.reporting_tags), len(description.vocabulary))
    if described != (sizes.tags, sizes.reporting_tags, sizes.words) or writer.patch_dim != sizes.patch_dim:
        raise ExportError("Encoder, decoder, tags and vocabulary do not fit each other.")
    missing = {tag.name for tag in description.reporting_tags}.difference(description.lexicon.reporting_tags)
    if missing:
        raise ExportError(f"The lexicon has no rules for {', '.join(sorted(missing))}.")
    return sizes


def _modules(networks: Networks) -> dict[str, nn.Module]:
    """Modules that become the graphs, by name."""
    writer, joint = networks.writer, networks.joint
    modules: dict[str, nn.Module] = {ENCODER: EncoderGraph(networks.encoder, networks.typicality, joint)}
    if isinstance(writer, Decoder):
        modules |= {"sentence_step": SentenceGraph(writer), "word_step": WordGraph(writer)}
    else:
        modules["caption_step"] = CaptionGraph(writer)
    return modules | {TEXT_ENCODER: joint.text} if joint else modules


def _write(folder: Path, networks: Networks, description: BundleDescription, sizes: Sizes) -> None:
    modules = _modules(networks)
    ports = signatures(sizes, description.architecture, networks.joint is not None)
    graphs = {name: make_graph(module, ports[name]) for name, module in modules.items()}
    if description.gpu_graphs:
        graphs |= make_gpu_graphs(graphs, {name: f"{name}.onnx" for name in graphs}, ports)
    write_files(folder, graphs, description.lexicon, _manifest(description, sizes))


def write_files(folder: Path, graphs: Mapping[str, bytes], lexicon: Lexicon, raw: dict[str, Any]) -> None:
    """Write graphs and a lexicon, and a ``model.json`` that names and vouches for them.

    Args:
        folder: of the bundle.
        graphs: by name.
        lexicon: that its reports are to be checked with.
        raw: the content of ``model.json``, of the present schema version; its graphs and lexicon are replaced.
    """
    entries = {name: _write_file(folder / f"{name}.onnx", content) for name, content in graphs.items()}
    raw = {**raw, "graphs": entries, "lexicon": _write_file(folder / LEXICON_FILE, lexicon.toml)}
    text = json.dumps(raw, indent=1, ensure_ascii=False)
    (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")


def _write_file(path: Path, content: bytes) -> dict[str, Any]:
    """Write a file of a bundle; what ``model.json`` says of it."""
    path.write_bytes(content)
    return {"file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def upgraded(manifest: Manifest) -> dict[str, Any]:
    """Content of a bundle's ``model.json`` in the present schema version, but for the digests of its files."""
    raw: dict[str, Any] = {}
    for key, value in manifest.raw.items():
        if key == "architecture":
            raw["encoder"] = manifest.encoder
        raw[key] = value
        if key == "graphs":
            raw["lexicon"] = {}
    decoding = asdict(manifest.decoding)
    return raw | {"schema_version": SCHEMA_VERSION, "decoding": decoding}


def upgrade_bundle(folder: Path, version: str) -> None:
    """Bring a bundle, and the int8 bundle that it holds, to the present schema version; their graphs stay as they are.

    Args:
        folder: of a bundle; one of version 3 gets the package's lexicon, which it was read with until now.
        version: of the bundle from now on.

    Raises:
        BundleError: it is unusable, or its int8 bundle is.
    """
    int8 = Precision.INT8.row.folder
    with partial_folder(folder) as partial:
        _upgrade(folder, partial, {"version": version})
        if is_bundle(folder / int8):
            (partial / int8).mkdir()
            origin = load_manifest(partial).sha256
            _upgrade(folder / int8, partial / int8, {"version": version, "quantised_from": origin})


def _upgrade(source: Path, target: Path, changes: dict[str, str]) -> None:
    """Write a bundle anew in the present schema version."""
    manifest = load_manifest(source)
    write_files(target, read_graphs(source, manifest), manifest.lexicon, upgraded(manifest) | changes)


def _manifest(description: BundleDescription, sizes: Sizes) -> dict[str, Any]:
    """The content of ``model.json``, but for the digests of its files."""
    return {
        "schema_version": SCHEMA_VERSION,
        "name": description.name,
        "version": description.version,
        "encoder": description.encoder,
        "architecture": description.architecture,
        "licence": description.licence,
        "intended_use": description.intended_use,
        "graphs": {},
        "lexicon": {},
        "preprocessing": {"size": sizes.image, "channels": sizes.channels, "resize": description.resize},
        "sizes": asdict(sizes),
        "tags": [{"name": t.name, "threshold": round(t.threshold, _DECIMALS)} for t in description.tags],
        "reporting_tags": [asdict(t) for t in description.reporting_tags],
        "aliases": description.aliases,
        "evidence": {
            source: {
                "inputs": list(evidence.inputs),
                **{name: _numbers(array) for name, array in evidence.arrays.items()},
            }
            for source, evidence in description.evidence.items()
        },
        "decoding": asdict(description.decoding),
        "typicality": asdict(description.typicality),
        "provenance": description.provenance,
        "vocabulary": list(description.vocabulary),
        "extra_words": list(description.extra_words),
        "detail_words": {
            str(d): [w for w in description.vocabulary if d in description.lexicon.details(w)] for d in Detail
        },
    }


def _numbers(array: NDArray[Any]) -> Any:
    return array.astype(float).round(_DECIMALS).tolist()


def _verify(folder: Path, networks: Networks) -> dict[str, Any]:
    """Load the bundle as a user would and measure it.

    Raises:
        ExportError: it does not load, is too large, or differs from the networks.
    """
    total = sum(file.stat().st_size for file in folder.iterdir())
    most = MAX_BYTES + (MAX_JOINT_BYTES if networks.joint else 0)
    if total > most:
        raise ExportError(f"The bundle has {total} bytes, more than {most}.")
    try:
        model = Model.load(folder, "cpu")
    except BundleError as error:
        raise ExportError(f"The exported bundle does not load: {error.message}") from error
    graphs = read_graphs(folder, model.manifest)
    return {"bytes": total, **check_parity(model, networks), **check_gpu_graphs(model, graphs)}
