"""File of a ledger: a SQLite database that a process which is killed leaves whole, and that others can look into."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from cxreport.errors import OutputError, UsageError

LEDGER = ".cxreport.sqlite"
"""Name of the ledger in its folder."""
_VERSION = 1
_WAIT_S = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS files(path TEXT PRIMARY KEY, size INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    arrived REAL NOT NULL, kind TEXT, study TEXT, instance TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS files_of_study ON files(study);
CREATE INDEX IF NOT EXISTS files_to_identify ON files(arrived) WHERE kind IS NULL;
CREATE TABLE IF NOT EXISTS studies(key TEXT PRIMARY KEY, id TEXT NOT NULL, state TEXT NOT NULL, first REAL NOT NULL,
    last REAL NOT NULL, code TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0, retry REAL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS studies_by_state ON studies(state, first);
CREATE INDEX IF NOT EXISTS studies_to_retry ON studies(retry) WHERE retry IS NOT NULL;
CREATE TABLE IF NOT EXISTS results(name TEXT PRIMARY KEY, study TEXT NOT NULL, digest TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS results_of_study ON results(study);
CREATE INDEX IF NOT EXISTS results_by_state ON results(state);
"""


class LedgerFile:
    """Open file of a ledger; each thread opens its own.

    Args:
        folder: that holds it; the ledger is made where there is none.
        must_exist: refuse a folder without one.

    Raises:
        UsageError: it cannot be opened, is damaged, or is of another version.
    """

    def __init__(self, folder: Path, *, must_exist: bool = False) -> None:
        self.path = folder / LEDGER
        if must_exist and not self.path.is_file():
            hint = "Name the --inbox of `cxreport listen`, or the --out of `cxreport watch`."
            raise UsageError(f"{folder}: nothing has arrived here.", hint=hint)
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))  # the files beside it get the same mode
            self._database = sqlite3.connect(self.path, timeout=_WAIT_S, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._make_tables()
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be opened ({error.strerror}).") from error
        except sqlite3.Error as error:
            hint = "Move it away: what is in the folder is then drafted anew."
            raise UsageError(f"{self.path}: cannot be used ({error}).", hint=hint) from error

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A change that is made as a whole or not at all.

        Raises:
            OutputError: it cannot be made.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutputError(f"{self.path}: cannot be written ({error}).") from error

    def rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows that a query gives.

        Raises:
            OutputError: the file cannot be read.
        """
        try:
            yield from self._database.execute(query, values)
        except sqlite3.Error as error:
            raise OutputError(f"{self.path}: cannot be read ({error}).") from error

    def _make_tables(self) -> None:
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._database.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise UsageError(
                f"{self.path}: is of another version of cxreport.",
                hint="Use that version, or move the file away: what is in the folder is then drafted anew.",
            )
