"""Growth with the entries of an index: the time of an exact search, and its memory."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from cxreport.bench.growth.points import Growth, GrowthPoint
from cxreport.bench.processes import in_fresh_process, own_peak
from cxreport.model.manifest import Manifest
from cxreport.retrieval.index import Index
from cxreport.retrieval.index_file import Entry, IndexFile, IndexWriter
from cxreport.types import Floats

_WIDTH = 512
"""Numbers of an embedding, as the bundle that ships has them."""
_BLOCK = 10_000
_NEIGHBOURS = 5


def measure_entries(manifest: Manifest, counts: Iterable[int], repeats: int) -> Growth:
    """Measure indexes of random unit vectors, which an exact search takes as long for as for any others."""
    points = []
    for count in counts:
        with TemporaryDirectory(prefix="cxreport-bench-") as folder:
            path = Path(folder) / "index"
            write_index(path, manifest, count)
            first, following, peak = in_fresh_process(_search, (str(path), repeats))
        figures = {"first search, ms": first, "each further one, ms": following}
        points.append(GrowthPoint(count, figures | ({"process, MB": peak} if peak else {})))
    return Growth("entries of an index", tuple(points))


def write_index(path: Path, manifest: Manifest, count: int) -> None:
    """Write an index of random embeddings."""
    random = np.random.default_rng(0)
    with IndexWriter(path, manifest) as writer:
        for start in range(0, count, _BLOCK):
            for number, embedding in enumerate(_unit_vectors(random, min(_BLOCK, count - start)), start):
                writer.add(Entry("report", str(number), f"{number}.txt", embedding, findings="The lungs are clear."))


def _search(task: tuple[str, int]) -> tuple[float, float, float]:
    """Milliseconds of opening an index and searching it, and of searching it again; peak memory in MB."""
    path, repeats = task
    queries = _unit_vectors(np.random.default_rng(1), 1 + repeats)
    times = [time.perf_counter()]
    index = Index(IndexFile(Path(path)))
    for query in queries:
        index.search(query, _NEIGHBOURS)
        times.append(time.perf_counter())
    index.file.close()
    first, *following = 1000 * np.diff(times)
    return float(first), float(median(following)), own_peak()


def _unit_vectors(random: np.random.Generator, count: int) -> Floats:
    vectors = random.standard_normal((count, _WIDTH), np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
