"""`cxreport generate`: the reports of studies."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cxreport import DISCLAIMER, __version__
from cxreport.cli.errors import diagnostics, errors_handled, exits_with
from cxreport.cli.options import (
    Attention,
    Beam,
    Bundle,
    DeviceOption,
    Evidence,
    Example,
    FittingBatchSize,
    Force,
    FormatOption,
    FromTags,
    FullResolution,
    GroupBy,
    Grouping,
    JsonLines,
    MaxMegapixels,
    Neighbours,
    OperatingPointOption,
    Out,
    PartOption,
    Paths,
    Plain,
    PrecisionOption,
    Quiet,
    Resume,
    Retrieve,
    Salt,
    TagsOnly,
    Threshold,
    Timeout,
    Verbose,
    Workers,
    check_operating_point,
    chosen_formats,
    example_path,
    listed,
    require_format,
)
from cxreport.errors import ExitCode, UsageError
from cxreport.model.choices import Device, Precision
from cxreport.points import OperatingPoint
from cxreport.reading.processes.limits import DEFAULT_TIMEOUT, reader_limits

if TYPE_CHECKING:
    from cxreport.cli.progress import Progress
    from cxreport.drafting.pipeline import GenerateOptions
    from cxreport.model.manifest import Manifest
    from cxreport.model.session import Model
    from cxreport.output.formats import OutputFormat
    from cxreport.output.writers import Writer
    from cxreport.reading.grouping import StudiesFound, StudyFiles
    from cxreport.reading.marks import Marks
    from cxreport.reading.parts import Part
    from cxreport.reading.study import ReadOptions
    from cxreport.retrieval.index import Index

_FEW_FILES = 1000
"""Files that are all opened before the first study is read: the number of studies is known from the start."""


@exits_with(ExitCode.NOTHING_READABLE, ExitCode.BUNDLE, ExitCode.EXTRA_MISSING, ExitCode.SOME_FAILED)
def generate(
    paths: Paths = None,
    part: PartOption = None,
    example: Example = False,
    from_tags: FromTags = None,
    evidence: Evidence = None,
    group_by: Grouping = GroupBy.STUDY,
    max_megapixels: MaxMegapixels = 100.0,
    timeout: Timeout = DEFAULT_TIMEOUT,
    salt: Salt = None,
    force: Force = False,
    full_resolution: FullResolution = False,
    workers: Workers = None,
    format_: FormatOption = None,
    json_lines: JsonLines = False,
    out: Out = None,
    resume: Resume = False,
    tags_only: TagsOnly = False,
    plain: Plain = False,
    attention: Attention = False,
    retrieve: Retrieve = None,
    neighbours: Neighbours = 3,
    quiet: Quiet = False,
    verbose: Verbose = False,
    bundle: Bundle = None,
    threshold: Threshold = None,
    operating_point: OperatingPointOption = OperatingPoint.BALANCED,
    beam: Beam = 1,
    device: DeviceOption = Device.AUTO,
    precision: PrecisionOption = Precision.AUTO,
    batch_size: FittingBatchSize = None,
) -> None:
    """Draft the reports of chest X-ray studies. Research use only.

    Results go to stdout, everything else to stderr.
    """
    with errors_handled(verbose), diagnostics(quiet, verbose), contextlib.ExitStack() as stack:
        _check_inputs(paths, example, from_tags, evidence)
        check_operating_point(operating_point, threshold)
        formats = chosen_formats(format_, json_lines, out)
        if resume and not out:
            raise UsageError("--resume goes with --out.")
        if plain:
            require_format("--plain", formats, lambda row: row.shows_figures)
        if attention:
            _check_attention(formats, tags_only, from_tags)
        if retrieve:
            require_format("--retrieve", formats, lambda row: row.holds_similar)
        _check_texts(formats, tags_only, from_tags)
        inputs = [example_path()] if example else listed(paths or [])

        from cxreport.cli.output import claim_output, make_writer, write_all
        from cxreport.reading.parts import Part

        chosen = None if part is None else Part.parse(part)
        claim = stack.enter_context(claim_output(out, chosen))

        from cxreport.reading.processes.workers import Processes, modules_for

        processes = stack.enter_context(Processes(reader_limits(timeout, max_megapixels), modules_for(paths or [])))
        if workers != 0 and not from_tags:
            processes.start()  # it loads its libraries while this one loads the model
        if claim:
            from cxreport.output.destinations import require_no_input

            require_no_input(claim.target, [*(paths or []), *filter(None, (from_tags, retrieve))])

        from concurrent.futures import ThreadPoolExecutor

        from cxreport.cli.progress import Progress
        from cxreport.model.precision import load_model

        with Progress(visible=not quiet and sys.stderr.isatty()) as progress, ThreadPoolExecutor(1) as loader:
            side_by_side = _may_be_several(paths)
            loading = loader.submit(load_model, bundle, device=device, precision=precision, side_by_side=side_by_side)

            from cxreport.drafting import pipeline  # what reading and drafting need, while the model loads
            from cxreport.model.cpus import fitting_batch_size
            from cxreport.reading.ahead import read_ahead
            from cxreport.reading.options import ReadOptions

            model = loading.result()
            manifest = model.manifest
            reading = ReadOptions(
                force=force,
                group_by=group_by.value,
                max_megapixels=max_megapixels,
                salt=salt,
            ).fitting(manifest.input_shape, every_pixel=full_resolution)
            drafting = pipeline.GenerateOptions(
                batch_size=batch_size or fitting_batch_size(),
                beam=beam,
                tags_only=tags_only,
                threshold=threshold,
                point=operating_point,
                evidence=evidence,
                force=force,
                attention=attention or any(row.needs_attention for row in formats),
                index=_index(retrieve, manifest),
                neighbours=neighbours,
            )
            settings = _settings(model, formats, reading, drafting, retrieve) | {"plain": str(plain)}
            writer = make_writer(formats, manifest, out, claim, settings, resume, plain)
            marks = _marks(writer, chosen)
            if from_tags:
                from cxreport.reading.tag_table import read_tag_table

                studies = read_tag_table(from_tags, manifest.table_names(evidence))
                studies = marks.of_rows(studies) if marks else studies
            else:
                select = functools.partial(_selected, marks, writer, progress)
                studies = read_ahead(inputs, reading, manifest.input_shape, workers, select, processes)
                studies = marks.of_files(studies) if marks else studies
            with contextlib.closing(studies):
                reports = pipeline.generate(model, studies, drafting)
                if not quiet:
                    progress.say(DISCLAIMER)
                code = write_all(reports, writer, progress, quiet, marks.take if marks else None)
        raise typer.Exit(code)


def _check_inputs(paths: list[str] | None, example: bool, from_tags: Path | None, evidence: str | None) -> None:
    """Ask for one kind of input."""
    kinds = [bool(paths), example, from_tags is not None]
    if sum(kinds) == 0:
        raise UsageError("Nothing to read.", hint="Name files or folders, or try `cxreport generate --example`.")
    if sum(kinds) > 1:
        raise UsageError("PATHS, --example and --from-tags exclude one another.")
    if evidence is not None and from_tags is None:
        raise UsageError("--evidence goes with --from-tags.")


def _check_attention(formats: Sequence[OutputFormat], tags_only: bool, from_tags: Path | None) -> None:
    """Ask for a format that can hold maps, and for the image and the sentences that they tie together."""
    hint = "Add --json, or see the maps of one study with `cxreport explain`."
    require_format("--attention", formats, lambda row: row.holds_attention, hint)
    if tags_only or from_tags is not None:
        raise UsageError(f"--attention and {'--tags-only' if tags_only else '--from-tags'} exclude one another.")


def _check_texts(formats: Sequence[OutputFormat], tags_only: bool, from_tags: Path | None) -> None:
    """Ask for a report's text where documents need one, and for DICOM files where they go to a patient's record."""
    for row in formats:
        option = (
            "--tags-only" if tags_only and row.needs_text else "--from-tags" if from_tags and row.needs_header else ""
        )
        if option:
            needed = ", and DICOM files with the patient and the study" if row.needs_header else ""
            hint = f"It needs a report{needed}."
            raise UsageError(f"--format {row.name} and {option} exclude one another.", hint=hint)


def _index(path: Path | None, manifest: Manifest) -> Index | None:
    """Open the index that ``--retrieve`` names."""
    if path is None:
        return None
    from cxreport.retrieval.index import open_index

    return open_index(path, manifest)


def _marks(writer: Writer, part: Part | None) -> Marks | None:
    """Marks of the studies for a writer that a run can be resumed with, and for a part of a run; else None."""
    if not (writer.resumable or part):
        return None
    from cxreport.reading.marks import Marks

    return Marks(writer.is_done, part, writer.pass_by)


def _selected(marks: Marks | None, writer: Writer, progress: Progress, studies: StudiesFound) -> Iterator[StudyFiles]:
    """Studies that are to be read of those that are found; the progress learns how many there will be, or may be."""
    if marks or studies.left <= _FEW_FILES:
        selected = marks.undone(studies) if marks else list(studies)
        progress.expect(len(selected) + writer.kept)
        yield from selected
        return
    for number, files in enumerate(studies, 1):
        progress.expect(number + studies.left)
        yield files


def _settings(
    model: Model,
    formats: Sequence[OutputFormat],
    reading: ReadOptions,
    drafting: GenerateOptions,
    index: Path | None,
) -> dict[str, str]:
    """All that the results depend on besides the studies, by the names that users know."""
    from cxreport.reading.pseudonym import salt_digest

    status = index.stat() if index else None
    return {
        "version": __version__,
        "bundle": model.manifest.sha256,
        "precision": str(model.manifest.precision),
        "device": str(model.device),
        "format": " ".join(row.name for row in formats),
        "group-by": reading.group_by,
        "max-megapixels": str(reading.max_megapixels),
        "salt": salt_digest(reading.salt),
        "full-resolution": str(reading.side is None),
        "force": str(reading.force),
        "beam": str(drafting.beam),
        "tags-only": str(drafting.tags_only),
        "threshold": str(drafting.threshold),
        "operating-point": str(drafting.point),
        "evidence": str(drafting.evidence),
        "attention": str(drafting.attention),
        "retrieve": f"{status.st_size} {status.st_mtime_ns}" if status else "",
        "neighbours": str(drafting.neighbours),
    }


def _may_be_several(paths: list[str] | None) -> bool:
    """True where there may be more than one study."""
    return paths is not None and not (len(paths) == 1 and Path(paths[0]).is_file())
