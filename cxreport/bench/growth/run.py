"""Run of the measurements of growth, one axis after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cxreport.bench.growth.cores import measure_cores
from cxreport.bench.growth.entries import measure_entries
from cxreport.bench.growth.folders import measure_folders
from cxreport.bench.growth.images import measure_images
from cxreport.bench.growth.points import Growth
from cxreport.bench.growth.reports import measure_reports
from cxreport.bench.workload import Files
from cxreport.model.session import Model

_MEGAPIXELS = (0.02, 0.1, 1.0, 5.0, 20.0, 100.0)
_CORE_STUDIES = 40
_FILES_OF_A_MEGAPIXEL, _ENTRIES_OF_A_FILE = 1000, 10


@dataclass(frozen=True)
class GrowthSizes:
    """Largest sizes that growth is measured to."""

    files: int = 10_000

    @property
    def counts(self) -> list[int]:
        """Files of a folder: 10, 100 and so on."""
        return _decades(10, self.files)

    @property
    def megapixels(self) -> list[float]:
        """Sizes of an image, up to a megapixel for a thousand files."""
        return [size for size in _MEGAPIXELS if size <= max(_MEGAPIXELS[0], self.files / _FILES_OF_A_MEGAPIXEL)]

    @property
    def entries(self) -> list[int]:
        """Entries of an index, up to ten for a file."""
        return _decades(min(1000, _ENTRIES_OF_A_FILE * self.files), _ENTRIES_OF_A_FILE * self.files)


def measure_growth(
    model: Model, studies: Sequence[Files], arguments: Sequence[str], sizes: GrowthSizes, repeats: int
) -> tuple[Growth, ...]:
    """Measure how cost grows with files, CPUs, pixels, entries of an index and sentences.

    Args:
        model: a loaded bundle.
        studies: the files of each; some are drafted on one CPU and on more.
        arguments: options of `cxreport generate` that make it use the same bundle in the same way.
        sizes: how far to go.
        repeats: of every measurement within a process; processes run once.
    """
    files = [paths[0] for paths in studies[:_CORE_STUDIES]]

    def axes() -> Iterator[Growth | None]:
        yield measure_folders(sizes.counts, arguments)
        yield measure_cores(files, arguments)
        yield measure_images(model, sizes.megapixels, repeats)
        yield measure_entries(model.manifest, sizes.entries, repeats)
        yield measure_reports(model, repeats)

    return tuple(growth for growth in axes() if growth is not None)


def _decades(first: int, last: int) -> list[int]:
    """Numbers from the first to the last, each ten times the one before; the last at any rate."""
    numbers = [first]
    while numbers[-1] * 10 <= last:
        numbers.append(numbers[-1] * 10)
    return numbers if numbers[-1] >= last else [*numbers, last]
