"""Figures of a GPU beside the CPU, in one JSON; the second half of `scripts/gpu`.

python scripts/gpu_figures.py IMAGES RESULT.json [--dry-run]
python scripts/gpu_figures.py --table RESULT.json

Each part is measured by itself: one that fails leaves its error, and the others go on. ``--table`` prints the rows of
docs/speed.md from a result.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cxreport.bench.result import to_json
from cxreport.bench.stages import measure_stages, measure_throughput
from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.model.bundle import find_bundle, load_manifest, read_graphs
from cxreport.model.choices import Device, Precision
from cxreport.model.encode import encode
from cxreport.model.manifest import WORD_SEARCH
from cxreport.model.precision import load_model
from cxreport.model.session import Model, has_cuda, providers_present, runtime_version
from cxreport.reading.options import ReadOptions
from cxreport.reading.study import read_studies
from cxreport.types import Report, Study

TENSORRT = "TensorrtExecutionProvider"
BATCH, READERS = 256, 16
SIDE = 8192
"""Side of the half-precision matrices whose product gives the peak."""
LIMITS: dict[str, tuple[str, float, bool]] = {
    "largest_change": ("largest change of a tag's probability, float16 against the CPU", 0.005, False),
    "same_reports": ("share of reports equal to the CPU's", 0.98, True),
    "encoder_share_of_peak": (f"encoder at batch {BATCH} / peak of half-precision matrix products", 0.4, True),
    "decoding_share": ("share of sentences and words in the time of the networks", 0.2, False),
    "studies_per_second": (f"128-px PNGs a second, {READERS} readers", 3000, True),
}
"""Figure -> what it is, its limit, and whether that is a lower one."""


def main(arguments: Sequence[str]) -> int:
    """Measure, or print the table of a result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, metavar="IMAGES RESULT.json")
    parser.add_argument("--dry-run", action="store_true", help="run on the CPU even where there is a GPU")
    parser.add_argument("--table", action="store_true", help="print the rows of a result")
    parser.add_argument("--tests", type=int, help="exit status of the tests that need a GPU")
    parser.add_argument("--images", type=int, help="number of images to compare; 500, or 24 without a GPU")
    options = parser.parse_args(arguments)
    if options.table:
        print(table(json.loads(options.paths[0].read_text())))
        return 0
    images, result = options.paths
    gpu = has_cuda() and not options.dry_run
    record = figures(images, gpu, options.images or (500 if gpu else 24), options.tests)
    result.write_text(json.dumps(record, indent=2) + "\n")
    print(table(record))
    return int(any("error" in part for part in record["parts"].values()))


def figures(folder: Path, gpu: bool, count: int, tests: int | None = None) -> dict[str, Any]:
    """Measure all parts on the images of a folder."""
    paths = sorted(path for path in folder.rglob("*.png"))[:count]
    cpu, other = load_model(device=Device.CPU, precision=Precision.FLOAT32), load_other(gpu)
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "parity": lambda: parity(cpu, other, paths),
        "encoder": lambda: encoder_speed(other, BATCH if gpu else 8, SIDE if gpu else 512, gpu),
        "stages": lambda: stages(other, paths, BATCH if gpu else 8),
        "end_to_end": lambda: end_to_end(other, paths, READERS if gpu else 2, BATCH if gpu else 8),
        "tensorrt": lambda: tensorrt(gpu),
    }
    record: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "gpu": gpu_name() if gpu else None,
        "note": "" if gpu else "No GPU: the graphs for GPUs ran on the CPU. The figures say only that all of it runs.",
        "onnxruntime": runtime_version(),
        "providers": providers_present(),
        "bundle": other.manifest.sha256,
        "precision": str(other.manifest.precision),
        "bound_steps": sorted(other.bound_steps),
        "images": len(paths),
        "tests_exit": tests,
        "parts": {},
    }
    for name, measure in steps.items():
        start = time.perf_counter()
        try:
            record["parts"][name] = measure()
        except Exception as error:  # one part that fails must not cost the others
            record["parts"][name] = {"error": f"{type(error).__name__}: {error}"[:300]}
        record["parts"][name]["seconds"] = round(time.perf_counter() - start, 1)
    return record


def load_other(gpu: bool) -> Model:
    """The model that is compared with the CPU's: on the GPU, or its graphs on the CPU."""
    if gpu:
        return load_model(device=Device.CUDA, precision=Precision.FLOAT16)
    folder = find_bundle(None)
    model = Model.load(folder, Device.CPU, half=True).with_word_search(read_graphs(folder, load_manifest(folder)))
    model.bound_steps = frozenset({"sentence_step", WORD_SEARCH} & model.manifest.graphs.keys())
    return model


def gpu_name() -> str:
    """Name, memory and driver, as the driver's own tool tells them."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def parity(cpu: Model, other: Model, paths: list[Path]) -> dict[str, Any]:
    """Differences of tags and reports on images."""
    options = ReadOptions(force=True).fitting(cpu.manifest.input_shape)
    studies = [study for study in read_studies(paths, options) if isinstance(study, Study)]
    forced = GenerateOptions(force=True)
    drafts = [[draft for draft in generate(m, studies, forced) if isinstance(draft, Report)] for m in (cpu, other)]
    pairs = list(zip(*drafts, strict=True))
    changes = [abs(s.probability - t.probability) for a, b in pairs for s, t in zip(a.tags, b.tags, strict=True)]
    same = [(a.findings, a.impression) == (b.findings, b.impression) for a, b in pairs]
    return {
        "reports": len(pairs),
        "largest_change": max(changes),
        "same_reports": sum(same) / len(same),
    }


def encoder_speed(model: Model, batch: int, side: int, gpu: bool) -> dict[str, Any]:
    """Images a second of the encoder, and its operations as a share of what matrix products reach."""
    random, manifest = np.random.default_rng(0), model.manifest
    shape = (manifest.image_size, manifest.image_size) + (() if manifest.channels == 1 else (manifest.channels,))
    images = [random.integers(0, 256, shape).astype(np.uint8) for _ in range(batch)]
    seconds = fastest(lambda: encode(model, images))
    rate = batch * operations_of_an_image() / seconds
    peak = 2 * side**3 / fastest(matrix_product(side, gpu))
    return {
        "images_per_second": batch / seconds,
        "teraflops": rate / 1e12,
        "peak_teraflops": peak / 1e12,
        "encoder_share_of_peak": rate / peak,
    }


def fastest(action: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the fastest of several runs, after two to warm up."""
    times = []
    for _ in range(repeats + 2):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times[2:])


def operations_of_an_image() -> float:
    """Operations of the encoder's convolutions, two for each multiplication with its sum."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(find_bundle(None) / "encoder.onnx")).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    shapes |= {weight.name: list(weight.dims) for weight in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    return float(sum(2 * np.prod(shapes[n.input[1]]) * np.prod(shapes[n.output[0]][2:]) for n in convolutions))


def matrix_product(side: int, gpu: bool) -> Callable[[], object]:
    """A product of two square half-precision matrices that stay on the device."""
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper

    kind = TensorProto.FLOAT16 if gpu else TensorProto.FLOAT
    ports = [helper.make_tensor_value_info(name, kind, [side, side]) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product", ports[:2], ports[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    providers = ["CUDAExecutionProvider" if gpu else "CPUExecutionProvider"]
    session = ort.InferenceSession(model.SerializeToString(), providers=providers)
    device, array = "cuda" if gpu else "cpu", np.ones((side, side), np.float16 if gpu else np.float32)
    binding = session.io_binding()
    for name in "ab":
        binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, device))
    binding.bind_output("c", device)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    assert onnx.checker.check_model(model) is None
    return run


def stages(model: Model, paths: list[Path], batch: int) -> dict[str, Any]:
    """Times by stage, and the share of sentences and words in the networks' time."""
    times = {name: s.median for name, s in measure_stages(model, paths, batch, 2).stages.items()}
    decoding = times["sentences"] + times["words"]
    return {"milliseconds": times, "decoding_share": decoding / (decoding + times["encode"])}


def end_to_end(model: Model, paths: list[Path], readers: int, batch: int) -> dict[str, Any]:
    """Studies a second from files to records; the images are read again and again until there are enough."""
    files = (paths * (1 + 40 * batch // max(len(paths), 1)))[: 40 * batch] if batch == BATCH else paths
    run = measure_throughput(model, files, readers, batch, 2)
    return {"throughput": to_json(run), "studies_per_second": run.images_per_second}


def tensorrt(gpu: bool) -> dict[str, Any]:
    """Images a second of the encoder by TensorRT in half precision, where its provider is."""
    if TENSORRT not in providers_present() or not gpu:
        return {"left_out": "no GPU" if not gpu else "this onnxruntime has no TensorRT"}
    import onnxruntime as ort

    manifest = load_manifest(find_bundle(None))
    providers: list[Any] = [(TENSORRT, {"trt_fp16_enable": "1"}), "CUDAExecutionProvider"]
    session = ort.InferenceSession(str(find_bundle(None) / "encoder.onnx"), providers=providers)
    if session.get_providers()[0] != TENSORRT:
        return {"left_out": "TensorRT's libraries do not load"}
    image = np.zeros((BATCH, manifest.channels, manifest.image_size, manifest.image_size), np.uint8)
    seconds = fastest(lambda: session.run(None, {session.get_inputs()[0].name: image}))
    return {"images_per_second": BATCH / seconds}


def table(record: dict[str, Any]) -> str:
    """Rows of docs/speed.md: figure, measured, limit, verdict."""
    found = {key: value for part in record["parts"].values() for key, value in part.items()}
    lines = [f"{record['gpu'] or record['note']} {record['date']}, onnxruntime {record['onnxruntime']}.", ""]
    lines += ["| figure | measured | limit | |", "|---|---|---|---|"]
    for key, (name, limit, at_least) in LIMITS.items():
        bound = f"at {'least' if at_least else 'most'} {limit:g}"
        value = found.get(key)
        met = value is not None and (value >= limit if at_least else value <= limit)
        verdict = "not measured" if value is None else "" if record["gpu"] is None else "met" if met else "**missed**"
        lines.append(f"| {name} | {'' if value is None else f'{value:.3g}'} | {bound} | {verdict} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
