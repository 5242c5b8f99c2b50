"""Environment of a benchmark: machine, versions and model."""

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
    """CPUs that this process may use."""
    machine_cpus: int
    python: str
    versions: dict[str, str]
    """Versions of the packages that are installed."""
    provider: str
    """Device of the networks: ``cpu`` or ``cuda``."""
    precision: str
    encoder_threads: int
    bundle: str


def describe(model: Model) -> Environment:
    """Describe the environment of a loaded model."""
    manifest = model.manifest
    return Environment(
        system=platform.platform(),
        processor=processor(),
        cpus=usable_cpus(),
        machine_cpus=os.cpu_count() or 1,
        python=platform.python_version(),
        versions={"cxreport": __version__} | {name: number for name in _PACKAGES if (number := _version(name))},
        provider=model.device,
        precision=manifest.precision,
        encoder_threads=encoder_threads(),
        bundle=f"{manifest.name} {manifest.version} {manifest.sha256[:12]}",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
