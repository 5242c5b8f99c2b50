"""Which precision of a bundle runs: what is there, and what the CPU can."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cxreport.errors import BundleError
from cxreport.model import cpus, precision
from cxreport.model.bundle import load_manifest
from cxreport.model.choices import Device
from cxreport.model.precision import load_model, precision_facts
from cxreport.model.session import EncoderOutput, Model

MODERN = "flags : sse2 avx2 avx512_vnni\nmodel name : Made up 9000\n"


@pytest.fixture
def pair(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A float bundle that holds what passes for its int8 bundle: the same graphs under another name."""
    folder = tmp_path / "pair"
    shutil.copytree(tiny_bundle, folder)
    shutil.copytree(tiny_bundle, folder / "int8")
    edit(folder / "int8", precision="int8", quantised_from=load_manifest(folder).sha256)
    return folder


@pytest.fixture(autouse=True)
def modern_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(precision.sys, "platform", "linux")
    path = tmp_path / "cpuinfo"
    path.write_text(MODERN)
    monkeypatch.setattr(cpus, "_CPUINFO", path)
    return path


def edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """No encoder may run while a model is loaded, let alone be timed."""

    def refuse(*_: object) -> EncoderOutput:
        raise AssertionError("an encoder ran")

    monkeypatch.setattr(Model, "encode_batch", refuse)


@pytest.mark.parametrize(
    ("flags", "taken"),
    [
        ("sse2 avx2", "float32"),
        ("sse2 avx512f", "float32"),
        ("sse2 avx512_vnni", "int8"),
        ("avx2 avx_vnni", "int8"),
        ("amx_int8", "int8"),
        ("fp asimd asimddp", "int8"),
    ],
)
@pytest.mark.usefixtures("no_clock")
def test_what_the_cpu_is_decides(pair: Path, modern_cpu: Path, flags: str, taken: str) -> None:
    """Not a stopwatch: a run on a busy machine would write other reports. A CPU that may saturate sums gets no int8."""
    modern_cpu.write_text(f"flags : {flags}\nmodel name : Made up 1\n")
    for _ in range(2):
        assert load_model(pair, device="cpu").manifest.precision == taken
    facts = precision_facts(pair, load_manifest(pair))
    assert (facts.on_cpu, facts.dot_product) == (taken, taken == "int8")
    assert load_model(pair, device="cpu", precision="int8").manifest.precision == "int8"


def test_an_earlier_measurement_changes_nothing(pair: Path, tmp_path: Path) -> None:
    """Earlier versions kept times in the cache folder, and decided by them."""
    path = tmp_path / "cache" / "cxreport" / "encoder_ms.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"key": {"float32": 1.0, "int8": 100.0}}))
    assert load_model(pair, device="cpu").manifest.precision == "int8"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_precision_that_is_asked_for_is_loaded_or_refused(pair: Path, tiny_bundle: Path) -> None:
    assert load_model(pair, device="cpu", precision="float32").manifest.precision == "float32"
    assert load_model(pair, device="cpu", precision="int8").manifest.precision == "int8"
    assert load_model(pair / "int8", device="cpu").manifest.precision == "int8"
    with pytest.raises(BundleError, match="no float32 precision"):
        load_model(pair / "int8", device="cpu", precision="float32")
    with pytest.raises(BundleError, match="no int8 precision") as caught:
        load_model(tiny_bundle, device="cpu", precision="int8")
    assert "--int8" in caught.value.hint


def test_an_int8_bundle_of_another_float_bundle_is_refused(pair: Path) -> None:
    edit(pair, name="trained again")
    for name in ("auto", "int8"):
        with pytest.raises(BundleError, match="made from another bundle"):
            load_model(pair, device="cpu", precision=name)
    assert load_model(pair, device="cpu", precision="float32").manifest.name == "trained again"


@pytest.mark.parametrize(
    "changes", [{"precision": "int4"}, {"precision": "int8", "quantised_from": None}, {"quantised_from": "0" * 64}]
)
def test_a_precision_has_to_fit_the_bundle(tiny_bundle: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    folder = tmp_path / "odd"
    shutil.copytree(tiny_bundle, folder)
    edit(folder, **changes)
    with pytest.raises(BundleError, match="the precision is unknown"):
        load_manifest(folder)


def test_info_and_records_name_the_precision(pair: Path, run_cli: Callable, phantoms: Path) -> None:
    def info() -> str:
        return " ".join(run_cli("info", "--model", pair).stdout.split())

    assert "int8 on the CPU, which has the instructions that int8 needs" in info()
    drafted = run_cli("generate", "--model", pair, "--device", "cpu", "--json", "--force", phantoms / "rle.dcm")
    precision_in_record = json.loads(drafted.stdout)["model"]["precision"]
    facts = json.loads(run_cli("info", "--json", "--model", pair).stdout)["precision"]
    assert facts["available"] == ["float32", "int8"]
    assert facts["on_cpu"] == precision_in_record
    asked = run_cli(
        *("generate", "--model", pair, "--device", "cpu", "--precision", "int8"),
        *("--json", "--force", phantoms / "rle.dcm"),
    )
    assert json.loads(asked.stdout)["model"] == {
        "name": "tiny",
        "version": "0",
        "precision": "int8",
        "sha256": load_manifest(pair / "int8").sha256,
    }


def test_an_index_serves_both_precisions(pair: Path, run_cli: Callable, phantoms: Path, tmp_path: Path) -> None:
    index = tmp_path / "both.index"
    built = run_cli(
        "index", "build", "--model", pair, "--precision", "float32", "--force", phantoms / "rle.dcm", "-o", index
    )
    assert built.exit_code == 0, built.stderr
    result = run_cli("retrieve", index, "--model", pair, "--precision", "int8", "--text", "pleural effusion")
    assert result.exit_code == 0, result.stderr


def test_the_bundle_is_a_path_a_string_or_the_shipped_one(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_model(str(tiny_bundle)).manifest.name == "tiny"
    monkeypatch.setattr(precision, "find_bundle", lambda bundle: bundle or tiny_bundle)
    assert load_model().manifest.name == "tiny"
    assert load_model(device="cpu").device is Device.CPU


@pytest.mark.parametrize("wrong", [{"device": "gpu"}, {"precision": "int4"}])
def test_unknown_devices_and_precisions(tiny_bundle: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="not a valid"):
        load_model(tiny_bundle, **wrong)
