"""Precision: loads a bundle in the one of its precisions that suits the machine.

A float bundle may hold an int8 bundle made from it, in a folder of that name. On CPUs it is taken where the processor
multiplies 8-bit integers fast and without saturating sums (VNNI, AMX, Arm's dot product). What the CPU is decides, not
a stopwatch, so that the same machine writes the same reports on every run. `cxreport bench` tells where int8 is slower
all the same. On GPUs the float bundle runs, its encoder in half precision where the bundle has a graph for that.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxreport.errors import BundleError, DeviceError, UsageError
from cxreport.model.bundle import find_bundle, is_bundle, load_manifest
from cxreport.model.choices import Device, Precision
from cxreport.model.cpus import cpuinfo
from cxreport.model.manifest import HALF_ENCODER, Manifest

if TYPE_CHECKING:
    from cxreport.model.session import Model

__all__ = ["PrecisionFacts", "load_model", "precision_facts"]

_DOT_PRODUCT_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}
_INT8_FOLDER = Precision.INT8.row.folder


@dataclass(frozen=True)
class PrecisionFacts:
    """Precisions of a bundle, and what decides between them on this machine's CPU."""

    available: tuple[Precision, ...]
    dot_product: bool
    """True if the CPU is known to multiply 8-bit integers right and fast."""
    int8_sha256: str | None = None
    """Digest of the int8 bundle, which records of its reports have."""

    @property
    def on_cpu(self) -> Precision:
        """Precision that ``auto`` takes on the CPU."""
        if not {Precision.FLOAT32, Precision.INT8} <= set(self.available):
            return self.available[0]
        return Precision.INT8 if self.dot_product else Precision.FLOAT32


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

    def load(variant: Path, its_manifest: Manifest, half: bool = False) -> Model:
        return Model.load(variant, device, threads, half, side_by_side, its_manifest)

    if precision is not Precision.AUTO:
        return load(*_variant(folder, manifest, precision))
    if device is not Device.CPU and has_cuda():
        model = load(*_variant(folder, manifest, Precision.FLOAT32), half=True)
        if model.device is not Device.CPU:
            return model
    return load(*_cpu_variant(folder, manifest))


def precision_facts(folder: Path, manifest: Manifest) -> PrecisionFacts:
    """Look up what is known of a bundle's precisions here; loads no model."""
    return _facts(manifest, _int8_manifest(folder, manifest))


def _facts(manifest: Manifest, int8: Manifest | None) -> PrecisionFacts:
    half = (Precision.FLOAT16,) if HALF_ENCODER in manifest.graphs else ()
    if int8 is None:
        return PrecisionFacts((manifest.precision, *half), _has_dot_product())
    return PrecisionFacts((Precision.FLOAT32, Precision.INT8, *half), _has_dot_product(), int8.sha256)


def _load_half(folder: Path, manifest: Manifest, device: Device) -> Model:
    """Load a bundle on the GPU with its encoder in half precision."""
    from cxreport.model.session import Model

    if device is Device.CPU:
        raise UsageError("The precision float16 is for GPUs.", hint="Leave --precision or --device out.")
    if HALF_ENCODER not in manifest.graphs:
        raise BundleError(f"{folder}: the bundle has no float16 precision.", hint="Run `cxreport export` again.")
    try:
        model = Model.load(folder, Device.CUDA, half=True, manifest=manifest)
    except DeviceError as error:
        raise DeviceError(error.message, hint=f"{error.hint} Without a GPU, leave --precision out too.") from error
    if model.manifest.precision is not Precision.FLOAT16:
        raise BundleError("This onnxruntime cannot load a float16 bundle.", hint="Install a newer onnxruntime-gpu.")
    return model


def _variant(folder: Path, manifest: Manifest, precision: Precision) -> tuple[Path, Manifest]:
    """Folder and manifest of the bundle in a precision."""
    if manifest.precision is precision:
        return folder, manifest
    if precision is Precision.INT8 and (int8 := _int8_manifest(folder, manifest)) is not None:
        return folder / _INT8_FOLDER, int8
    remedy = "Make one with `cxreport export --int8`"
    if precision is Precision.FLOAT32:
        remedy = "Name the folder that holds the int8 bundle"
    raise BundleError(
        f"{folder}: the bundle has no {precision} precision.", hint=f"{remedy}, or leave --precision out."
    )


def _cpu_variant(folder: Path, manifest: Manifest) -> tuple[Path, Manifest]:
    """Folder and manifest of the bundle that suits the CPU."""
    int8 = _int8_manifest(folder, manifest)
    if int8 is None or _facts(manifest, int8).on_cpu is not Precision.INT8:
        return folder, manifest
    return folder / _INT8_FOLDER, int8


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


def _has_dot_product() -> bool:
    """True if the CPU has such instructions; False where its flags cannot be read, as on Windows."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return not _DOT_PRODUCT_FLAGS.isdisjoint(cpuinfo().split())
