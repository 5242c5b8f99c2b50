"""Quantise: a float bundle to an int8 one, by static quantisation with ONNX Runtime's own tools.

Weights become signed 8-bit integers with a scale per output channel, activations unsigned 8-bit integers with a scale
per tensor, calibrated on training images (Jacob et al. 2018). The scales are fixed, so that the results of a study do
not depend on the batch that it travels in. Weights that take no part in a quantised product stay in half precision.
Unsigned activations, because ONNX Runtime on x86 turns signed ones into these, but not where a tensor has several
readers, and computes those layers in single precision.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from cxreport.drafting.decode import DecodeOptions, decode
from cxreport.drafting.plan import HEAD, make_plan
from cxreport.errors import ExportError
from cxreport.files import partial_folder
from cxreport.model.bundle import load_manifest, read_graphs
from cxreport.model.choices import Precision
from cxreport.model.cpus import encoder_threads
from cxreport.model.encode import encode
from cxreport.model.input_recorder import Recording
from cxreport.model.manifest import ENCODER, GPU_GRAPHS, TEXT_ENCODER, Manifest
from cxreport.model.session import Model
from cxreport.train.export.calibration import CALIBRATED, Feeds, calibration_images
from cxreport.train.export.fp16 import halve, restore
from cxreport.train.export.write_bundle import upgraded, write_files
from cxreport.types import Decoding, Encoding, Pixels, Plan

MAX_BYTES = 30_000_000
MAX_CHANGE = 0.01
"""Largest mean difference of the tag probabilities."""
LEAST_IMAGES = 32
_PERCENTILE = 99.999  # of the encoder's activations; the largest ones are too rare to be worth the others' precision
_BATCH = 8
_FEEDS = 64  # batches of a step's inputs
_ROWS = 32


def add_int8(bundle: Path, images: Path) -> dict[str, Any]:
    """Give a float bundle its int8 bundle, in the folder where `model.precision.load_model` looks for it.

    Args:
        bundle: folder of the float bundle.
        images: folder of training images, as `calibration_images` takes it.

    Returns:
        the figures of `quantise`.

    Raises:
        ExportError: as `quantise`.
    """
    return quantise(bundle, bundle / Precision.INT8, calibration_images(images, load_manifest(bundle)))


def quantise(source: Path, out: Path, images: Sequence[Pixels]) -> dict[str, Any]:
    """Write the int8 bundle of a float one.

    Args:
        source: the float bundle.
        out: folder of the int8 bundle; the graphs and ``model.json`` of a bundle there are replaced.
        images: (S, S) or (S, S, 3) network inputs: training images. Half of them are used to find the scales, at most
            `CALIBRATED`, and the others to compare the two bundles.

    Returns:
        the measured figures: size, and how far the tags and the greedy reports are from the float bundle's.

    Raises:
        ExportError: too few images, a bundle that is int8 already, or a check failed; ``out`` is as it was.
    """
    manifest = load_manifest(source)
    if manifest.precision == Precision.INT8:
        raise ExportError(f"{source}: is an int8 bundle already.", hint="Name the float bundle.")
    if len(images) < LEAST_IMAGES:
        raise ExportError(f"{len(images)} images are too few to calibrate on; {LEAST_IMAGES} are the least.")
    half = min(len(images) // 2, CALIBRATED) // _BATCH * _BATCH  # the quantiser wants batches of one length
    calibration, compared = list(images[:half]), list(images[half : 2 * half])
    model = Model.load(source, "cpu")
    graphs, exact = _quantised_graphs(model, read_graphs(source, manifest), calibration)
    stretch = _stretch(exact, encode(Model.on_cpu(manifest, graphs, encoder_threads()), calibration))
    with partial_folder(out) as folder:
        _write(folder, manifest, graphs, stretch)
        return _compare(folder, model, compared)


def _quantised_graphs(
    model: Model, graphs: dict[str, bytes], images: list[Pixels]
) -> tuple[dict[str, bytes], list[Encoding]]:
    """Quantise all graphs but the text encoder, which is small and seldom runs; returns the float encodings too."""
    recording = Recording(model, _ROWS)
    batches = range(0, len(images), _BATCH)
    encodings = [e for i in batches for e in encode(cast(Model, recording), images[i : i + _BATCH])]
    _draft(cast(Model, recording), encodings)
    arguments = recording.calls | {ENCODER: recording.calls["encode_batch"]}
    quantised = {
        name: content if name == TEXT_ENCODER else _quantised(name, content, arguments[name][:_FEEDS])
        for name, content in graphs.items()
        if name not in GPU_GRAPHS
    }
    return quantised, encodings


def _arrays(arguments: tuple[Any, ...]) -> list[NDArray[Any]]:
    """Arguments of a step as the inputs of its graph: named tuples unpacked."""
    return [array for value in arguments for array in (value if isinstance(value, tuple) else (value,))]


def _quantised(name: str, content: bytes, steps: list[tuple[Any, ...]]) -> bytes:
    """Quantise one graph; ``steps`` are the arguments of its runs to calibrate on."""
    graph = onnx.load_from_string(content)
    restore(graph)
    inputs = [port.name for port in graph.graph.input]
    feeds = [dict(zip(inputs, _arrays(arguments), strict=True)) for arguments in steps]
    convolutions = name == ENCODER
    options = {"CalibPercentile": _PERCENTILE, "CalibMaxIntermediateOutputs": 4} if convolutions else {}
    with tempfile.TemporaryDirectory() as folder, _silent():
        plain, folded, quantised = (Path(folder) / f"{n}.onnx" for n in ("plain", "folded", "quantised"))
        onnx.save(graph, plain)
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            quantised,
            Feeds(feeds),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MaxPool", "Relu"] if convolutions else ["Gemm", "MatMul"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_first_convolution(folded),
            calibrate_method=CalibrationMethod.Percentile if convolutions else CalibrationMethod.MinMax,
            extra_options=options,
        )
        result = onnx.load(quantised)
    halve(result)
    onnx.checker.check_model(result, full_check=True)
    return bytes(result.SerializeToString(deterministic=True))


def _first_convolution(path: Path) -> list[str]:
    """Name of the layer that sees pixels, which costs little and whose rounding every other layer inherits."""
    return [node.name for node in onnx.load(path).graph.node if node.op_type == "Conv"][:1]


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the quantiser's advice off the log, and its prints off stdout."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)


def _write(folder: Path, manifest: Manifest, graphs: dict[str, bytes], stretch: float) -> None:
    """Write graphs and ``model.json``.

    Args:
        folder: of the bundle.
        manifest: of the float bundle.
        graphs: quantised.
        stretch: factor of the distances from the training images, by which the limits move along.
    """
    limits = {name: round(limit * stretch, 4) for name, limit in manifest.raw["typicality"].items()}
    raw = upgraded(manifest) | {"precision": Precision.INT8, "quantised_from": manifest.sha256, "typicality": limits}
    write_files(folder, graphs, manifest.lexicon, raw)


def _stretch(exact: list[Encoding], quantised: list[Encoding]) -> float:
    """Median ratio of the distances."""
    return float(np.median([b.distance / a.distance for a, b in zip(exact, quantised, strict=True)]))  # type: ignore[operator]


def _draft(model: Model, encodings: list[Encoding]) -> tuple[list[Plan], list[Decoding]]:
    """Plan and write greedy reports."""
    plans = [make_plan(model.manifest, encoding, HEAD) for encoding in encodings]
    batches = range(0, len(plans), _BATCH)
    decodings = [decode(model, encodings[i : i + _BATCH], plans[i : i + _BATCH], DecodeOptions()) for i in batches]
    return plans, [decoding for batch in decodings for decoding in batch]


def _compare(folder: Path, exact: Model, images: list[Pixels]) -> dict[str, Any]:
    """Measure an int8 bundle against its float one, on images that were not calibrated on.

    Raises:
        ExportError: too large, or too far.
    """
    quantised = Model.load(folder, "cpu")
    encodings = [encode(model, images) for model in (exact, quantised)]
    exact_tags, quantised_tags = (np.array([list(e.tags.values()) for e in group]) for group in encodings)
    drafts = [_draft(model, group) for model, group in zip((exact, quantised), encodings, strict=True)]
    tags = [[set(plan.tags) for plan in plans] for plans, _ in drafts]
    texts = [[[s.ids for s in d.sentences] for d in decodings] for _, decodings in drafts]
    change = abs(quantised_tags - exact_tags)
    figures = {
        "bytes": sum(file.stat().st_size for file in folder.iterdir()),
        "images": len(images),
        "probabilities_mean": float(change.mean()),
        "probabilities_max": float(change.max()),
        "same_findings": sum(a == b for a, b in zip(*tags, strict=True)) / len(images),
        "same_reports": sum(a == b for a, b in zip(*texts, strict=True)) / len(images),
    }
    if figures["bytes"] > MAX_BYTES or figures["probabilities_mean"] > MAX_CHANGE:
        raise ExportError(f"The int8 bundle is too large, or too far from the float one: {figures}.")
    return figures
