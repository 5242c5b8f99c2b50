"""Tables of architectures, precisions and devices: a row shows wherever a user chooses or reads one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cxreport.model.bundle import load_manifest
from cxreport.model.choices import PRECISIONS, Architecture, Device, Precision
from cxreport.model.manifest import graph_names
from cxreport.model.signatures import signatures
from cxreport.output.record import model_schema
from cxreport.train.config import parse_config

RECIPE = """
name = "r"
version = "0"
pairing = "captions"
seed = 1
data = {}
encoder = {size = 1, batch = 1, lr = 1, lr_low = 1, lr_head = 1, weight_decay = 1, warmup = 1, ema = 1, phases = []}
"""


def options(help_text: str, option: str) -> list[str]:
    """Words of the help of a command that stand on the lines of an option."""
    return help_text[help_text.index(option) :].replace("│", " ").replace("\n", " ").split()[1].split("|")


@pytest.mark.parametrize("command", ["generate", "explain", "retrieve", "bench"])
def test_devices_and_precisions_in_the_help(run_cli: Callable, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = run_cli(command, "--help").stdout
    assert options(text, "--device") == list(Device)
    assert options(text, "--precision") == list(Precision)


def test_architectures_in_the_help(run_cli: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert options(run_cli("train", "--help").stdout, "--architecture") == list(Architecture)


def test_precisions_in_the_schema() -> None:
    assert (
        model_schema("A bundle.")["properties"]["precision"]["enum"] == ["float32", "int8", "float16"] == [*PRECISIONS]
    )


@pytest.mark.parametrize("architecture", Architecture)
def test_an_architecture_in_recipes_and_bundles(architecture: Architecture, tiny_bundle: Path) -> None:
    if architecture.captioning:
        assert parse_config(f'architecture = "{architecture}"{RECIPE}', "r").architecture is architecture
    steps = architecture.row.steps
    assert graph_names(architecture, text_encoder=False) == ("encoder", *steps)
    assert steps in (("caption_step",), ("sentence_step", "word_step"))
    assert architecture.row.output
    assert architecture.row.source
    ports = signatures(load_manifest(tiny_bundle).sizes, architecture, text_encoder=False)
    assert set(steps) < ports.keys()


def test_one_precision_is_a_folder_and_one_a_graph() -> None:
    rows = {precision.name: precision.row for precision in PRECISIONS}
    assert {name for name, row in rows.items() if row.folder} == {"INT8"}
    assert {name for name, row in rows.items() if row.encoder} == {"FLOAT16"}
    assert [precision for precision in Precision if precision.gpu_only] == [Precision.FLOAT16]
