from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import child_tasks
import numpy as np
import pytest
from command_line import records, start, timeless

from cxreport.errors import ReaderEndedError
from cxreport.reading import ahead, batches, network_input
from cxreport.reading.ahead import default_workers, read_ahead
from cxreport.reading.processes import workers as worker_processes
from cxreport.reading.processes.workers import Processes, map_ahead
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.types import Failure, InputShape, Study

SIZE = 32


@pytest.fixture
def mixed(phantoms: Path, tmp_path: Path) -> Path:
    """Studies, one of two views, a damaged file and one that is none."""
    folder = shutil.copytree(phantoms, tmp_path / "mixed")
    (folder / "bad.png").write_text("not a picture")
    (folder / "cut.dcm").write_bytes((folder / "rle.dcm").read_bytes()[:-100])
    return folder


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(worker_processes.subprocess, "Popen", refuse)


def read(path: Path, workers: int | None, channels: int = 1) -> list[Study | Failure]:
    return list(read_ahead([path], ReadOptions(), InputShape(SIZE, channels), workers))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_studies_with_any_number_of_workers(mixed, workers, channels) -> None:
    sequential, parallel = read(mixed, 0, channels), read(mixed, workers, channels)
    assert [type(outcome) for outcome in parallel] == [type(outcome) for outcome in sequential]
    assert {type(outcome) for outcome in sequential} == {Study, Failure}
    for one, another in zip(sequential, parallel, strict=True):
        assert (one.id, one.sources) == (another.id, another.sources)
        if isinstance(one, Failure):
            assert (type(one.error), one.error.message) == (type(another.error), another.error.message)
            assert one.error.hint == another.error.hint
        else:
            assert one.warnings == another.warnings
            assert one.other_views == another.other_views
            assert one.view.info == another.view.info
            assert one.view.pixels.shape == (SIZE, SIZE, 3)[: 2 + (channels > 1)]
            assert np.array_equal(one.view.pixels, another.view.pixels)
            assert list(another.timing_ms) == ["read", "pixels", "preprocess"]


@pytest.mark.slow
def test_the_same_records_with_any_number_of_workers(generate, mixed) -> None:
    runs = [timeless(generate("--json", "--workers", workers, mixed).stdout) for workers in (0, 1, 3)]
    assert runs[0] == runs[1] == runs[2]
    assert any("error" in record for record in runs[0])
    assert any("report" in record for record in runs[0])


@pytest.mark.slow
def test_a_study_that_ends_its_reader_is_the_only_one_to_fail(generate, mixed, monkeypatch) -> None:
    expected = timeless(generate("--json", "--workers", 0, mixed).stdout)
    shutil.copy(mixed / "normal-8bit.png", mixed / "deadly.png")
    monkeypatch.setattr(ahead, "read_prepared", child_tasks.read_or_die)
    result = generate("--json", "--workers", 2, mixed)
    assert result.exit_code == 6
    records = timeless(result.stdout)
    (failure,) = [record for record in records if record["study"]["id"] == "deadly.png"]
    assert failure["error"]["code"] == ReaderEndedError.code
    assert [record for record in records if record is not failure] == expected


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_ahead", [False, True])
def test_a_study_is_preprocessed_once(phantoms, monkeypatch, channels, is_ahead) -> None:
    calls = []
    original = network_input.network_input
    monkeypatch.setattr(network_input, "network_input", lambda *rest: calls.append(rest) or original(*rest))
    shape = InputShape(SIZE, channels)
    studies = read(phantoms, 0, channels) if is_ahead else list(read_studies([phantoms]))
    (batch,) = batches.preprocessed_batches(studies, shape, 100)
    assert len(calls) == len(batch) == len(studies)
    assert {study.view.pixels.shape for study in batch} == {shape.of_array}
    assert {tuple(study.timing_ms) for study in batch} == {("read", "pixels", "preprocess")}
    if is_ahead:
        assert all(study is prepared for study, prepared in zip(studies, batch, strict=True))


def test_a_study_prepared_for_another_network_is_preprocessed_again(phantoms) -> None:
    (study,) = read(phantoms / "rle.dcm", 0)
    (batch,) = batches.preprocessed_batches([study], InputShape(2 * SIZE, 3), 1)
    assert batch[0].view.pixels.shape == (2 * SIZE, 2 * SIZE, 3)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_first_study_is_there_before_all_files_were_looked_at(phantoms, tmp_path, workers) -> None:
    for number in range(200):
        shutil.copy(phantoms / "normal-8bit.png", tmp_path / f"{number:03}.png")
    found = []

    def select(studies):
        found.append(studies)
        return studies

    outcomes = read_ahead([tmp_path], ReadOptions(), InputShape(SIZE), workers, select)
    assert next(outcomes).id == "000.png"
    assert found[0].left > 100
    outcomes.close()


@pytest.mark.usefixtures("no_process")
def test_no_worker_starts_no_process(generate, mixed) -> None:
    assert generate("--workers", 0, mixed).exit_code == 6


@pytest.mark.parametrize("count", [1, 20])
def test_no_file_is_opened_in_the_main_process(generate, phantoms, tmp_path, monkeypatch, count) -> None:
    """Whatever it is: a picture, DICOM, or a file that is neither."""
    for number in range(count):
        shutil.copy(phantoms / "rle.dcm", tmp_path / f"{number}.dcm")
        (tmp_path / f"{number}.png").write_text("not a picture")

    def refuse(path: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("cxreport.reading.discover.open_file", refuse)
    result = generate("--json", tmp_path)
    assert result.exit_code == 6, result.stderr
    assert len(timeless(result.stdout)) == count + 1


def test_the_next_view_is_not_read_in_the_main_process(phantoms, tmp_path, monkeypatch) -> None:
    """The model refuses a view after the study was read, perhaps the last of all."""
    for name in ("a.png", "b.png", "c.png"):
        shutil.copy(phantoms / "normal-8bit.png", tmp_path / name)
    (study,) = read_ahead([tmp_path], ReadOptions(group_by="folder"), InputShape(SIZE))
    monkeypatch.setattr("cxreport.reading.discover.open_file", Mock(side_effect=AssertionError("a file was opened")))
    second = study.next_view("Refused.")
    third = second.next_view("Refused, too.")
    assert [os.path.basename(each.view.info.source) for each in (study, second, third)] == ["a.png", "b.png", "c.png"]
    assert third.next_view is None
    assert {each.view.pixels.shape for each in (study, second, third)} == {(SIZE, SIZE)}


def test_a_next_view_that_ends_its_process_is_a_failure(phantoms, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ahead, "_next_prepared", child_tasks.next_or_die)
    for name in ("a.png", "b.png"):
        shutil.copy(phantoms / "normal-8bit.png", tmp_path / name)
    (study,) = read_ahead([tmp_path], ReadOptions(group_by="folder"), InputShape(SIZE))
    failure = study.next_view("Refused.")
    assert (failure.id, type(failure.error)) == (study.id, ReaderEndedError)


def test_the_number_of_workers_by_studies_and_cpus(monkeypatch) -> None:
    monkeypatch.setattr(ahead, "usable_cpus", lambda: 3)
    assert [default_workers(studies) for studies in (0, 1, 15, 16, 1000)] == [1, 1, 1, 3, 3]
    monkeypatch.setattr(ahead, "usable_cpus", lambda: 64)
    assert default_workers(1000) == 8
    monkeypatch.setattr(ahead, "usable_cpus", lambda: 1)
    assert default_workers(1000) == 1


@pytest.mark.usefixtures("no_process")
def test_where_python_cannot_be_started_again_this_process_reads(mixed, monkeypatch) -> None:
    monkeypatch.setattr(ahead.sys, "executable", "")
    assert any(isinstance(outcome, Study) for outcome in read(mixed, None))


def test_no_more_workers_than_studies(phantoms, monkeypatch) -> None:
    asked = []
    original = Processes.map
    monkeypatch.setattr(Processes, "map", lambda *rest: asked.append(rest[-1]) or original(*rest))
    (study,) = read(phantoms / "rle.dcm", 40)
    assert isinstance(study, Study)
    assert set(asked) == {1}


# Files that end or block the process that reads them


@pytest.mark.slow
@pytest.mark.parametrize("place", ["read_prepared", "_references_of_few"], ids=["read", "discover"])
@pytest.mark.parametrize(("name", "code"), [("deadly.png", "reader-ended"), ("endless.png", "timed-out")])
@pytest.mark.parametrize("count", [1, 3])
def test_a_bad_file_fails_alone(generate, phantoms, tmp_path, monkeypatch, place, name, code, count) -> None:
    """By default, among few files as among many, and however early it shows."""
    task = {
        ("read_prepared", "deadly.png"): child_tasks.read_or_die,
        ("read_prepared", "endless.png"): child_tasks.read_or_sleep,
    }.get((place, name), child_tasks.references_or_die)
    monkeypatch.setattr(ahead, place, task)
    for number in range(count):
        shutil.copy(phantoms / "normal-8bit.png", tmp_path / f"{number}.png")
    shutil.copy(phantoms / "normal-8bit.png", tmp_path / name)
    result = generate("--json", "--timeout", 2, tmp_path)
    assert result.exit_code == 6, result.stderr
    records = {record["study"]["id"]: record for record in timeless(result.stdout)}
    assert {id_ for id_, record in records.items() if "report" in record} == {f"{n}.png" for n in range(count)}
    assert records[name]["error"]["code"] == code
    assert records[name]["study"]["sources"] == [str(tmp_path / name)]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["explain", "retrieve"])
def test_commands_for_one_study_are_protected_too(
    run_cli, tiny_bundle, phantoms, tmp_path, monkeypatch, command
) -> None:
    monkeypatch.setattr(ahead, "read_prepared", child_tasks.read_or_die)
    deadly = shutil.copy(phantoms / "normal-8bit.png", tmp_path / "deadly.png")
    index = tmp_path / "x.index"
    built = run_cli("index", "build", "--model", tiny_bundle, "--force", phantoms / "rle.dcm", "-o", index)
    assert built.exit_code == 0, built.stderr
    arguments = {"explain": [deadly], "retrieve": [index, "--image", deadly]}[command]
    result = run_cli(command, "--model", tiny_bundle, "--device", "cpu", "--force", *arguments)
    assert result.exit_code == 3
    assert "The process that read the study ended." in result.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the kernels of others do not limit the address space")
@pytest.mark.parametrize("megabytes", [600, 3000])
def test_sound_studies_are_drafted_under_a_limit_of_the_user(tiny_bundle, phantoms, megabytes: int) -> None:
    """As of ulimit -v: the limit of a reader lies below it, and nothing is told as damaged."""
    code = f"import resource, runpy; resource.setrlimit(resource.RLIMIT_AS, 2 * ({megabytes} << 20,))\n"
    code += "runpy.run_module('cxreport', run_name='__main__')"
    arguments = ["generate", "--json", "--force", "--device", "cpu", "--model", tiny_bundle, phantoms]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert all("report" in record for record in records(done.stdout))


def test_a_lack_of_memory_is_told_as_such(phantoms, monkeypatch) -> None:
    """The file is sound: nobody is to look for damage in it."""

    def refuse(*_: object) -> None:
        raise MemoryError

    for target in ("PIL.ImageFile.ImageFile.load", "cxreport.reading.dicom.decode._PixelElement.display"):
        monkeypatch.setattr(target, refuse)
    for name in ("normal-8bit.png", "rle.dcm"):
        (failure,) = read(phantoms / name, 0)
        assert failure.error.code == "out-of-memory"
        assert "damaged" not in failure.error.message


@pytest.mark.parametrize("text", ["std::bad_alloc", "Unable to allocate 8 GiB", "out of memory error"])
def test_libraries_that_say_it_in_words(phantoms, monkeypatch, text) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr("cxreport.reading.dicom.decode._PixelElement.display", refuse)
    (failure,) = read(phantoms / "rle.dcm", 0)
    assert failure.error.code == "out-of-memory"


def test_an_unexpected_error_is_the_failure_of_one_study(mixed, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("Patient^Name")

    monkeypatch.setattr("cxreport.reading.pictures.picture.Picture.rendering", broken)
    outcomes = {outcome.id: outcome for outcome in read(mixed, 0)}
    assert outcomes["normal-8bit.png"].error.message == "ValueError while reading the study."
    assert any(isinstance(outcome, Study) for outcome in outcomes.values())


@pytest.mark.slow
def test_a_worker_loads_only_what_reading_needs(phantoms) -> None:
    (modules,) = map_ahead(child_tasks.modules_after_reading, [phantoms / "rle.dcm"], 1)
    assert "pydicom" in modules
    assert not modules & {"onnxruntime", "torch", "typer", "rich", "pytest"}
    assert not modules & {"cxreport.cli.app", "cxreport.model.session"}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for the children of a process")
def test_130_interrupted_leaves_no_worker(tiny_bundle, phantoms, tmp_path) -> None:
    for number in range(200):
        shutil.copy(phantoms / "normal-8bit.png", tmp_path / f"{number}.png")
    process = start(
        *("generate", "--model", tiny_bundle, "--device", "cpu", "--json", "--force"),
        *("--workers", 2, "--batch-size", 1, tmp_path),
        start_new_session=True,
    )
    first = json.loads(process.stdout.readline())
    threads = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = {child for path in threads for child in path.read_text().split()}
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it, too
    process.stdout.read()
    assert process.wait(timeout=60) == 130
    assert first["study"]["id"] == "0.png"
    assert len(children) == 2
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    lines = process.stderr.read().splitlines()
    assert lines[-1] == "interrupted"
    assert not [line for line in lines if "Traceback" in line]
