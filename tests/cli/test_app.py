from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer.main

from cxreport import __version__
from cxreport.cli.app import COMMANDS, app, command_line
from cxreport.errors import CxreportError, ExitCode

NAMES = [f"{group} {command}".split() for group, commands in COMMANDS.items() for command in commands]


def test_version(run_cli) -> None:
    assert run_cli("--version").stdout == f"cxreport {__version__}\n"


@pytest.mark.parametrize("command", [[], ["index"]], ids=str)
def test_a_group_lists_its_commands(run_cli, command: list[str]) -> None:
    listed = run_cli(*command, "--help").stdout
    assert all(f"│ {name} " in listed for *group, name in NAMES if group == command)


@pytest.mark.parametrize("command", NAMES, ids=" ".join)
def test_help(run_cli, command: list[str]) -> None:
    result = run_cli(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout
    assert "None" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("command", NAMES, ids=" ".join)
def test_help_explains_exit_codes_as_their_table_does(run_cli, command: list[str]) -> None:
    words = " ".join(run_cli(*command, "--help").stdout.split())
    meanings = re.search(r"Exit codes: (.*?)\.", words)[1].split(", ")
    assert set(meanings) <= {f"{code} {code.meaning}" for code in ExitCode}
    assert {f"{code} {code.meaning}" for code in map(ExitCode, (0, 1, 2, 130))} <= set(meanings)


@pytest.mark.parametrize("command", NAMES, ids=" ".join)
def test_a_run_builds_only_the_command_that_it_names(command: list[str]) -> None:
    node = typer.main.get_command(command_line([*command, "--json"]))
    for name in command:
        assert list(node.commands) == [name]
        node = node.commands[name]


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["index"], ["index", "generate"], ["genrate"], ["build"]], ids=str
)
def test_a_run_that_names_no_command_builds_all(arguments: list[str]) -> None:
    assert list(typer.main.get_command(command_line(arguments)).commands) == [*COMMANDS[""], "index"]


PAGE = """
import sys
from cxreport.cli.app import command_line
{before}
try: command_line(sys.argv[1:])()
except SystemExit: print(sorted({{'rich.markdown', 'rich.traceback'}} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["index", "--help"], ["generate", "--help"]], ids=" ".join)
def test_a_help_page_is_typers_own_without_what_it_does_not_use(arguments: list[str]) -> None:
    pages = []
    for before in ("", "import typer.rich_utils"):
        command = [sys.executable, "-c", PAGE.format(before=before), *arguments]
        pages.append(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120))
    quick, own = pages
    assert quick.stdout == own.stdout
    assert quick.stderr == "[]\n"
    assert "rich.markdown" in own.stderr


def errors(base: type[CxreportError] = CxreportError) -> list[type[CxreportError]]:
    return [base, *(error for kind in base.__subclasses__() for error in errors(kind))]


ENDS_OF_A_RUN = {ExitCode.HUNG_UP, ExitCode.INTERRUPTED, ExitCode.TERMINATED}


def test_every_exit_code_has_an_error_or_is_the_end_of_a_run() -> None:
    assert {error.exit_code for error in errors()} == set(ExitCode) - {ExitCode.OK, *ENDS_OF_A_RUN}
    assert len({code.meaning for code in ExitCode}) == len(ExitCode)


@pytest.mark.parametrize("command", NAMES, ids=" ".join)
def test_values_of_options_have_a_name_in_the_documentation(command: list[str]) -> None:
    node = typer.main.get_command(app)
    for name in command:
        node = node.commands[name]
    assert not [option.opts for option in node.params if not (option.metavar or getattr(option, "is_flag", False))]
