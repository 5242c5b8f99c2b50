"""Precision: loads a bundle in the one of its precisions that suits the machine.

A float bundle may hold an int8 bundle made from it, in a folder of that name. On CPUs it is taken where it is right
and faster: right where the processor multiplies 8-bit integers without saturating sums (VNNI, AMX, Arm's dot product),
faster by a measurement of both encoders that is made once per machine and bundle, and kept in the user's cache folder.
On GPUs the float bundle runs, its encoder in half precision where the bundle has a graph for that.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.errors import BundleError, DeviceError, UsageError
from cxreport.files import PartialFile
from cxreport.model.bundle import find_bundle, is_bundle, load_manifest
from cxreport.model.choices import Device, Precision
from cxreport.model.cpus import cpuinfo, processor
from cxreport.model.manifest import HALF_ENCODER, Manifest

if TYPE_CHECKING:
    from cxreport.model.session import Model

__all__ = ["PrecisionFacts", "load_model", "precision_facts"]

log = logging.getLogger(__name__)

_DOT_PRODUCT_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
_INT8_FOLDER = Precision.INT8.row.folder
_SHARE_OF_FLOAT_TIME = 0.8
"""Share of the float encoder's time; an int8 encoder that takes more is not worth its rounding."""
_MAX_CACHE_BYTES = 1 << 20
_RUNS = 5
_EncoderMs = dict[Precision, float]
"""Milliseconds per image of each encoder."""


@dataclass(frozen=True)
class PrecisionFacts:
    """Precisions of a bundle, and what decides between them on this machine's CPU."""

    available: tuple[Precision, ...]
    dot_product: bool
    """True if the CPU is known to multiply 8-bit integers right and fast."""
    measured_ms: _EncoderMs | None
    """Milliseconds per image by precision; None before the first measurement."""
    int8_sha256: str | None = None
    """Digest of the int8 bundle, which records of its reports have."""

    @property
    def on_cpu(self) -> Precision | None:
        """Precision that ``auto`` takes on the CPU; None when that is to be measured first."""
        if not {Precision.FLOAT32, Precision.INT8} <= set(self.available):
            return self.available[0]
        if not self.dot_product:
            return Precision.FLOAT32
        return None if self.measured_ms is None else _faster(self.measured_ms)


def load_model(
    bundle: str | Path | None = None,
    *,
    device: Device | str = Device.AUTO,
    precision: Precision | str = Precision.AUTO,
    threads: int | None = None,
    side_by_side: bool = False,
) -> Model:
    """Load a bundle in the precision that suits the machine.

    Args:
        bundle: its folder; None for the shipped one.
        device: as `Model.load` takes it.
        precision: ``auto``, or the one to take; float16 needs a GPU.
        threads: as `Model.load` takes them.
        side_by_side: likewise; for many images.

    Raises:
        UsageError: float16 on the CPU.
        BundleError: unusable, or without the precision asked for.
        DeviceError: CUDA was asked for and does not work.
        ValueError: no such device or precision.
    """
    from cxreport.model.session import Model, has_cuda

    folder, device, precision = find_bundle(bundle), Device(device), Precision(precision)
    manifest = load_manifest(folder)
    if precision is Precision.FLOAT16:
        return _load_half(folder, manifest, device)
    load = functools.partial(Model.load, device=device, threads=threads, side_by_side=side_by_side)
    if precision is not Precision.AUTO:
        return load(_variant(folder, manifest, precision))
    if device is not Device.CPU and has_cuda():
        model = load(_variant(folder, manifest, Precision.FLOAT32), half=True)
        if model.device is not Device.CPU:
            return model
    return load(_cpu_variant(folder, manifest, threads))


def precision_facts(folder: Path, manifest: Manifest) -> PrecisionFacts:
    """Look up what is known of a bundle's precisions here; loads no model and measures nothing."""
    return _facts(manifest, _int8_manifest(folder, manifest))


def _facts(manifest: Manifest, int8: Manifest | None) -> PrecisionFacts:
    half = (Precision.FLOAT16,) if HALF_ENCODER in manifest.graphs else ()
    if int8 is None:
        return PrecisionFacts((manifest.precision, *half), _has_dot_product(), measured_ms=None)
    measured_ms = _read_cache().get(_cache_key(manifest, int8))
    available = (Precision.FLOAT32, Precision.INT8, *half)
    return PrecisionFacts(available, _has_dot_product(), measured_ms, int8.sha256)


def _load_half(folder: Path, manifest: Manifest, device: Device) -> Model:
    """Load a bundle on the GPU with its encoder in half precision."""
    from cxreport.model.session import Model

    if device is Device.CPU:
        raise UsageError("The precision float16 is for GPUs.", hint="Leave --precision or --device out.")
    if HALF_ENCODER not in manifest.graphs:
        raise BundleError(f"{folder}: the bundle has no float16 precision.", hint="Run `cxreport export` again.")
    try:
        model = Model.load(folder, Device.CUDA, half=True)
    except DeviceError as error:
        raise DeviceError(error.message, hint=f"{error.hint} Without a GPU, leave --precision out too.") from error
    if model.manifest.precision is not Precision.FLOAT16:
        raise BundleError("This onnxruntime cannot load a float16 bundle.", hint="Install a newer onnxruntime-gpu.")
    return model


def _variant(folder: Path, manifest: Manifest, precision: Precision) -> Path:
    """Folder of the bundle in a precision."""
    if manifest.precision is precision:
        return folder
    if precision is Precision.INT8 and _int8_manifest(folder, manifest) is not None:
        return folder / _INT8_FOLDER
    remedy = "Make one with `cxreport export --int8`"
    if precision is Precision.FLOAT32:
        remedy = "Name the folder that holds the int8 bundle"
    raise BundleError(
        f"{folder}: the bundle has no {precision} precision.", hint=f"{remedy}, or leave --precision out."
    )


def _cpu_variant(folder: Path, manifest: Manifest, threads: int | None) -> Path:
    """Folder of the bundle that suits the CPU, after a measurement where there is none yet."""
    int8 = _int8_manifest(folder, manifest)
    if int8 is None:
        return folder
    precision = _facts(manifest, int8).on_cpu
    if precision is None:
        measured_ms = _measure(folder, manifest, threads)
        _write_cache({**_read_cache(), _cache_key(manifest, int8): measured_ms})
        precision = _faster(measured_ms)
    return folder / _INT8_FOLDER if precision is Precision.INT8 else folder


def _int8_manifest(folder: Path, manifest: Manifest) -> Manifest | None:
    """Manifest of the int8 bundle that a float bundle holds; None where it holds none.

    Raises:
        BundleError: it is unusable, or made from another float bundle.
    """
    int8_folder = folder / _INT8_FOLDER
    if not is_bundle(int8_folder):
        return None
    int8 = load_manifest(int8_folder)
    if int8.quantised_from != manifest.sha256:
        raise BundleError(f"{int8_folder}: made from another bundle.", hint="Run `cxreport export --int8` again.")
    return int8


def _faster(measured_ms: _EncoderMs) -> Precision:
    """The precision that a measurement speaks for."""
    pays = measured_ms[Precision.INT8] <= _SHARE_OF_FLOAT_TIME * measured_ms[Precision.FLOAT32]
    return Precision.INT8 if pays else Precision.FLOAT32


def _measure(folder: Path, manifest: Manifest, threads: int | None) -> _EncoderMs:
    """Time both encoders on one image, the best of some runs."""
    import numpy as np

    from cxreport.model.session import Model

    image = np.zeros((1, manifest.channels, manifest.image_size, manifest.image_size), np.uint8)
    measured_ms = {}
    for precision, variant in ((Precision.FLOAT32, folder), (Precision.INT8, folder / _INT8_FOLDER)):
        model, runs_ms = Model.load(variant, Device.CPU, threads), []
        for _ in range(_RUNS):
            start = time.perf_counter()
            model.encode_batch(image)
            runs_ms.append(1000 * (time.perf_counter() - start))
        measured_ms[precision] = round(min(runs_ms), 2)
    return measured_ms


def _has_dot_product() -> bool:
    """True if the CPU has such instructions; False where its flags cannot be read, as on Windows."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return not _DOT_PRODUCT_FLAGS.isdisjoint(cpuinfo().split())


def _cache_key(manifest: Manifest, int8: Manifest) -> str:
    """Digest of what a measurement depends on."""
    from cxreport.model.session import runtime_version

    facts = (processor(), os.cpu_count(), runtime_version(), manifest.sha256, int8.sha256)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _cache_file() -> Path | None:
    """File of the measurements; None where the user has no home, as in containers: each run then measures anew."""
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "cxreport" / "encoder_ms.json"


def _read_cache() -> dict[str, _EncoderMs]:
    """Earlier measurements; a missing or damaged file counts as none."""
    path = _cache_file()
    if path is None:
        return {}
    try:
        if not path.is_file() or path.stat().st_size > _MAX_CACHE_BYTES:  # a FIFO would be waited for
            return {}
        return {
            str(key): {p: float(measured_ms[p]) for p in (Precision.FLOAT32, Precision.INT8)}
            for key, measured_ms in json.loads(path.read_text()).items()
            if isinstance(measured_ms, dict)
        }
    except (OSError, ValueError, OverflowError, RecursionError, AttributeError, KeyError, TypeError):
        return {}


def _write_cache(measurements: dict[str, _EncoderMs]) -> None:
    """Keep measurements; where that is not possible they are made again."""
    path = _cache_file()
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with PartialFile(path, f".{os.getpid()}") as file:  # several processes may have measured
            file.write_text(json.dumps(measurements))
    except OSError as error:
        log.debug("the measurement is not kept", exc_info=error)
