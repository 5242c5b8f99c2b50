from __future__ import annotations

from pathlib import Path

import pytest

from cxreport.files import PartialFile, partial_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")
    with PartialFile(target) as path:
        path.write_text("new")
        assert (names(tmp_path), target.read_text()) == (["a.json", "a.json.partial"], "old")
    assert (names(tmp_path), target.read_text()) == (["a.json"], "new")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def broken() -> None:
        with PartialFile(target, ".17") as path:
            path.write_text("new")
            assert names(tmp_path) == ["a.json", "a.json.17"]
            raise error

    with pytest.raises(error):
        broken()
    assert (names(tmp_path), target.read_text()) == (["a.json"], "old")


def test_a_file_that_was_never_begun(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), PartialFile(tmp_path / "none" / "a") as path:
        path.write_text("new")
    assert names(tmp_path) == []


def test_a_folder_takes_the_place_of_another_and_its_other_files(tmp_path: Path) -> None:
    target = tmp_path / "new" / "bundle"
    with partial_folder(target) as folder:
        (folder / "model").write_text("1")
        assert not target.exists()
    (target / "card").write_text("mine")
    with partial_folder(target) as folder:
        (folder / "model").write_text("2")
        assert (target / "model").read_text() == "1"
    assert {path.name: path.read_text() for path in target.iterdir()} == {"model": "2", "card": "mine"}
    assert names(target.parent) == ["bundle"]
    assert target.stat().st_mode & 0o777 == 0o755


def test_an_interrupted_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    with partial_folder(target) as folder:
        (folder / "model").write_text("1")

    def broken() -> None:
        with partial_folder(target) as folder:
            (folder / "model").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert (names(tmp_path), (target / "model").read_text()) == (["bundle"], "1")
