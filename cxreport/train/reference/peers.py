"""Programs that people would otherwise run, for `cxreport bench --peers`: files in, tags or a report out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from cxreport.train.reference.transformer import ReportTransformer
from cxreport.types import Pixels

__all__ = ["Peer", "peers"]


@dataclass(frozen=True)
class Peer:
    """Program that takes one file at a time."""

    name: str
    versions: dict[str, str]
    writes_report: bool
    """False for one that stops at tags."""
    run: Callable[[Path], object]
    """Reads a file and computes what it says."""


def peers(threads: int, read: Callable[[Path], Pixels]) -> list[Peer]:
    """The peers, with random weights, which their times do not depend on.

    Args:
        threads: CPU threads that PyTorch takes.
        read: every pixel of a file, (h, w) uint8, for peers that read no DICOM.
    """
    torch.set_num_threads(threads)
    return [_torchxrayvision(), _transformer(read)]


def _torchxrayvision() -> Peer:
    """DenseNet-121 of torchxrayvision (Cohen et al. 2022), with its own reader, centre crop and 224 pixels."""
    import torchxrayvision as xrv

    model = xrv.models.DenseNet(num_classes=18, op_threshs=None).eval()
    crop, resize = xrv.datasets.XRayCenterCrop(), xrv.datasets.XRayResizer(224)

    @torch.inference_mode()
    def run(path: Path) -> torch.Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = resize(crop(xrv.utils.load_image(str(path))))
            tags: torch.Tensor = model(torch.from_numpy(image)[None])
        return tags

    return Peer("torchxrayvision, DenseNet-121", _versions("torchxrayvision", "torch"), writes_report=False, run=run)


def _transformer(read: Callable[[Path], Pixels]) -> Peer:
    model = ReportTransformer()

    def run(path: Path) -> list[int]:
        return model.write(torch.from_numpy(read(path).copy()).float() / 255)

    return Peer("transformer of R2Gen's shape", _versions("torch", "torchvision"), writes_report=True, run=run)


def _versions(*packages: str) -> dict[str, str]:
    return {package: version(package) for package in packages}
