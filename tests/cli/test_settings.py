"""`--config FILE`: options from a file of TOML, where the command line does not give them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxreport.cli.app import command_line
from cxreport.cli.command.command import FILE, VARIABLE


@pytest.fixture
def picture(phantoms: Path) -> Path:
    return phantoms / "normal-8bit.png"


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "given.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own file, which is not there yet."""
    for name in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    (tmp_path / "home" / "cxreport").mkdir(parents=True)
    return tmp_path / "home" / "cxreport" / FILE


def is_json(text: str) -> bool:
    return text.startswith('{"')


@pytest.mark.parametrize(
    "text", ['format = "jsonl"', '[generate]\nformat = "jsonl"', 'format = "text"\n[generate]\nformat = "jsonl"']
)
def test_a_file_gives_options(generate, picture, settings, text: str) -> None:
    assert is_json(generate(picture, "--config", settings(text)).stdout)


def test_the_users_file_the_environment_and_the_option_go_one_before_the_other(
    generate, picture, settings, users, tmp_path, monkeypatch
) -> None:
    users.write_text('[generate]\nformat = "json"\n')
    assert generate(picture, "--tags-only").stdout.startswith("[")
    (tmp_path / "other.toml").write_text('format = "csv"')
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other.toml"))
    assert generate(picture, "--tags-only").stdout.startswith("id,")
    assert is_json(generate(picture, "--tags-only", "--config", settings("json = true")).stdout)


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ('format = "json"', ["--format", "jsonl"]),
        ('format = "csv"', ["--json"]),
        ("json = true", ["--format", "csv"]),
        ("threshold = 0.5", ["--operating-point", "balanced"]),
        ('operating-point = "sensitive"', ["--threshold", "0.5"]),
        ("beam = 3", ["--beam", "1"]),
        ("tags-only = true", ["--no-tags-only"]),
        ("quiet = true", ["--no-quiet"]),
    ],
)
def test_the_command_line_wins(generate, picture, settings, text: str, flags: list[str]) -> None:
    with_file = generate(picture, "--config", settings(text), *flags)
    without = generate(picture, *(flag for flag in flags if not flag.startswith("--no-")))
    assert (with_file.exit_code, with_file.stderr) == (0, without.stderr)
    timeless = [text.partition('"timing_ms"')[0] for text in (with_file.stdout, without.stdout)]
    assert timeless[0] == timeless[1]


def test_options_for_all_commands_reach_those_that_have_them(run_cli, settings) -> None:
    done = run_cli("info", "--json", "--config", settings('precision = "int8"\n[index.build]\nbatch-size = 4\n'))
    options = json.loads(done.stdout)["settings"]["options"]
    assert options["index build"] == {"precision": "int8", "batch-size": "4"}
    assert {name for name, values in options.items() if "precision" in values} == {
        *("generate", "retrieve", "explain", "evaluate", "bench", "index build", "listen", "watch")
    }


def test_info_shows_what_is_in_force_but_no_secret(run_cli, settings, users) -> None:
    assert json.loads(run_cli("info", "--json").stdout)["settings"] is None
    assert "settings " not in run_cli("info").stdout
    users.write_text('salt = "hush-hush"\n[generate]\nforce = true\n')
    shown = run_cli("info").stdout
    assert str(users) in "".join(shown.split())
    assert "--force (generate)" in " ".join(shown.split())
    assert "hush" not in shown + run_cli("info", "--json").stdout


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('presision = "int8"', "no command has an option 'presision'", "Did you mean 'precision'?"),
        ("[generate]\nbeem = 2", "`cxreport generate` has no option 'beem'", "Did you mean 'beam'?"),
        ("[generate]\nmax_megapixels = 2", "has no option 'max_megapixels'", "Did you mean 'max-megapixels'?"),
        ("[generat]", "there is no command 'generat'", "Did you mean 'generate'?"),
        ("[index.buld]\nforce = true", "there is no command 'index buld'", "Did you mean 'index build'?"),
        ("[schema]\nforce = true", "`cxreport schema` has no option 'force'", ""),
        ('[generate]\nbeam = "wide"', "--beam: ", ""),
        ("[generate]\nbeam = 0", "--beam: ", ""),
        ("[generate]\nbeam = [1]", "--beam is no such value", ""),
        ("[generate]\nbeam = 1979-05-27", "--beam is no such value", ""),
        ('[generate]\nformat = "docx"', "--format: 'docx' is not one of", ""),
        ('force = "yes"', "--force is true or false", ""),
        ('part = "1/2"', "'part' belongs to one run", "Give --part on the command line."),
        ("force", "is no TOML", ""),
    ],
)
@pytest.mark.parametrize("command", ["info", "generate"])
def test_what_no_command_takes_is_named(run_cli, settings, command: str, text: str, message: str, hint: str) -> None:
    path = settings(text)
    done = run_cli(command, "--config", path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {path}: ")
    assert message in done.stderr
    assert hint in done.stderr


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = [" * 5000])
def test_other_files_are_no_settings(run_cli, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    done = run_cli("info", "--config", path)
    assert done.exit_code == 2
    assert f"{path}: is no TOML" in done.stderr


def test_a_file_that_is_not_there(generate, picture, tmp_path: Path) -> None:
    done = generate(picture, "--config", tmp_path / "none.toml")
    assert done.exit_code == 2
    assert "none.toml: cannot be read (No such file or directory)" in done.stderr


def test_help_needs_no_sound_file(run_cli, settings) -> None:
    assert run_cli("generate", "--config", settings("x"), "--help").exit_code == 0


def test_errors_name_the_options_of_the_file(generate, picture, settings) -> None:
    path = settings("attention = true")
    done = generate(picture, "--config", path)
    assert done.exit_code == 2
    assert f"note: options from {path}: --attention\n" in done.stderr
    assert "note:" not in generate(picture, "--attention").stderr


def test_required_and_repeatable_options_come_from_a_file(run_cli, settings, training) -> None:
    training.calls.clear()
    path = settings('[train]\ndata = "data"\nrecipe = "plain"\n')
    done = run_cli("export", "run", "--config", path, "-o", "out")
    assert done.exit_code == 0, done.stderr
    done = run_cli("evaluate", "--config", settings('[evaluate]\nteacher = ["a.csv", "b.csv"]\nopeni = "none"\n'))
    assert "--teacher goes with --nih" in done.stderr


def test_quiet_is_for_the_commands_that_have_it_as_a_flag(run_cli, generate, picture, settings) -> None:
    """The same word of `listen` takes seconds."""
    assert generate(picture, "--tags-only", "--config", settings("quiet = true")).stderr == ""
    seconds = run_cli("listen", "--config", settings("[listen]\nquiet = true"), "--inbox", "i", "-o", "o")
    assert (seconds.exit_code, "--quiet" in seconds.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [["info", "--json"], ["index", "info", "none"]], ids=" ".join)
def test_a_command_that_a_run_builds_alone_has_the_file_checked_for_all(settings, arguments: list[str]) -> None:
    path = str(settings('[label]\nquiet = true\n[index.build]\nresume-from = "x"'))
    done = CliRunner().invoke(command_line(arguments), [*arguments, "--config", path])
    assert done.exit_code == 2
    assert "`cxreport index build` has no option 'resume-from'" in done.stderr


def test_info_alone_shows_the_options_of_all(settings, tiny_bundle) -> None:
    arguments = ["info", "--json", "--model", str(tiny_bundle)]
    path = str(settings("[label]\nquiet = true\n[generate]\nbeam = 2\n[index.info]\njson = true"))
    done = CliRunner().invoke(command_line(arguments), [*arguments, "--config", path])
    assert json.loads(done.stdout)["settings"]["options"] == {
        "generate": {"beam": "2"},
        "label": {"quiet": True},
        "index info": {"json": True},
    }
