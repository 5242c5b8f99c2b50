"""`cxreport watch`, `status`, `rerun` and `send`, in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import timeless
from dicom_factory import make_dataset, phantom, save

from cxreport.errors import ExitCode


@pytest.fixture
def watch(run_cli: Callable, tiny_bundle: Path, tmp_path: Path) -> Callable:
    """Run `cxreport watch` on the folder ``in`` until nothing is left to do."""
    (tmp_path / "in").mkdir()

    def run(*arguments: object, quiet: float = 0):
        places = (tmp_path / "in", "--out", tmp_path / "out", "--model", tiny_bundle, "--device", "cpu")
        return run_cli("watch", *places, "--workers", 0, "--quiet", quiet, "--once", *arguments)

    return run


def drop(folder: Path, name: str = "a.dcm", **attributes: object) -> Path:
    return save(make_dataset(phantom(), **attributes), folder / "in" / name)


def results(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out").iterdir() if not path.name.startswith(".")}


def test_results_are_those_of_generate(watch, generate, tmp_path: Path, phantoms: Path) -> None:
    drop(tmp_path)
    drop(tmp_path, "ward/b.dcm")
    shutil.copy(phantoms / "normal-8bit.png", tmp_path / "in" / "c.png")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    assert watch("--format", "jsonl").exit_code == 0
    drafted = {name: timeless(content.decode())[0] for name, content in results(tmp_path).items()}
    expected = timeless(generate("--json", tmp_path / "in").stdout)
    assert sorted(drafted.values(), key=str) == sorted(expected, key=str)
    assert {name.removesuffix(".jsonl") for name in drafted} == {record["study"]["id"] for record in expected}


def test_pictures_of_one_name_in_two_folders_have_results_each(watch, tmp_path: Path, phantoms: Path) -> None:
    for ward in ("A", "B"):
        (tmp_path / "in" / ward).mkdir()
        shutil.copy(phantoms / "normal-8bit.png", tmp_path / "in" / ward / "c.png")
    assert watch().exit_code == 0
    names = sorted(results(tmp_path))  # with digests of the ids: "A_c.png" is the name of another picture
    assert [name[: len("A_c.png-")] for name in names] == ["A_c.png-", "B_c.png-"]


def test_a_second_run_drafts_what_is_new_and_nothing_else(watch, run_cli, tmp_path: Path) -> None:
    drop(tmp_path)
    assert watch().exit_code == 0
    (first,) = (tmp_path / "out").glob("*.json")
    before = first.stat().st_mtime_ns
    drop(tmp_path, "b.dcm")
    assert watch().exit_code == 0
    assert first.stat().st_mtime_ns == before
    assert len(results(tmp_path)) == 2
    shown = run_cli("status", tmp_path / "out")
    assert [line.split() for line in shown.stdout.splitlines()] == [
        *(["received", "0"], ["drafted", "2"], ["delivered", "0"], ["failed", "0"])
    ]


def test_a_late_view_has_the_study_drafted_anew(watch, tmp_path: Path) -> None:
    study = {"StudyInstanceUID": "1.2.3.4.5", "SeriesInstanceUID": "1.2.3.4.5.1"}
    drop(tmp_path, **study)
    assert watch().exit_code == 0
    drop(tmp_path, "lateral.dcm", ViewPosition="LL", **study)
    assert watch().exit_code == 0
    ((record,),) = (json.loads(content) for content in results(tmp_path).values())
    assert len(record["study"]["sources"]) == 2


def test_a_half_written_file_is_tried_again_when_it_is_whole(watch, run_cli, tmp_path: Path) -> None:
    path = drop(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert watch().exit_code == ExitCode.NOTHING_READABLE
    (failed,) = json.loads(run_cli("status", tmp_path / "out", "--json").stdout)["unfinished"]
    assert (failed["state"], failed["code"]) == ("failed", "unreadable")
    path.write_bytes(whole)
    assert watch().exit_code == 0
    assert json.loads(run_cli("status", tmp_path / "out", "--json").stdout)["unfinished"] == []


def test_failed_studies_are_tried_again_when_asked(watch, run_cli, tmp_path: Path) -> None:
    drop(tmp_path, "ct.dcm", Modality="CT")
    drop(tmp_path)
    result = watch()
    assert result.exit_code == ExitCode.SOME_FAILED
    assert "failed: Not a chest radiograph: Modality is CT." in result.stderr
    assert run_cli("rerun", tmp_path / "out", "--failed").stderr == "to draft again: 1, to deliver again: 0\n"
    assert watch("--force").exit_code == 0
    assert len(results(tmp_path)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "nobody"], "names no destination"),
        (["--to", "PACS@localhost:104", "--format", "json"], "no --format makes one"),
        (["--format", "xml"], "'xml' is not one of"),
        (["--aet", "A" * 17], "is no AE title"),
    ],
)
def test_2_usage(watch, arguments: list[str], message: str) -> None:
    result = watch(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_2_results_among_what_is_read(run_cli, tmp_path: Path) -> None:
    result = run_cli("watch", tmp_path, "--out", tmp_path)
    assert result.exit_code == 2
    assert "among the files that are read" in result.stderr


@pytest.mark.parametrize("arguments", [["status"], ["rerun", "--failed"]])
def test_2_a_folder_where_nothing_arrived(run_cli, tmp_path: Path, arguments: list[str]) -> None:
    result = run_cli(*arguments, tmp_path)
    assert result.exit_code == 2
    assert "nothing has arrived here" in result.stderr


def test_7_drafted_and_not_delivered(watch, run_cli, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    drop(tmp_path)
    result = watch("--to", "PACS@127.0.0.1:1")
    assert result.exit_code == ExitCode.NOT_DELIVERED
    assert "results wait to be delivered: PACS@127.0.0.1:1 cannot be reached." in result.stderr
    assert sorted(name.partition(".")[2] for name in results(tmp_path)) == ["json", "sc.dcm", "sr.dcm"]
    left, _ = json.loads(run_cli("status", tmp_path / "out", "--json").stdout)["unfinished"]
    assert (left["state"], left["code"]) == ("drafted", "pending")
    assert "cannot be reached" in left["message"]


def test_send_says_what_is_not_stored(run_cli, tmp_path: Path) -> None:
    archive = pytest.importorskip("archive")
    (tmp_path / "in").mkdir()
    paths = [drop(tmp_path, name) for name in ("a.dcm", "b.dcm")]
    (tmp_path / "in" / "c.dcm").write_text("text")
    with archive.Archive() as pacs:
        assert run_cli("send", *paths, "--to", pacs.to).exit_code == 0
        assert len(pacs.stored) == 2
        result = run_cli("send", *paths, tmp_path / "in" / "c.dcm", "--to", pacs.to)
    assert result.exit_code == ExitCode.NOT_DELIVERED
    assert "c.dcm: no DICOM file with meta information" in result.stderr
    assert "3 files: 2 stored, 1 not." in result.stderr


def test_send_to_nobody(run_cli, tmp_path: Path) -> None:
    pytest.importorskip("pynetdicom")
    (tmp_path / "in").mkdir()
    result = run_cli("send", drop(tmp_path), "--to", "PACS@127.0.0.1:1", "--attempts", 1)
    assert result.exit_code == ExitCode.NOT_DELIVERED
    assert "hint: Check the destination" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["listen", "--inbox", "i", "--out", "o"],
        ["watch", "i", "--out", "o", "--to", "PACS@localhost:104"],
        ["send", "a.dcm", "--to", "PACS@localhost:104"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_5_the_extra_is_missing(run_cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    result = run_cli(*arguments)
    assert result.exit_code == ExitCode.EXTRA_MISSING
    assert "pip install 'cxreport[dicom]'" in result.stderr
    assert not list(tmp_path.iterdir())
