"""Training images to calibrate an int8 bundle on, and inputs of its graphs as ONNX Runtime's calibration reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader

from cxreport.model.manifest import Manifest
from cxreport.reading.network_input import network_input
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Pixels, Study

CALIBRATED = 128
"""Images that the scales are found on; as many others are compared."""
_READ = 8
_SEED = 5


def calibration_images(folder: Path, manifest: Manifest) -> list[Pixels]:
    """Read the images to calibrate on, drawn from a folder.

    Args:
        folder: of radiographs; where it has a ``train_list.txt``, as NIH ChestX-ray14, only the files that it names.
        manifest: of the bundle.

    Returns:
        (S, S) or (S, S, 3) network inputs, twice `CALIBRATED` at most; unreadable files are passed over.
    """
    listing = folder / "train_list.txt"
    listed = set(listing.read_text().split()) if listing.exists() else None
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and (listed is None or path.name in listed))
    shuffled = [paths[i] for i in np.random.default_rng(_SEED).permutation(len(paths))]
    shape = manifest.input_shape
    options = ReadOptions().fitting(shape, every_pixel=True)
    images: list[Pixels] = []
    for i in range(0, len(shuffled), _READ):
        for study in read_studies(shuffled[i : i + _READ], options):
            if isinstance(study, Study) and study.view is not None:
                images.append(network_input(study.view.pixels, shape.size, shape.channels))
        if len(images) >= 2 * CALIBRATED:
            break
    return images[: 2 * CALIBRATED]


class Feeds(CalibrationDataReader):  # type: ignore[misc]
    """Inputs of a graph, one after the other."""

    def __init__(self, feeds: Sequence[dict[str, NDArray[Any]]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Inputs of the next run of the graph; None at the end."""
        return next(self._feeds, None)
