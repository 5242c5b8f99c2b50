"""Growth with the size of an image: the time of one study from its file to the report, and the reader's memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from cxreport.bench.growth.points import Growth, GrowthPoint
from cxreport.bench.processes import in_fresh_process, own_peak
from cxreport.bench.spread import measure
from cxreport.bench.studies import Size, write_studies
from cxreport.bench.workload import draft
from cxreport.errors import NothingReadableError
from cxreport.model.choices import FileEncoding
from cxreport.model.session import Model
from cxreport.reading.ahead import read_ahead
from cxreport.reading.options import ReadOptions
from cxreport.types import Failure, InputShape

_ENCODINGS = (FileEncoding.RAW, FileEncoding.PNG)


def measure_images(model: Model, megapixels: Iterable[float], repeats: int) -> Growth:
    """Measure one study at a time, warm, in this process; memory in one that does nothing but read it.

    Raises:
        NothingReadableError: an image is not drafted.
    """
    points = []
    for size in megapixels:
        side = math.floor(math.sqrt(size * 1e6))
        figures: dict[str, float] = {}
        for encoding in _ENCODINGS:
            with TemporaryDirectory(prefix="cxreport-bench-") as folder:
                write_studies(Path(folder), 1, Size(side, side), {encoding: 1.0})
                (path,) = Path(folder).iterdir()
                times = measure(partial(_draft, model, path), repeats)
                peak = in_fresh_process(_read, (str(path), model.manifest.input_shape))
            figures[f"{encoding}, ms"] = times.wall_ms.median
            figures |= {f"reader, {encoding}, MB": peak} if peak else {}
        points.append(GrowthPoint(size, figures))
    return Growth("megapixels of an image", tuple(points))


def _draft(model: Model, path: Path) -> None:
    (outcome,) = draft(model, [path], 1, 0)
    if isinstance(outcome, Failure):
        raise NothingReadableError(f"The image is not drafted. {outcome.error.message}")


def _read(task: tuple[str, InputShape]) -> float:
    """Peak memory of this process in MB, once it has read a study."""
    path, shape = task
    list(read_ahead([Path(path)], ReadOptions().fitting(shape), shape, 0))
    return own_peak()
