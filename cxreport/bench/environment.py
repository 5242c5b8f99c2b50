"""What a benchmark ran on and with."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from cxreport import __version__
from cxreport.model.cpus import encoder_threads, processor, usable_cpus
from cxreport.model.session import Model

_PACKAGES = (
    *("onnxruntime", "onnxruntime-gpu", "torch", "numpy", "pillow", "pydicom"),
    *("pylibjpeg-openjpeg", "pylibjpeg-rle", "pyjpegls"),
)


@dataclass(frozen=True)
class Environment:
    """Machine, versions and model."""

    system: str
    processor: str
    cpus: int
    """That this process may use."""
    machine_cpus: int
    python: str
    versions: dict[str, str]
    """Of the packages that are installed."""
    provider: str
    """What runs the networks: ``cpu`` or ``cuda``."""
    precision: str
    encoder_threads: int
    bundle: str


def describe(model: Model) -> Environment:
    """Describe what a loaded model runs on."""
    manifest = model.manifest
    return Environment(
        platform.platform(),
        processor(),
        usable_cpus(),
        os.cpu_count() or 1,
        platform.python_version(),
        {"cxreport": __version__} | {name: found for name in _PACKAGES if (found := _version(name))},
        model.device,
        manifest.precision,
        encoder_threads(),
        f"{manifest.name} {manifest.version} {manifest.sha256[:12]}",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
