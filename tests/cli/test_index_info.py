from __future__ import annotations

import json
from pathlib import Path


def test_info(run_cli, index: Path, tiny_bundle: Path) -> None:
    told = json.loads(run_cli("index", "info", index, "--json").stdout)
    assert (told["reports"], told["images"], told["embedding"]) == (3, 2, 15)
    assert told["bytes"] == index.stat().st_size
    lines = run_cli("index", "info", index).stdout.splitlines()
    assert ["images", "2"] in [line.split() for line in lines]
    assert told["model"]["sha256"] in lines[-1]
    assert told["sha256"] != told["model"]["sha256"]


def test_check(run_cli, index: Path) -> None:
    assert run_cli("index", "info", index, "--check").exit_code == 0
    content = index.read_bytes()
    index.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
    assert run_cli("index", "info", index).exit_code == 0
    done = run_cli("index", "info", index, "--check")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "altered or damaged" in done.stderr


def test_info_of_no_index(run_cli, texts: Path) -> None:
    done = run_cli("index", "info", texts)
    assert done.exit_code == 2
    assert done.stderr == f"error: {texts}: damaged, or no index.\nhint: Build it with `cxreport index build`.\n"
