from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cxreport.arrivals.inbox import Inbox, private_folder
from cxreport.errors import OutputError, UsageError

UID = "1.2.826.0.1.3680043.8.498.1234567890"
posix = pytest.mark.skipif(os.name == "nt", reason="needs modes of POSIX")


def modes(folder: Path) -> set[str]:
    return {oct(stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*")}


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_nobody_else_can_look_in_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        inbox = Inbox(tmp_path / "inbox", b"key")
        if umask == 0o277:
            inbox.folder.chmod(0o700)
        else:
            inbox.store(UID, b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE(inbox.folder.stat().st_mode) & 0o077 == 0
    assert modes(inbox.folder) <= {"0o700", "0o600"}


@posix
@pytest.mark.parametrize("mode", [0o755, 0o750, 0o705, 0o777, 0o710])
def test_a_folder_that_others_can_look_into_is_refused_for_root_too(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(UsageError, match="others can look into it") as refused:
        private_folder(tmp_path)
    assert "chmod 700" in refused.value.hint


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    with pytest.raises(UsageError, match="belongs to another user"):
        private_folder(folder)


def test_names_tell_nothing_and_one_instance_has_one_file(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", b"key")
    first = inbox.store(UID, b"content")
    assert inbox.store(UID, b"content") == first
    other = inbox.store(UID, b"other content")
    assert other != first
    assert list(inbox.instances()) == sorted([first, other])
    assert not any(part in name for name in (first, other) for part in UID.split(".") if len(part) > 4)
    assert Inbox(tmp_path / "inbox2", b"another key").store(UID, b"content") != first
    assert (inbox.folder / first).read_bytes() == b"content"


def test_halves_of_a_killed_listener_go(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path / "inbox", b"key")
    path = inbox.folder / inbox.store(UID, b"content")
    path.rename(path.with_suffix(".part"))
    other = Inbox(tmp_path / "inbox", b"key")
    assert list(inbox.folder.rglob("*.part"))  # it may be another listener's, until the folder is claimed
    other.clear()
    assert list(other.instances()) == []
    assert not list(inbox.folder.rglob("*.part"))


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = Inbox(tmp_path / "inbox", b"key")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left") as refused:
        inbox.store(UID, b"content")
    assert UID not in refused.value.message
    assert not [path for path in inbox.folder.rglob("*") if path.is_file()]
