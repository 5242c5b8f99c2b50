"""Drafting over Ray Data: the records of a local run, in rows."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_line import timeless

import cxreport
from cxreport import ray as on_ray
from cxreport.errors import MissingExtraError, NothingReadableError, UsageError
from cxreport.reading.processes.workers import Processes

HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.fixture
def archive(phantoms: Path, tmp_path: Path) -> Path:
    """Studies of several kinds, two of one name, one that fails, and a file that fails beside its study."""
    folder = tmp_path / "in"
    shutil.copytree(phantoms, folder)
    for name in ("a", "b"):
        (folder / name).mkdir()
        shutil.copy(phantoms / "normal-8bit.png", folder / name)
    (folder / "bad.png").write_text("not a picture")
    content = (phantoms / "j2k-pa.dcm").read_bytes()
    (folder / "j2k-short.dcm").write_bytes(content[: len(content) // 2])
    return folder


def local(archive: Path, bundle: Path) -> list[dict]:
    model = cxreport.load_model(bundle, device="cpu", precision="float32")
    reading = cxreport.ReadOptions().fitting(model.manifest.input_shape)  # as the command line reads
    outcomes = cxreport.generate(model, cxreport.read_studies(archive, reading))
    return timeless("\n".join(json.dumps(cxreport.to_record(outcome, model.manifest)) for outcome in outcomes))


def in_order(rows: list[dict[str, Any]]) -> list[dict]:
    ordered = sorted(rows, key=lambda row: (row["place"], row["number"]))
    assert [row["failed"] for row in ordered] == ["error" in json.loads(row["record"]) for row in ordered]
    return timeless("\n".join(row["record"] for row in ordered))


def rows_of(batch: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]


def test_an_actor_writes_the_records_of_a_local_run(archive: Path, tiny_bundle: Path) -> None:
    studies = on_ray._found([str(archive)], str(tiny_bundle), cxreport.ReadOptions())
    arguments = (str(tiny_bundle), "float32", "cpu", 1, cxreport.ReadOptions(), cxreport.GenerateOptions())
    drafter = on_ray.Drafter(*arguments)
    rows: list[dict[str, Any]] = []
    try:
        for start in (4, 0, 8):  # in no order
            places = list(range(start, min(start + 4, len(studies))))
            batch = {"place": places, "study": [pickle.dumps(studies[place]) for place in places]}
            rows += rows_of(drafter(batch))
    finally:
        drafter.close()
    expected = local(archive, tiny_bundle)
    assert len(expected) > 9
    assert sum("error" in record for record in expected) == 2
    assert in_order(rows) == expected


def test_a_file_that_ends_the_process_is_a_failure(phantoms: Path, tiny_bundle: Path, monkeypatch) -> None:
    from cxreport.reading.processes.workers import Lost

    studies = on_ray._found([phantoms / "normal-8bit.png"], str(tiny_bundle), cxreport.ReadOptions())
    monkeypatch.setattr(Processes, "map", lambda _, function, tasks, processes: (Lost.ENDED for _ in tasks))
    arguments = (str(tiny_bundle), "float32", "cpu", 1, cxreport.ReadOptions(), cxreport.GenerateOptions())
    (row,) = rows_of(on_ray.Drafter(*arguments)({"place": [0], "study": [pickle.dumps(studies[0])]}))
    assert row["failed"]
    assert json.loads(row["record"])["error"]["code"] == "reader-ended"


@pytest.mark.skipif(HAS_RAY, reason="Ray is here")
def test_without_ray_the_extra_is_named(phantoms: Path) -> None:
    with pytest.raises(MissingExtraError, match="'ray' extra"):
        on_ray.draft([phantoms], precision="float32")


@pytest.mark.skipif(not HAS_RAY, reason="needs the extra 'ray'")
@pytest.mark.parametrize(
    "options",
    [{"precision": "auto"}, {"precision": "int8", "actors": 0}, {"precision": "int8", "studies_per_batch": 0}],
    ids=str,
)
def test_options_that_mean_nothing_are_refused(phantoms: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        on_ray.draft([phantoms], **options)


@pytest.mark.skipif(not HAS_RAY, reason="needs the extra 'ray'")
def test_no_study_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NothingReadableError):
        on_ray.draft([tmp_path], precision="float32")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not HAS_RAY, reason="needs the extra 'ray'")
def test_a_cluster_of_two_actors_writes_the_records_of_a_local_run(archive: Path, tiny_bundle: Path) -> None:
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        rows = on_ray.draft(
            [archive], precision="float32", actors=2, cpus=1, bundle=str(tiny_bundle), studies_per_batch=2
        ).take_all()
    finally:
        ray.shutdown()
    assert in_order(rows) == local(archive, tiny_bundle)
