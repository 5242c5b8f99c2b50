"""Work that is timed: reading and drafting as `cxreport generate` does."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path

from cxreport.drafting.pipeline import GenerateOptions, generate
from cxreport.model.manifest import Manifest
from cxreport.model.session import Model
from cxreport.reading.ahead import read_ahead
from cxreport.reading.study import ReadOptions
from cxreport.types import Failure, Outcome, Pixels, Study

Files = list[Path]
"""Files of one study, or of several."""


def read(
    manifest: Manifest, files: Iterable[Path], workers: int = 0, every_pixel: bool = False
) -> Generator[Study | Failure, None, None]:
    """Read studies to their network inputs.

    Args:
        manifest: what the network takes.
        files: of the studies.
        workers: processes that read.
        every_pixel: decode images in full, though the network takes fewer pixels.
    """
    shape = manifest.input_shape
    options = ReadOptions().fitting(shape, every_pixel)
    return read_ahead(files, options, shape, workers)


def network_inputs(manifest: Manifest, files: Iterable[Path], every_pixel: bool = False) -> list[Pixels]:
    """Read the network inputs of all studies, without those that cannot be read."""
    with closing(read(manifest, files, every_pixel=every_pixel)) as studies:
        return [study.view.pixels for study in studies if isinstance(study, Study) and study.view is not None]


def draft(
    model: Model, files: Iterable[Path], batch_size: int, workers: int, tags_only: bool = False
) -> Generator[Outcome, None, None]:
    """Read and draft, or stop at tags; drawings too, though they are unlike a chest radiograph."""
    with closing(read(model.manifest, files, workers)) as studies:
        yield from generate(model, studies, GenerateOptions(batch_size=batch_size, force=True, tags_only=tags_only))
