"""Drafting over Ray Data: the pipeline in actors on the nodes of a cluster, with a row per record.

It needs the extra 'ray', and pays across machines: on one, `cxreport generate` does the same with less. Whatever is
imported here is imported on use.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cxreport.errors import MissingExtraError, NothingReadableError, UsageError

if TYPE_CHECKING:
    from cxreport.drafting.pipeline import GenerateOptions
    from cxreport.reading.grouping import StudyFiles
    from cxreport.reading.options import ReadOptions

__all__ = ["Drafter", "draft"]

_RESTARTS = 2
"""Times that an actor, and a batch, are tried again; Ray's own default for data is for ever."""


def draft(
    paths: Iterable[str | os.PathLike[str]],
    *,
    precision: str,
    actors: int = 2,
    cpus: float = 1,
    gpus: float = 0,
    bundle: str | None = None,
    studies_per_batch: int = 64,
    reading: ReadOptions | None = None,
    drafting: GenerateOptions | None = None,
) -> Any:
    """Draft the reports of studies on a Ray cluster, each actor with a model and a process that reads files.

    The files have to be at the same paths on all nodes, and cxreport has to be installed there. They are found, and
    their headers read up to the Study Instance UID, where this is called; that alone uses the secret of the ids.

    Args:
        paths: files, and folders to search.
        precision: ``float32``, ``int8`` or ``float16``. It has no default, and ``auto`` is refused: it would be chosen
            anew on each node.
        actors: their number.
        cpus: CPUs of each, which are its threads too.
        gpus: GPUs of each; 0 runs on the CPU.
        bundle: its folder, on all nodes; None for the shipped one.
        studies_per_batch: studies that an actor takes at a time, and loses when its node is lost.
        reading: options of reading.
        drafting: options of drafting, without an index.

    Returns:
        A `ray.data.Dataset` that is computed when it is used. A row has ``place``, the number of its study from 0;
        ``number``, 0 but for failures of single files that follow their study; ``failed``; and ``record``, the record
        as JSON text, that of a failure too. `Dataset.sort` by place and number puts rows in the order of a local run.

    Raises:
        MissingExtraError: Ray is not installed.
        NothingReadableError: there is no study.
        UsageError: an option that means nothing.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("cxreport.ray", "ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray starts: it would report to its makers
    import ray.data

    from cxreport.drafting.pipeline import GenerateOptions
    from cxreport.reading.options import DEFAULTS

    settings = drafting or GenerateOptions()
    if precision == "auto":
        raise UsageError("precision='auto' differs between nodes.", hint="Name float32, int8 or float16.")
    if settings.index is not None:
        raise UsageError("An index of reports does not go to other nodes.", hint="Leave GenerateOptions.index out.")
    if actors < 1 or studies_per_batch < 1:
        raise UsageError("actors and studies_per_batch are 1 or more.")
    reading = reading or DEFAULTS
    studies = _found(paths, bundle, reading)
    if not studies:
        raise NothingReadableError("No study among the inputs.")
    rows = [{"place": place, "study": pickle.dumps(study)} for place, study in enumerate(studies)]
    blocks = max(actors, -(-len(rows) // studies_per_batch))
    return ray.data.from_items(rows, override_num_blocks=min(blocks, len(rows))).map_batches(
        Drafter,
        fn_constructor_args=(bundle, precision, "cuda" if gpus else "cpu", max(1, int(cpus)), reading, settings),
        batch_size=studies_per_batch,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=cpus,
        num_gpus=gpus,
        max_restarts=_RESTARTS,
        max_task_retries=_RESTARTS,
    )


class Drafter:
    """The pipeline in an actor: rows of studies to rows of records.

    Files are read in a process of its own, so that a file that ends it is a failure, and no end of the actor.

    Args:
        bundle: folder of the bundle; None for the shipped one.
        precision: of its networks.
        device: ``cpu`` or ``cuda``.
        threads: of the networks on the CPU.
        reading: options of reading.
        drafting: options of drafting.
    """

    def __init__(
        self,
        bundle: str | None,
        precision: str,
        device: str,
        threads: int,
        reading: ReadOptions,
        drafting: GenerateOptions,
    ) -> None:
        from cxreport.model.precision import load_model
        from cxreport.reading.processes.limits import DEFAULT_TIMEOUT, reader_limits
        from cxreport.reading.processes.workers import Processes

        self._model = load_model(bundle, precision=precision, device=device, threads=threads, side_by_side=True)
        self._reading = reading.fitting(self._model.manifest.input_shape)
        self._drafting = drafting
        self._processes = Processes(reader_limits(DEFAULT_TIMEOUT, reading.max_megapixels))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Draft a batch.

        Args:
            batch: ``place`` and ``study`` of each study, as `draft` makes them.

        Returns:
            ``place``, ``number``, ``failed`` and ``record`` of each outcome.
        """
        from cxreport.drafting.pipeline import generate
        from cxreport.output.record import to_record
        from cxreport.reading.ahead import read_found
        from cxreport.text.json_lines import json_text
        from cxreport.types import Failure

        rows: dict[str, list[Any]] = {"place": [], "number": [], "failed": [], "record": []}
        studies: list[StudyFiles] = [pickle.loads(study) for study in batch["study"]]
        numbered = zip(studies, map(int, batch["place"]), strict=True)
        places = {path: place for study, place in numbered for path in study.paths}
        found = read_found(studies, self._reading, self._model.manifest.input_shape, 1, self._processes)
        for outcome in generate(self._model, found, self._drafting):
            failed = isinstance(outcome, Failure)
            place = places[(outcome.sources if isinstance(outcome, Failure) else outcome.study.sources)[0]]
            rows["number"].append(rows["place"].count(place))
            rows["place"].append(place)
            rows["failed"].append(failed)
            rows["record"].append(json_text(to_record(outcome, self._model.manifest)))
        return rows

    def close(self) -> None:
        """End the process that reads; it ends with the actor in any case."""
        self._processes.end()


def _found(paths: Iterable[str | os.PathLike[str]], bundle: str | None, reading: ReadOptions) -> list[StudyFiles]:
    """Studies of files, found in processes of their own; nothing of them is decoded."""
    from pathlib import Path

    from cxreport.model.bundle import find_bundle, load_manifest
    from cxreport.reading.ahead import read_ahead

    studies: list[StudyFiles] = []

    def none_of(found: Iterable[StudyFiles]) -> list[StudyFiles]:
        studies.extend(found)
        return []

    shape = load_manifest(find_bundle(bundle)).input_shape
    list(read_ahead(map(Path, paths), reading, shape, select=none_of))
    return studies
