"""Keep README.md in step with the program.

python scripts/docs.py            write the CLI reference into README.md
python scripts/docs.py --check    fail if the CLI reference is out of date
python scripts/docs.py picture    draw examples/screenshot.svg from a real run of `cxreport generate --example`
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PICTURE = ROOT / "examples" / "screenshot.svg"


def main(arguments: list[str]) -> int:
    """Do what the arguments ask for; the exit code is 1 when a check fails."""
    if arguments[:1] == ["picture"]:
        PICTURE.write_text(picture(*arguments[1:]), encoding="utf-8")
        return 0
    text = README.read_text(encoding="utf-8")
    current = filled(filled(text, "cli", reference()), "tree", source_tree())
    if arguments == ["--check"]:
        if text != current:
            print("README.md is out of date; run: python scripts/docs.py", file=sys.stderr)
        return int(text != current)
    README.write_text(current, encoding="utf-8")
    return 0


def filled(text: str, name: str, content: str) -> str:
    """Put content between the marks of a name."""
    marks = re.compile(rf"(<!-- {name}:begin[^\n]*-->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    return marks.sub(lambda match: match[1] + content + match[2], text)


def source_tree() -> str:
    """List the modules with the first lines of their docstrings, in Markdown."""
    rows = ["| file | content |\n|---|---|\n"]
    for path in sorted((ROOT / "cxreport").rglob("*.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if docstring:
            rows.append(f"| `{path.relative_to(ROOT)}` | {docstring.splitlines()[0]} |\n")
    return "".join(rows)


def reference() -> str:
    """Write the reference of all commands from the live command line."""
    from cxreport.cli.app import app

    group: Any = typer.main.get_command(app)
    return "".join(command_reference(name, command) for name, command in commands(group))


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """List all commands, those of groups too, under their full names."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def command_reference(name: str, command: Any) -> str:
    """Write a command's help, its arguments and its options, in Markdown."""
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    usage = " ".join(["cxreport", name, *(["[OPTIONS]"] if options else []), *(label(a) for a in arguments)])
    rows = [f"| `{label(p)}` | {p.help}{default(p)} |\n" for p in (*arguments, *options)]
    table = "".join(["| | |\n|---|---|\n", *rows, "\n"]) if rows else ""
    return f"### `{usage}`\n\n{command.help}\n\n{table}"


def label(parameter: Any) -> str:
    """Write a parameter as it is typed."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    value = "" if parameter.is_flag else f" {parameter.metavar}"
    return ", ".join(parameter.opts) + value.replace("|", "\\|")


def default(parameter: Any) -> str:
    """Write the default of an option that has one."""
    if parameter.param_type_name == "argument" or parameter.is_flag or parameter.default is None:
        return ""
    return f" Default: {getattr(parameter.default, 'value', parameter.default)}."


def picture(bundle: str | None = None) -> str:
    """Draw the terminal after `cxreport generate --example` as SVG."""
    import io

    from rich.console import Console

    from cxreport import Model, ReadOptions, find_bundle, generate, read_studies
    from cxreport.cli.options import EXAMPLE_FILE, example_path
    from cxreport.output.render import render

    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print("[bold]$ cxreport generate --example[/bold]", highlight=False)
    studies = read_studies([example_path()], ReadOptions())
    for outcome in generate(Model.load(find_bundle(bundle), "cpu"), studies):
        console.print(render(outcome, console))
    return console.export_svg(title=EXAMPLE_FILE, unique_id="cxreport")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
