"""Keep the documentation in step with the program.

python scripts/docs.py            write the generated blocks of docs/
python scripts/docs.py --check    fail if one of them is out of date
python scripts/docs.py picture    draw examples/screenshot.svg from a real run of `cxreport generate`

A generated block lies between two marks, ``<!-- NAME:begin ... -->`` and ``<!-- NAME:end -->``; `BLOCKS` says what
writes it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shutil
import sys
import tempfile
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer.main

from cxreport.cli.app import EXAMPLES

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "cxreport"
PICTURE = ROOT / "examples" / "screenshot.svg"
PICTURE_COMMAND = ("cxreport", "generate", "--precision", "float32", "chest.dcm")
ROOMS = (
    *("text", "model", "reading", "datasets", "retrieval", "drafting", "explain", "output", "arrivals"),
    *("train", "evaluate", "bench", "cli"),
)
"""Folders of the package in the order of their imports."""


def main(arguments: list[str]) -> int:
    """Do what the arguments ask for; the exit code is 1 when a check fails."""
    if arguments == ["picture"]:
        PICTURE.write_text(picture(), encoding="utf-8")
        return 0
    outdated = [page for page in BLOCKS if update(ROOT / page, BLOCKS[page], check=arguments == ["--check"])]
    if arguments != ["--check"]:
        return 0
    for page in outdated:
        print(f"{page} is out of date; run: python scripts/docs.py", file=sys.stderr)
    return int(bool(outdated))


def update(page: Path, blocks: dict[str, Callable[[], str]], *, check: bool) -> bool:
    """Generate the blocks of a page anew, and write it unless it is only checked; True if it was out of date."""
    text = page.read_text(encoding="utf-8")
    current = text
    for name, content in blocks.items():
        current = with_block(current, name, content())
    if current != text and not check:
        page.write_text(current, encoding="utf-8")
    return current != text


def with_block(text: str, name: str, content: str) -> str:
    """Put content between the marks of a name.

    Raises:
        ValueError: the text has no such marks.
    """
    marks = re.compile(rf"(<!-- {name}:begin[^\n]*-->\n).*?(<!-- {name}:end -->)", re.DOTALL)
    if not marks.search(text):
        raise ValueError(f"no marks of {name}")
    return marks.sub(lambda match: match[1] + content + match[2], text)


def table(*header: str, rows: Iterable[Iterable[object]]) -> str:
    """Write a table in Markdown."""
    lines = ["| " + " | ".join(map(str, cells)) + " |\n" for cells in (header, *rows)]
    return "".join([lines[0], "|" + "---|" * len(header) + "\n", *lines[1:]])


# The command line


def command_line() -> str:
    """Write the reference of all commands from the live command line."""
    from cxreport.cli.app import app

    group: Any = typer.main.get_command(app)
    return "\n".join(command_reference(name, command) for name, command in commands(group))


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
    options = [option for option in options if not option.hidden]
    usage = " ".join(["cxreport", name, *(["[OPTIONS]"] if options else []), *(label(a) for a in arguments)])
    rows = [(f"`{label(parameter)}`", parameter.help + default(parameter)) for parameter in (*arguments, *options)]
    parameters = "\n" + table("", "", rows=rows) if rows else ""
    examples = "\n".join(EXAMPLES[name])
    text = f"### cxreport {name}\n\n```text\n{usage}\n```\n\n{command.help}\n{parameters}"
    return f"{text}\n```sh\n{examples}\n```\n"


def label(parameter: Any) -> str:
    """Write a parameter as it is typed."""
    if parameter.param_type_name == "argument":
        return f"{parameter.metavar}{'...' if parameter.nargs == -1 else ''}"
    value = "" if parameter.is_flag else f" {parameter.metavar}"
    return ", ".join(parameter.opts) + value.replace("|", "\\|")


def default(parameter: Any) -> str:
    """Write the default of an option that has one."""
    if parameter.param_type_name == "argument" or parameter.is_flag or parameter.default is None:
        return ""
    return f" Default: {getattr(parameter.default, 'value', parameter.default)}."


# Tables that code owns


def failures() -> str:
    """List the kinds of errors that one study, file or line can have, from their classes."""
    from cxreport import errors

    others = [kind for kind in errors.StudyError.__subclasses__() if kind is not errors.RecordedError]
    kinds = [errors.StudyError, *others]
    codes = dict.fromkeys(kind.code for kind in kinds)
    named = {kind.code: kind for kind in kinds}
    return table(
        "code", "meaning", "hint", rows=((f"`{c}`", first_line(named[c].__doc__), named[c].hint) for c in codes)
    )


def codecs() -> str:
    """List the families of transfer syntaxes that are read, from their table."""
    from cxreport.reading.dicom.codecs import codec_rows

    return table(
        "DICOM pixels", "transfer syntaxes", "decoded by", "decoded at a fraction of the size", rows=codec_rows()
    )


def exit_codes() -> str:
    """List the exit codes from their table."""
    from cxreport.errors import ExitCode

    rows = ((code.value, f"{code.meaning}: {code.note}" if code.note else code.meaning) for code in ExitCode)
    return table("exit code", "meaning", rows=rows)


def formats() -> str:
    """List the output formats from their table."""
    from cxreport.output.formats import FORMATS

    rows = (
        (f"`{row.name}`", row.help, f"`{row.suffix}`", yes(row.holds_attention), yes(row.holds_similar))
        for row in FORMATS.values()
    )
    header = "`--format`", "document", "files of `--out DIR/`", "holds `--attention`", "holds `--retrieve`"
    return table(*header, rows=rows)


def architectures() -> str:
    """List the architectures from their table."""
    from cxreport.model.choices import Architecture

    rows = ((f"`{architecture}`", architecture.row.output, architecture.row.source) for architecture in Architecture)
    return table("`--architecture`", "writes", "after", rows=rows)


def precisions() -> str:
    """List what networks compute in, from the table of precisions."""
    from cxreport.model.choices import PRECISIONS

    rows = (
        (f"`{precision}`", ", ".join(f"`{device}`" for device in precision.row.devices), place_of(precision.row))
        for precision in PRECISIONS
    )
    return table("`--precision`", "devices", "in a bundle", rows=rows)


def place_of(row: Any) -> str:
    """Say where a bundle keeps the networks of a precision."""
    if row.folder:
        return f"a bundle of its own in `{row.folder}/`"
    return f"`{row.encoder}.onnx` in place of the encoder" if row.encoder else "the bundle itself"


def yes(value: bool) -> str:
    """Write a truth value into a table."""
    return "yes" if value else ""


def versions() -> str:
    """List the versions that this package has, and writes."""
    from cxreport import __version__, find_bundle, load_manifest
    from cxreport.model import bundle
    from cxreport.output import record, retrieval_record
    from cxreport.retrieval import index_file

    rows = (
        ("package", __version__),
        ("shipped bundle", load_manifest(find_bundle(None)).version),
        ("layout of bundles", bundle.SCHEMA_VERSION),
        ("records", record.SCHEMA_VERSION),
        ("retrievals", retrieval_record.SCHEMA_VERSION),
        ("index files", index_file.FORMAT["format_version"]),
    )
    return table("", "version", rows=rows)


def first_line(docstring: str | None) -> str:
    """Give the first line of a docstring."""
    return (docstring or "").strip().partition("\n")[0]


def public_names() -> str:
    """List the names of ``cxreport.__all__`` with the first lines of their docstrings."""
    import cxreport

    names = (name for name in cxreport.__all__ if not name.startswith("_"))
    return table("name", "content", rows=((f"`{name}`", description(getattr(cxreport, name))) for name in names))


def description(value: Any) -> str:
    """Give the first line of a value's docstring, and the members of a union."""
    if isinstance(value, types.UnionType):
        return " or ".join(f"`{member.__name__}`" for member in typing.get_args(value))
    return first_line(value.__doc__)


# The source tree


def source_tree() -> str:
    """List the modules with the first lines of their docstrings, room by room, in Markdown."""
    top = sorted(PACKAGE.glob("*.py"))
    return "\n".join([room_reference("cxreport", top), *(room_of(PACKAGE / room) for room in ROOMS)])


def room_of(folder: Path) -> str:
    """List the modules of a folder, those of its folders last."""
    modules = sorted(folder.rglob("*.py"), key=lambda path: (path.parent, path.name))
    return room_reference(f"cxreport/{folder.name}", modules)


def room_reference(title: str, modules: list[Path]) -> str:
    """Write the table of a room under its title and the docstring of the room itself."""
    summaries = {path: summary(path) for path in modules}
    about = next((text for path, text in summaries.items() if path.name == "__init__.py"), "")
    folder = modules[0].parent
    rows = [
        (f"`{path.relative_to(folder)}`", text)
        for path, text in summaries.items()
        if path.name != "__init__.py" and text
    ]
    return f"#### {title}/\n\n{about}\n\n{table('module', 'content', rows=rows)}"


def summary(path: Path) -> str:
    """Give the first line of a module's docstring."""
    return first_line(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))


# The picture


def picture() -> str:
    """Draw a terminal after `PICTURE_COMMAND` as SVG; ``chest.dcm`` is the example radiograph."""
    from rich.console import Console

    from cxreport import DISCLAIMER
    from cxreport.output.render import render

    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(f"[bold]$ {' '.join(PICTURE_COMMAND)}[/bold]\n{DISCLAIMER}", highlight=False)
    console.print(render(drawn_outcome(), console))
    return console.export_svg(title="cxreport", unique_id="cxreport")


def drawn_outcome() -> Any:
    """Draft the report of the example radiograph as `PICTURE_COMMAND` does, in float32 on the CPU."""
    from cxreport import Model, ReadOptions, find_bundle, generate, read_studies
    from cxreport.cli.options import example_path

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        path, reading = Path(shutil.copy(example_path(), PICTURE_COMMAND[-1])), ReadOptions(salt="picture")
        return next(generate(Model.load(find_bundle(None), "cpu"), read_studies([path], reading)))


BLOCKS: dict[str, dict[str, Callable[[], str]]] = {
    "docs/cli.md": {
        "exit-codes": exit_codes,
        "codecs": codecs,
        "formats": formats,
        "precisions": precisions,
        "cli": command_line,
    },
    "docs/records.md": {"failures": failures, "versions": versions},
    "docs/python.md": {"names": public_names},
    "docs/training.md": {"architectures": architectures},
    "docs/architecture.md": {"tree": source_tree},
}
"""Pages, and what writes the generated blocks of each."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
