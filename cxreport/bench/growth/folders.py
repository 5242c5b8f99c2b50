"""Growth with the files of a folder: the time to list them, the time to the first record, and memory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from cxreport.bench.growth.points import Growth, GrowthPoint
from cxreport.bench.processes import in_fresh_process, measure_first_record, own_peak
from cxreport.bench.studies import Size, write_studies
from cxreport.model.choices import FileEncoding
from cxreport.reading.discover import group_files

FOLDERS = "files in a folder"
FIRST_RECORD, MAIN_PROCESS = "first record, s", "main process, MB"
_SIZE = Size(160, 128)
_NAMES_OF_A_FILE = 1000
"""Names that one file gets; NTFS has a limit of 1,024, ext4 of 65,000."""


def measure_folders(counts: Iterable[int], arguments: Sequence[str]) -> Growth:
    """Measure folders of tiny PNGs.

    Args:
        counts: of the files.
        arguments: options of `cxreport generate`.
    """
    points = []
    for count in counts:
        with TemporaryDirectory(prefix="cxreport-bench-") as folder:
            fill(Path(folder), count)
            listing_s, listing_mb = in_fresh_process(_list, folder)
            first = measure_first_record(Path(folder), arguments)
        figures = {"listing, s": listing_s, FIRST_RECORD: first.seconds}
        memory = {"listing, MB": listing_mb, MAIN_PROCESS: first.main}
        points.append(GrowthPoint(count, figures | {name: value for name, value in memory.items() if value}))
    return Growth(FOLDERS, tuple(points))


def fill(folder: Path, count: int) -> None:
    """Fill a folder with PNGs, which are a few files under many names."""
    write_studies(folder, 1, _SIZE, {FileEncoding.PNG: 1.0})
    (source,) = folder.iterdir()
    content = source.read_bytes()
    for number in range(1, count):
        path = folder / f"{number:06d}.png"
        if number % _NAMES_OF_A_FILE:
            os.link(source, path)
        else:
            path.write_bytes(content)
            source = path


def _list(folder: str) -> tuple[float, float]:
    """Seconds that finding and opening all files takes, and the peak memory of this process in MB."""
    start = time.perf_counter()
    group_files([Path(folder)], "study")
    return time.perf_counter() - start, own_peak()
