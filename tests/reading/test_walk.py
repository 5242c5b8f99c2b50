"""Folders: links, circles, archives, and what may not be looked into."""

from __future__ import annotations

import gzip
import io
import logging
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from cxreport.reading.discover import group_files
from cxreport.reading.study import ReadOptions, read_studies
from cxreport.reading.walk import walk
from cxreport.types import Failure

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8)).save(path)
    return path


def below(folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in walk(str(folder))]


def test_a_link_to_a_folder_is_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(tmp_path / "archive" / "deep" / "b.png")
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a").symlink_to(tmp_path / "archive")
    assert below(tmp_path / "in") == ["a.png", "a/deep/b.png"]
    assert not caplog.records


@pytest.mark.parametrize("target", [".", "..", "../in", "sub"])
def test_circles_and_second_ways_are_cut_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    for name in ("a.png", "sub/b.png"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "link").symlink_to(target)
    found = below(tmp_path / "in")
    assert found == ["a.png", "sub/b.png"]
    if target != "..":  # which leads to more than what is read already
        assert [record.args[0] for record in caplog.records] == [str(tmp_path / "in" / "link")]


def test_two_links_to_one_folder_are_followed_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    picture(tmp_path / "archive" / "b.png")
    (tmp_path / "in").mkdir()
    for name in "xy":
        (tmp_path / "in" / name).symlink_to(tmp_path / "archive")
    assert below(tmp_path / "in") == ["x/b.png"]
    assert "y: passed over" in caplog.text


def archives() -> dict[str, bytes]:
    packed, taped = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", b"x")
    with tarfile.open(fileobj=taped, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    return {"zip": packed.getvalue(), "tar": taped.getvalue(), "gzip": gzip.compress(b"x")}


@pytest.mark.parametrize("kind", archives())
def test_archives_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    path = tmp_path / f"studies.{'gz' if kind == 'gzip' else kind}"
    path.write_bytes(archives()[kind])
    with caplog.at_level(logging.WARNING, "cxreport"):
        assert group_files([tmp_path], "study") == []
    assert f"{path}: passed over, as it is an archive ({kind})" in caplog.text
    for named in (path, Path(shutil.copy(path, tmp_path / "bare"))):
        (failure,) = read_studies([named])
        assert isinstance(failure, Failure)
        assert failure.error.message == f"The file is an archive ({kind})."
        assert "Unpack it" in failure.error.hint


def test_a_picture_that_is_called_an_archive_is_read(tmp_path: Path) -> None:
    picture(tmp_path / "a.png").rename(tmp_path / "a.zip")
    assert below(tmp_path) == ["a.zip"]


def test_a_folder_that_may_not_be_listed_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    picture(tmp_path / "a.png")
    scandir = os.scandir

    def guarded(path: str) -> object:
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)  # root may list any folder
    outcomes = list(read_studies([tmp_path], ReadOptions()))
    assert [type(outcome).__name__ for outcome in outcomes] == ["Study", "Failure"]
    assert isinstance(outcomes[1], Failure)
    assert outcomes[1].sources == (str(closed),)
    assert outcomes[1].error.message == "The folder cannot be opened: Permission denied."
