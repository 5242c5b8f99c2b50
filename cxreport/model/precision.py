"""Loading: which of a bundle's precisions runs here.

A float bundle may hold an int8 bundle made from it, in a folder of that name. On CPUs it is taken where it is right
and faster: right where the processor multiplies 8-bit integers without saturating sums (VNNI, AMX, Arm's dot product),
faster by a measurement of both encoders that is made once per machine and bundle, and kept in the user's cache folder.
On GPUs the float bundle runs, its encoder in half precision where the bundle has a graph for that.
"""

from __future__ import annotations

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
from cxreport.model.bundle import is_bundle, load_manifest
from cxreport.model.choices import Device, Precision
from cxreport.model.cpus import cpuinfo, processor
from cxreport.model.manifest import HALF_ENCODER, Manifest

if TYPE_CHECKING:
    from cxreport.model.session import Model

__all__ = ["PrecisionFacts", "load_model", "precision_facts"]

log = logging.getLogger(__name__)

_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
_WORTH_IT = 0.8
"""Share of the float encoder's time that the int8 encoder may take to be chosen."""
_RUNS = 5


@dataclass(frozen=True)
class PrecisionFacts:
    """What there is to choose from, and how the choice goes on this machine's CPU."""

    available: tuple[Precision, ...]
    """Precisions of the bundle."""
    dot_product: bool
    """Whether the CPU is known to multiply 8-bit integers right and fast."""
    measured_ms: dict[Precision, float] | None
    """Milliseconds per image by precision; None before the first measurement."""
    int8_sha256: str | None = None
    """Digest of the int8 bundle, which records of its reports have."""

    @property
    def chosen(self) -> Precision | None:
        """What ``auto`` takes on the CPU; None when that is to be measured first."""
        if not {Precision.FLOAT32, Precision.INT8} <= set(self.available):
            return self.available[0]
        if not self.dot_product:
            return Precision.FLOAT32
        return None if self.measured_ms is None else _faster(self.measured_ms)


def load_model(
    folder: Path,
    device: Device | str = Device.AUTO,
    precision: Precision | str = Precision.AUTO,
    threads: int | None = None,
    side_by_side: bool = False,
) -> Model:
    """Load a bundle in the precision that suits the machine.

    Args:
        folder: of a bundle.
        device: as `Model.load` takes it.
        precision: ``auto``, or the one to take; float16 needs a GPU.
        threads: as `Model.load` takes them.
        side_by_side: likewise; for many images.

    Raises:
        UsageError: float16 on the CPU.
        BundleError: unusable, or without the precision asked for.
        DeviceError: CUDA was asked for and does not work.
    """
    from cxreport.model.session import Model, has_cuda

    device, precision, manifest = Device(device), Precision(precision), load_manifest(folder)
    if precision == Precision.FLOAT16:
        return _load_half(folder, manifest, device)
    if precision == Precision.FLOAT32 or (precision == Precision.AUTO and device != Device.CPU and has_cuda()):
        model = Model.load(
            _variant(folder, manifest, Precision.FLOAT32), device, threads, precision == Precision.AUTO, side_by_side
        )
        if precision == Precision.FLOAT32 or model.device != Device.CPU:
            return model
    if precision == Precision.AUTO:
        int8 = _int8_of(folder, manifest)
        chosen = _facts(manifest, int8).chosen
        if chosen is None and int8 is not None:
            chosen = _measured(folder, manifest, int8, threads)
        variant = folder / Precision.INT8.row.folder if int8 is not None and chosen == Precision.INT8 else folder
    else:
        variant = _variant(folder, manifest, precision)
    return Model.load(variant, device, threads, side_by_side=side_by_side)


def precision_facts(folder: Path, manifest: Manifest) -> PrecisionFacts:
    """Look up what is known of a bundle's precisions here; loads no model and measures nothing."""
    return _facts(manifest, _int8_of(folder, manifest))


def _facts(manifest: Manifest, int8: Manifest | None) -> PrecisionFacts:
    half = (Precision.FLOAT16,) if HALF_ENCODER in manifest.graphs else ()
    if int8 is None:
        return PrecisionFacts((manifest.precision, *half), _has_dot_product(), None)
    measured = _read_cache().get(_key(manifest, int8))
    return PrecisionFacts((Precision.FLOAT32, Precision.INT8, *half), _has_dot_product(), measured, int8.sha256)


def _load_half(folder: Path, manifest: Manifest, device: Device) -> Model:
    """Load a bundle on the GPU with its encoder in half precision."""
    from cxreport.model.session import Model

    if device == Device.CPU:
        raise UsageError("The precision float16 is for GPUs.", hint="Leave --precision or --device out.")
    if HALF_ENCODER not in manifest.graphs:
        raise BundleError(f"{folder}: the bundle has no float16 precision.", hint="Run `cxreport export` again.")
    try:
        model = Model.load(folder, "cuda", half=True)
    except DeviceError as error:
        raise DeviceError(error.message, hint=f"{error.hint} Without a GPU, leave --precision out too.") from error
    if model.manifest.precision != Precision.FLOAT16:
        raise BundleError("This onnxruntime cannot load a float16 bundle.", hint="Install a newer onnxruntime-gpu.")
    return model


def _variant(folder: Path, manifest: Manifest, precision: str) -> Path:
    """Folder of the bundle in a precision."""
    if manifest.precision == precision:
        return folder
    if precision == Precision.INT8 and _int8_of(folder, manifest) is not None:
        return folder / Precision.INT8.row.folder
    make = "Make one with `cxreport export --int8`"
    if precision == Precision.FLOAT32:
        make = "Name the folder that holds the int8 bundle"
    raise BundleError(f"{folder}: the bundle has no {precision} precision.", hint=f"{make}, or leave --precision out.")


def _int8_of(folder: Path, manifest: Manifest) -> Manifest | None:
    """The int8 bundle that a float bundle holds; None where it holds none.

    Raises:
        BundleError: it is unusable, or made from another float bundle.
    """
    inner = folder / Precision.INT8.row.folder
    if not is_bundle(inner):
        return None
    int8 = load_manifest(inner)
    if int8.quantised_from != manifest.sha256:
        raise BundleError(f"{inner}: made from another bundle.", hint="Run `cxreport export --int8` again.")
    return int8


def _faster(measured_ms: dict[Precision, float]) -> Precision:
    """Which precision a measurement speaks for."""
    int8_pays = measured_ms[Precision.INT8] <= _WORTH_IT * measured_ms[Precision.FLOAT32]
    return Precision.INT8 if int8_pays else Precision.FLOAT32


def _measured(folder: Path, manifest: Manifest, int8: Manifest, threads: int | None) -> Precision:
    """Time both encoders, keep the result, and say which to take."""
    import numpy as np

    from cxreport.model.session import Model

    image = np.zeros((1, manifest.channels, manifest.image_size, manifest.image_size), np.uint8)
    found = {}
    for precision, variant in ((Precision.FLOAT32, folder), (Precision.INT8, folder / Precision.INT8.row.folder)):
        model, spent = Model.load(variant, "cpu", threads), []
        for _ in range(_RUNS):
            start = time.perf_counter()
            model.encode_batch(image)
            spent.append(1000 * (time.perf_counter() - start))
        found[precision] = round(min(spent), 2)
    _write_cache({**_read_cache(), _key(manifest, int8): found})
    return _faster(found)


def _has_dot_product() -> bool:
    """Whether the CPU is known to have such instructions; where nobody tells, as on Windows, it is not."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return bool(set(cpuinfo().split()) & _FLAGS)


def _key(manifest: Manifest, int8: Manifest) -> str:
    """What a measurement depends on."""
    from cxreport.model.session import runtime_version

    facts = (processor(), os.cpu_count(), runtime_version(), manifest.sha256, int8.sha256)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _cache_file() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cxreport" / "encoder_ms.json"


def _read_cache() -> dict[str, dict[Precision, float]]:
    """Earlier measurements; a missing or damaged file counts as none."""
    try:
        raw = json.loads(_cache_file().read_text())
        return {
            str(key): {p: float(found[p]) for p in (Precision.FLOAT32, Precision.INT8)}
            for key, found in raw.items()
            if isinstance(found, dict)
        }
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return {}


def _write_cache(found: dict[str, dict[Precision, float]]) -> None:
    """Keep measurements; where that is not possible they are made again."""
    path = _cache_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with PartialFile(path, f".{os.getpid()}") as file:  # several processes may have measured
            file.write_text(json.dumps(found))
    except OSError as error:
        log.debug("the measurement is not kept", exc_info=error)
