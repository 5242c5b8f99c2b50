"""Ledger of an inbox: what arrived, what became of each study, and which results are still to be delivered.

It is a SQLite file in the write-ahead mode, so that a process that is killed leaves it whole, and others can look into
it meanwhile. It holds names of files, pseudonyms and codes of errors, and no value of a header.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from cxreport.arrivals.identity import FileKind
from cxreport.arrivals.ledger_file import LedgerFile
from cxreport.arrivals.states import (
    ArrivedFile,
    Counts,
    DueStudy,
    IdentifiedFile,
    ResultFile,
    ResultState,
    StudyState,
    StudyStatus,
)

_DRAFTED = f"state IN ('{StudyState.DRAFTED}', '{StudyState.DELIVERED}')"


class Ledger(LedgerFile):
    """Open ledger; each thread opens its own.

    Args:
        folder: that it is in.
        must_exist: refuse to make one.
    """

    def __init__(self, folder: Path, *, must_exist: bool = False) -> None:
        super().__init__(folder, must_exist=must_exist)
        self._offered: dict[str, str] = {}
        """Digests of the results that were pending at the last look: what is drafted anew meanwhile stays so."""

    # Files

    def add(self, files: Iterable[ArrivedFile], now: float) -> None:
        """Enter files that arrived at this time, or changed: they are to be identified. Others stay as they are."""
        statement = (
            "INSERT INTO files(path, size, changed_ns, arrived) VALUES (?, ?, ?, ?) ON CONFLICT(path) DO UPDATE "
            "SET size = excluded.size, changed_ns = excluded.changed_ns, arrived = excluded.arrived, kind = NULL "
            "WHERE size != excluded.size OR changed_ns != excluded.changed_ns"
        )
        with self.transaction() as database:
            database.executemany(statement, ((file.path, file.size, file.changed_ns, now) for file in files))

    def known(self) -> dict[str, tuple[int, int]]:
        """Size and time of change of every file, by its path."""
        return {path: (size, ns) for path, size, ns in self.rows("SELECT path, size, changed_ns FROM files")}

    def unidentified(self, most: int) -> list[str]:
        """Paths of files that are to be identified, in the order in which they arrived."""
        query = "SELECT path FROM files WHERE kind IS NULL ORDER BY arrived, path LIMIT ?"
        return [path for (path,) in self.rows(query, most)]

    def enter(self, files: Iterable[IdentifiedFile]) -> None:
        """Enter what files are, and have the studies of images drafted, or drafted anew."""
        with self.transaction() as database:
            for file in files:
                kind = self._kind(file)
                row = (kind, file.study, file.instance, file.path)
                database.execute("UPDATE files SET kind = ?, study = ?, instance = ? WHERE path = ?", row)
                if kind is FileKind.IMAGE:
                    database.execute(
                        "INSERT INTO studies(key, id, state, first, last) SELECT ?, ?, ?, arrived, arrived FROM files "
                        "WHERE path = ? ON CONFLICT(key) DO UPDATE SET state = excluded.state, code = '', "
                        "message = '', attempts = 0, retry = NULL, last = max(last, excluded.last), "
                        "first = CASE state WHEN excluded.state THEN first ELSE excluded.first END",
                        (file.study, file.id, StudyState.RECEIVED, file.path),
                    )

    def _kind(self, file: IdentifiedFile) -> FileKind:
        """The kind of a file, which is a duplicate where its study has been drafted with the same instance."""
        if file.kind is not FileKind.IMAGE or not file.instance:
            return file.kind
        query = (
            "SELECT 1 FROM files JOIN studies ON studies.key = files.study WHERE files.study = ? AND instance = ? "
            f"AND path != ? AND kind = ? AND {_DRAFTED}"
        )
        drafted = self.rows(query, file.study, file.instance, file.path, FileKind.IMAGE)
        return FileKind.DUPLICATE if next(drafted, None) else file.kind

    def forget(self, paths: Iterable[str]) -> None:
        """Take files out that are gone; a duplicate of one, as a file that was moved, is looked at again."""
        renewed = (
            "UPDATE files SET kind = NULL WHERE kind = ? AND EXISTS (SELECT 1 FROM files AS gone WHERE gone.path = ? "
            "AND gone.kind = ? AND gone.study = files.study AND gone.instance = files.instance)"
        )
        with self.transaction() as database:
            for path in paths:
                database.execute(renewed, (FileKind.DUPLICATE, path, FileKind.IMAGE))
                database.execute("DELETE FROM files WHERE path = ?", (path,))

    # Studies

    def due(self, now: float, quiet: float, at_most: float, most: int) -> list[DueStudy]:
        """Studies to draft: nothing more of them came for a while, or the first of their files waits for too long.

        Args:
            now: seconds since the epoch.
            quiet: seconds since the last file of a study.
            at_most: seconds since the first one.
            most: number of studies.

        Returns:
            The studies that wait for the longest, each with the paths of its images.
        """
        query = (  # a clock that was put back makes nobody wait
            "SELECT key, id, attempts FROM studies WHERE state = ? AND "
            "(? - last NOT BETWEEN 0 AND ? OR ? - first NOT BETWEEN 0 AND ?) OR retry <= ? ORDER BY first LIMIT ?"
        )
        found = self.rows(query, StudyState.RECEIVED, now, quiet - 1e-9, now, at_most, now, most)
        return [DueStudy(key, id_, self._images(key), attempts) for key, id_, attempts in list(found)]

    def _images(self, key: str) -> tuple[str, ...]:
        query = "SELECT path FROM files WHERE study = ? AND kind = ? ORDER BY arrived, path"
        return tuple(path for (path,) in self.rows(query, key, FileKind.IMAGE))

    def drafted(self, key: str, results: Sequence[ResultFile]) -> None:
        """Enter the results of a study, whose files are in place; those to be delivered that are new are pending."""
        with self.transaction() as database:
            for result in results:
                state = ResultState.PENDING if result.to_deliver else ResultState.KEPT
                database.execute(
                    "INSERT INTO results(name, study, digest, state) VALUES (?, ?, ?, ?) ON CONFLICT(name) DO UPDATE "
                    "SET study = excluded.study, digest = excluded.digest, state = excluded.state, reason = '', "
                    "attempts = 0 "
                    "WHERE digest != excluded.digest OR state != 'delivered'",
                    (result.name, key, result.digest, state),
                )
            names = [result.name for result in results]
            marks = ", ".join("?" * len(names))
            database.execute(f"DELETE FROM results WHERE study = ? AND name NOT IN ({marks})", (key, *names))
            database.execute(
                "UPDATE studies SET state = ?, code = '', message = '', attempts = 0, retry = NULL WHERE key = ?",
                (StudyState.DRAFTED, key),
            )
            _settle(database, key)

    def failed(self, key: str, code: str, message: str, retry: float | None = None) -> None:
        """Enter why a study has no report, and when to try it again, if at all."""
        with self.transaction() as database:
            database.execute(
                "UPDATE studies SET state = ?, code = ?, message = ?, attempts = attempts + 1, retry = ? WHERE key = ?",
                (StudyState.FAILED, code, message, retry, key),
            )

    def remove(self, key: str) -> None:
        """Take a study out of which nothing is left."""
        with self.transaction() as database:
            database.execute("DELETE FROM studies WHERE key = ?", (key,))

    # Deliveries

    def pending(self, most: int) -> list[str]:
        """Names of results to deliver, those of the studies that arrived first before others."""
        query = (
            "SELECT name, digest FROM results JOIN studies ON key = study WHERE results.state = ? "
            "ORDER BY results.attempts, first, name LIMIT ?"
        )
        self._offered = dict(self.rows(query, ResultState.PENDING, most))
        return list(self._offered)

    def delivered(self, name: str) -> None:
        """Enter that a result has arrived; its study is delivered with the last of them."""
        self._set_result(name, ResultState.DELIVERED)

    def refused(self, name: str, reason: str) -> None:
        """Enter that the destination does not take a result, and why."""
        self._set_result(name, ResultState.REFUSED, reason)

    def postponed(self, name: str, reason: str) -> None:
        """Enter why a result could not be delivered just now; it stands behind others from now on."""
        with self.transaction() as database:
            query = "UPDATE results SET reason = ?, attempts = attempts + 1 WHERE name = ?"
            database.execute(query, (reason, name))

    def held_up(self, reason: str) -> None:
        """Enter why no result can be delivered just now."""
        with self.transaction() as database:
            query = "UPDATE results SET reason = ? WHERE state = ? AND reason != ?"
            database.execute(query, (reason, ResultState.PENDING, reason))

    def _set_result(self, name: str, state: ResultState, reason: str = "") -> None:
        with self.transaction() as database:
            query = "UPDATE results SET state = ?, reason = ? WHERE name = ? AND digest = coalesce(?, digest)"
            database.execute(query, (state, reason, name, self._offered.get(name)))
            for (key,) in list(self.rows("SELECT study FROM results WHERE name = ?", name)):
                _settle(database, key)

    # Status

    def counts(self) -> Counts:
        """Numbers of files, studies and results by what became of them."""
        files = dict(self.rows("SELECT kind, count(*) FROM files GROUP BY kind"))
        studies = dict(self.rows("SELECT state, count(*) FROM studies GROUP BY state"))
        results = dict(self.rows("SELECT state, count(*) FROM results GROUP BY state"))
        return Counts(
            files=sum(files.values()),
            own_results=files.get(FileKind.OWN_RESULT, 0),
            received=studies.get(StudyState.RECEIVED, 0),
            drafted=studies.get(StudyState.DRAFTED, 0),
            delivered=studies.get(StudyState.DELIVERED, 0),
            failed=studies.get(StudyState.FAILED, 0),
            unidentified=files.get(None, 0),
            pending=results.get(ResultState.PENDING, 0),
            refused=results.get(ResultState.REFUSED, 0),
        )

    def unfinished(self) -> Iterator[StudyStatus]:
        """Studies that failed, and those of which a result is not delivered, with the reasons."""
        query = "SELECT id, state, code, message FROM studies WHERE state = ? ORDER BY first"
        for id_, state, code, message in self.rows(query, StudyState.FAILED):
            yield StudyStatus(id_, StudyState(state), code, message)
        query = (
            "SELECT id, name, results.state, reason FROM results JOIN studies ON key = study "
            "WHERE results.state IN (?, ?) ORDER BY first, name"
        )
        for id_, name, state, reason in self.rows(query, ResultState.PENDING, ResultState.REFUSED):
            yield StudyStatus(id_, StudyState.DRAFTED, f"{state}", f"{name}: {reason}" if reason else name)

    def rerun(self, ids: Sequence[str] | None) -> tuple[int, int]:
        """Have studies drafted again, and refused results delivered again.

        Args:
            ids: pseudonyms of the studies; None takes those that failed.

        Returns:
            Numbers of studies to draft, and of results to deliver.
        """
        chosen = "state = 'failed'" if ids is None else f"id IN ({', '.join('?' * len(ids))})"
        values = () if ids is None else tuple(ids)
        with self.transaction() as database:
            results = database.execute(
                "UPDATE results SET state = 'pending', reason = '' WHERE state = 'refused'"
                + ("" if ids is None else f" AND study IN (SELECT key FROM studies WHERE {chosen})"),
                values,
            ).rowcount
            studies = database.execute(
                f"UPDATE studies SET state = ?, first = 0, last = 0, attempts = 0, retry = NULL WHERE {chosen}",
                (StudyState.RECEIVED, *values),
            ).rowcount
        return studies, results


def _settle(database: sqlite3.Connection, key: str) -> None:
    """A drafted study is delivered when some of its results were, and none is left to be."""
    database.execute(
        "UPDATE studies SET state = ? WHERE key = ? AND state = ? "
        "AND EXISTS (SELECT 1 FROM results WHERE study = key AND state = 'delivered') "
        "AND NOT EXISTS (SELECT 1 FROM results WHERE study = key AND state IN ('pending', 'refused'))",
        (StudyState.DELIVERED, key, StudyState.DRAFTED),
    )
