"""The same words for the same things in all commands, and help for what is mistyped."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
from retrieval_fakes import FakeModel

from cxreport.cli.app import COMMANDS, EXAMPLES, app
from cxreport.cli.command.command import FORMER_NAMES, all_commands

ALL = dict(all_commands(typer.main.get_command(app)))
NAMES = sorted(ALL)
SHORT = {"-o": "--out", "-k": "--neighbours", "-q": "--quiet", "-v": "--verbose", "-h": "--help"}

WITHOUT_RESULT = {"status", "rerun", "send"}
"""Commands that write messages alone."""

SECONDS_OF_QUIET = {"listen", "watch"}
"""Commands whose ``--quiet SECONDS`` is how long no file of a study has come."""


def options(name: str) -> dict[str, object]:
    return {word: parameter for parameter in ALL[name].params for word in parameter.opts}


def test_all_commands_are_looked_at() -> None:
    assert len(NAMES) == sum(map(len, COMMANDS.values()))


@pytest.mark.parametrize("name", NAMES)
def test_short_options_are_the_same_everywhere(name: str) -> None:
    for parameter in ALL[name].params:
        for word in (word for word in parameter.opts if word.startswith("-") and len(word) == 2):
            assert SHORT[word] in parameter.opts
    for short, long in SHORT.items():
        if long in options(name) and not (long == "--quiet" and name in SECONDS_OF_QUIET):
            assert short in options(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_RESULT])
def test_every_command_writes_where_it_is_told(name: str) -> None:
    assert "-o" in options(name)


@pytest.mark.parametrize("name", NAMES)
def test_options_of_one_name_have_one_kind_of_value(name: str) -> None:
    """Whatever an option is called in one command, it takes no flag there and a value elsewhere."""
    for word, parameter in options(name).items():
        others = set(NAMES) - SECONDS_OF_QUIET if word == "--quiet" else NAMES
        flags = {other: options(other)[word].is_flag for other in others if word in options(other) and word[0] == "-"}
        assert len(set(flags.values())) <= 1, (word, flags, parameter)


@pytest.mark.parametrize("name", NAMES)
def test_help_has_examples_that_parse(run_cli: Callable, name: str) -> None:
    shown = run_cli(*name.split(), "--help").stdout
    assert "Examples:" in shown
    for line in EXAMPLES[name]:
        assert line in shown
        program, *words = shlex.split(line)
        assert program == "cxreport"
        assert words[: len(name.split())] == name.split()
        ALL[name].make_context(name, words[len(name.split()) :])


def test_examples_are_of_commands() -> None:
    assert set(EXAMPLES) == set(NAMES)
    assert set(FORMER_NAMES) <= set(NAMES)


@pytest.mark.parametrize("word", ["study.dcm", "chest.JPG", "folder/x", "{tmp}"])
def test_a_file_in_the_place_of_a_command(run_cli: Callable, tmp_path: Path, word: str) -> None:
    word = word.format(tmp=tmp_path)
    done = run_cli(word)
    assert done.exit_code == 2
    assert "cxreport generate" in done.stderr
    assert word.rpartition("/")[2][:20] in done.stderr.replace("\n", "")


def test_another_word_is_no_file(run_cli: Callable) -> None:
    done = run_cli("generat")
    assert done.exit_code == 2
    assert "Did you mean" in done.stderr
    assert "'generate'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["retrieve", "x"], "retrieve"),
        (["generate", "x", "--resume"], "generate"),
        (["index", "info", "none"], ""),
        (["label", "none.txt"], "label"),
    ],
)
def test_hints_name_the_command(run_cli: Callable, arguments: list[str], command: str) -> None:
    done = run_cli(*arguments)
    assert done.exit_code == 2
    assert "COMMAND" not in done.stderr
    if command:
        assert f"hint: See `cxreport {command} --help`.\n" in done.stderr


@pytest.mark.parametrize(
    ("former", "now"),
    [
        (["schema", "--of", "retrieve"], ["schema", "retrieve"]),
        (["schema", "--of=retrieve"], ["schema", "retrieve"]),
        (["evaluate", "--limit", "0"], ["evaluate", "--studies", "0"]),
        (["evaluate", "--limit=3"], ["evaluate", "--studies=3"]),
    ],
)
def test_former_spellings_do_the_same(run_cli: Callable, former: list[str], now: list[str]) -> None:
    first, second = run_cli(*former), run_cli(*now)
    assert (first.exit_code, first.stdout, first.stderr) == (second.exit_code, second.stdout, second.stderr)
    assert former[1].split("=")[0] not in run_cli(former[0], "--help").stdout


def test_former_spellings_of_train_and_export(run_cli: Callable, training, tmp_path: Path) -> None:
    recipe = tmp_path / "own.toml"
    recipe.write_text("")
    for option in ("--config", "--recipe"):
        assert run_cli("train", option, recipe, "--data", "d", "-o", "r").exit_code == 0
    assert [call[0] for call in training.calls] == [recipe, recipe]
    assert run_cli("export", "run", "out").exit_code == 0
    assert run_cli("export", "run", "-o", "out").exit_code == 0
    assert training.calls[2] == training.calls[3]
    assert run_cli("export", "run").exit_code == 2
    assert run_cli("export", "run", "out", "-o", "out").exit_code == 2
    quiet = run_cli("export", "run", "-o", "out", "-q")
    assert (quiet.exit_code, quiet.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["schema"],
        ["info"],
        ["info", "--json"],
        ["label", "{texts}"],
        ["index", "info", "{index}"],
        ["index", "info", "{index}", "--json"],
        ["retrieve", "{index}", "--text", "effusion"],
        ["retrieve", "{index}", "--text", "effusion", "--json"],
    ],
    ids=" ".join,
)
def test_out_has_what_stdout_has(
    run_cli: Callable, model: FakeModel, index: Path, texts: Path, tmp_path: Path, arguments: list[str]
) -> None:
    words = [word.format(index=index, texts=texts) for word in arguments]
    out = tmp_path / "out" / "result"
    out.parent.mkdir()
    printed, written = run_cli(*words), run_cli(*words, "-o", out)
    assert (written.exit_code, written.stdout) == (printed.exit_code, "")
    assert out.read_text().rstrip() == printed.stdout.rstrip()
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize("place", ["none/x", "."])
def test_out_that_cannot_be_written(run_cli: Callable, tmp_path: Path, place: str) -> None:
    done = run_cli("schema", "-o", tmp_path / place)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "cannot be written" in done.stderr or "is a folder" in done.stderr


def test_a_result_that_fails_leaves_the_file(run_cli: Callable, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    out.write_text("earlier")
    assert run_cli("label", "-", "-o", out, stdin="").exit_code == 3
    assert out.read_text() == "earlier"


def test_neighbours_have_one_short_option(generate, run_cli, model, index, phantoms) -> None:
    for option in ("-k", "--neighbours"):
        found = json.loads(run_cli("retrieve", index, "--text", "effusion", option, 1, "--json").stdout)
        assert len(found["reports"]) == 1
    assert options("generate")["-k"] is options("generate")["--neighbours"]


@pytest.mark.parametrize("output", [(), ("--json",), ("-o", "{tmp}/r.txt"), ("-o", "{tmp}/r/"), ("--format", "csv")])
def test_failures_and_warnings_are_listed_on_stderr(generate, phantoms, bad, tmp_path, output: tuple[str, ...]) -> None:
    lateral = Path(shutil.copy(phantoms / "normal-8bit.png", tmp_path / "x_lateral.png"))
    done = generate(lateral, bad, "--force", *(word.format(tmp=tmp_path) for word in output))
    assert f"failed: {bad.name}: " in done.stderr
    assert "\nwarning: x_lateral.png: The view is lateral" in done.stderr


def test_a_terminal_shows_failures_once(generate, bad, monkeypatch) -> None:
    import sys

    from cxreport.cli import output
    from cxreport.model.bundle import find_bundle, load_manifest
    from cxreport.output.formats import FORMATS

    class Terminal:
        def isatty(self) -> bool:
            return True

    manifest = load_manifest(find_bundle(None))
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert output.make_writer([FORMATS["text"]], manifest, None, None, {}, False).shows_warnings
    assert not output.make_writer([FORMATS["jsonl"]], manifest, None, None, {}, False).shows_warnings


@pytest.mark.parametrize(
    ("done", "total", "rate", "words"),
    [
        (0, None, 0.0, "0 studies done"),
        (3, None, 2.0, "3 studies done, 2.0 a second"),
        (3, 10, 0.0, "3 of 10 studies done"),
        (3, 10, 2.0, "3 of 10 studies done, 2.0 a second, 0:00:04 left"),
        (3, 10, 0.5, "3 of 10 studies done, 2.0 s each, 0:00:14 left"),
        (1, 100_001, 2.0, "1 of 100001 studies done, 2.0 a second, 13:53:20 left"),
        (11, 10, 2.0, "11 of 11 studies done, 2.0 a second"),
    ],
)
def test_progress_in_words(done: int, total: int | None, rate: float, words: str) -> None:
    from cxreport.cli.progress import _words

    assert _words(done, total, "studies", rate) == words


def test_the_rate_is_that_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from cxreport.cli import progress

    times = iter([100.0, 102.0])
    shown = progress.Progress(visible=True)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(times))
    shown.expect(1000)
    shown.count(900)  # 899 of an earlier run
    shown.count(904)
    (task,) = shown._bar.tasks
    assert task.description == "904 of 1000 studies done, 2.0 a second, 0:00:48 left"


def test_a_run_tells_how_many_studies_there_will_be(generate, phantoms, monkeypatch) -> None:
    from cxreport.cli.progress import Progress

    totals = []
    monkeypatch.setattr(Progress, "expect", lambda _, total: totals.append(total))
    assert generate(phantoms, "--tags-only").exit_code == 0
    assert totals == [7]


def test_a_run_of_many_files_tells_how_many_studies_there_may_be(generate, phantoms, monkeypatch) -> None:
    import importlib

    from cxreport.cli.progress import Progress

    totals = []
    monkeypatch.setattr(Progress, "expect", lambda _, total: totals.append(total))
    monkeypatch.setattr(importlib.import_module("cxreport.cli.generate"), "_FEW_FILES", 0)
    assert generate(phantoms, "--tags-only").exit_code == 0
    assert len(totals) == totals[-1] == 7
    assert totals == sorted(totals, reverse=True)
