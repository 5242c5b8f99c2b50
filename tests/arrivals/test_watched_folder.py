from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from cxreport.arrivals import watched_folder
from cxreport.arrivals.watched_folder import WatchedFolder
from cxreport.errors import UsageError


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched_folder, "_LEAST_S", 0.0)
    monkeypatch.setattr(watched_folder, "_SHARE", 0)


def names(folder: WatchedFolder) -> list[str]:
    return [file.path for file in folder.arrived()]


def write(path: Path, content: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_files_are_told_when_they_come_and_when_they_change(tmp_path: Path) -> None:
    watched = WatchedFolder(tmp_path, tmp_path / "out", {})
    write(tmp_path / "ward" / "a.dcm")
    write(tmp_path / "b.dcm")
    assert names(watched) == ["b.dcm", os.path.join("ward", "a.dcm")]
    assert names(watched) == []
    write(tmp_path / "b.dcm", "xx")
    assert names(watched) == ["b.dcm"]


def test_files_of_an_earlier_run_are_known(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm")
    status = (tmp_path / "a.dcm").stat()
    known = {"a.dcm": (status.st_size, status.st_mtime_ns)}
    assert names(WatchedFolder(tmp_path, tmp_path / "out", known)) == []


@pytest.mark.parametrize("link", [False, True])
def test_results_are_never_read(tmp_path: Path, link: bool) -> None:
    results = tmp_path / "in" / "out"
    write(results / "study.json")
    if link:
        (tmp_path / "in" / "linked").symlink_to(results)
    assert names(WatchedFolder(tmp_path / "in", results, {})) == []


@pytest.mark.parametrize("suffix", [".part", ".PART", ".tmp", ".filepart", ".crdownload", "~"])
def test_files_that_are_still_being_copied_are_waited_for(tmp_path: Path, suffix: str) -> None:
    watched = WatchedFolder(tmp_path, tmp_path / "out", {})
    write(tmp_path / f"a.dcm{suffix}")
    assert names(watched) == []
    (tmp_path / f"a.dcm{suffix}").rename(tmp_path / "a.dcm")
    assert names(watched) == ["a.dcm"]


@pytest.mark.parametrize("out", [".", "in", "in/../in"])
def test_results_among_the_files_that_are_read_are_refused(tmp_path: Path, out: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(UsageError, match="among the files that are read"):
        WatchedFolder(tmp_path / "in", tmp_path / out, {})


def test_what_is_passed_over_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + bytes(600))
    watched = WatchedFolder(tmp_path, tmp_path / "out", {})
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert names(watched) == []
    assert [record.getMessage() for record in caplog.records if "archive" in record.getMessage()].__len__() == 1


def test_a_file_that_comes_back_is_told_again(tmp_path: Path) -> None:
    watched = WatchedFolder(tmp_path, tmp_path / "out", {})
    write(tmp_path / "a.dcm")
    assert names(watched) == ["a.dcm"]
    (tmp_path / "a.dcm").rename(tmp_path / "a.part")
    assert names(watched) == []
    (tmp_path / "a.part").rename(tmp_path / "a.dcm")
    assert names(watched) == ["a.dcm"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_no_text_is_passed_over_and_told_once(tmp_path: Path, caplog) -> None:
    write(tmp_path / os.fsdecode(b"\xff.dcm"))
    write(tmp_path / "a.dcm")
    watched = WatchedFolder(tmp_path, tmp_path / "out", {})
    assert names(watched) == ["a.dcm"]
    assert names(watched) == []
    assert caplog.text.count("its name is no UTF-8") == 1
