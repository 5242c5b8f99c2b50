"""Typer's help pages, without the modules of rich that they do not use here."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_UNUSED = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
"""Modules of rich -> the class that typer imports from each for its help pages, and does not use for ours.

With a parser and a highlighter they take a fifth of the time of ``--help``.
"""


def load_pages() -> None:
    """Import typer's pages without the modules that they do not use here."""
    if "typer.rich_utils" not in sys.modules:
        with _without(_UNUSED):
            importlib.import_module("typer.rich_utils")


@contextmanager
def _without(unused: dict[str, str]) -> Iterator[None]:
    """Have imports in the body find an empty class in the place of a module's."""
    absent = {name: kind for name, kind in unused.items() if name not in sys.modules}
    for name, kind in absent.items():
        module = ModuleType(name)
        setattr(module, kind, type(kind, (), {}))
        sys.modules[name] = module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
