from __future__ import annotations

import json
import re
import shutil

import pytest

from cxreport import __version__


@pytest.fixture
def no_session(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a session was made")

    monkeypatch.setattr("onnxruntime.InferenceSession", refuse)


@pytest.mark.usefixtures("no_session")
def test_info(run_cli, tiny_bundle) -> None:
    facts = json.loads(run_cli("info", "--json", "--model", tiny_bundle).stdout)
    assert facts["version"] == __version__
    assert facts["bundle"]["name"] == "tiny"
    assert len(facts["bundle"]["sha256"]) == 64
    assert facts["bundle"]["tags"][0].keys() == {"name", "threshold"}
    assert "CPUExecutionProvider" in facts["providers"]
    assert all(facts["dicom_decoders"].values())
    text = run_cli("info", "--model", tiny_bundle).stdout
    assert facts["bundle"]["sha256"] in text
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"^operating point \s*\w+: balanced", text, re.MULTILINE)


def test_info_without_a_bundle_tells_the_rest(run_cli, tmp_path) -> None:
    result = run_cli("info", "--json", "--model", tmp_path)
    assert result.exit_code == 4
    assert json.loads(result.stdout)["bundle"] is None
    assert "error: " in result.stderr


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_info_with_an_unusable_int8_bundle_tells_the_rest(run_cli, tiny_bundle, tmp_path, options) -> None:
    folder = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    (folder / "int8").mkdir()
    (folder / "int8" / "model.json").write_text("{}")
    result = run_cli("info", "--model", folder, *options)
    assert result.exit_code == 4
    assert "co-attention" in result.stdout
    assert "int8/model.json" in result.stderr
