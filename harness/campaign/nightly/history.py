"""The history: one SQLite file, written so that a crash at any moment leaves it whole."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import platformdirs

from harness.campaign.nightly import trend
from harness.campaign.nightly.records import (
    Bisected,
    Cell,
    CellState,
    Night,
    NightState,
    Place,
    Result,
    Verdict,
)
from harness.errors import InfraError, UserError

WINDOW = 14  # nights that a verdict looks at

# One script for each version of the form; a new one is added, none is changed.
_MIGRATIONS = (
    """
    CREATE TABLE night (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, started TEXT NOT NULL, ended TEXT NOT NULL, state TEXT NOT NULL,
        version TEXT NOT NULL
    ) STRICT;
    CREATE TABLE place (
        id INTEGER PRIMARY KEY, tree TEXT NOT NULL, series TEXT NOT NULL, target TEXT NOT NULL, flavour TEXT NOT NULL,
        suite TEXT NOT NULL, UNIQUE (tree, series, target, flavour, suite)
    ) STRICT;
    CREATE TABLE cell (
        id INTEGER PRIMARY KEY, night INTEGER NOT NULL REFERENCES night ON DELETE CASCADE,
        place INTEGER NOT NULL REFERENCES place, spec TEXT NOT NULL, "commit" TEXT NOT NULL, version TEXT NOT NULL,
        key TEXT NOT NULL, state TEXT NOT NULL, verdict TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL,
        folder TEXT NOT NULL, same INTEGER NOT NULL, accelerator TEXT NOT NULL, started TEXT NOT NULL,
        repo TEXT NOT NULL, UNIQUE (night, place)
    ) STRICT;
    CREATE INDEX cell_key ON cell (place, key, state);
    CREATE TABLE scenario (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE result (
        cell INTEGER NOT NULL REFERENCES cell ON DELETE CASCADE, scenario INTEGER NOT NULL REFERENCES scenario,
        base TEXT NOT NULL, status TEXT NOT NULL, change TEXT NOT NULL, reason TEXT NOT NULL, seconds REAL NOT NULL,
        splats TEXT NOT NULL, evidence TEXT NOT NULL, tries TEXT NOT NULL, quarantined TEXT NOT NULL,
        PRIMARY KEY (cell, scenario)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE bisected (
        id INTEGER PRIMARY KEY, cell INTEGER NOT NULL REFERENCES cell ON DELETE CASCADE, scenario TEXT NOT NULL,
        culprit TEXT NOT NULL, subject TEXT NOT NULL, author TEXT NOT NULL, proved INTEGER NOT NULL,
        conclusion TEXT NOT NULL, folder TEXT NOT NULL
    ) STRICT;
    """,
)
_PLACE = "place.tree, place.series, place.target, place.flavour, place.suite"
_CELL = (
    f'cell.id, cell.night, {_PLACE}, cell.spec, cell."commit", cell.version, cell.key, cell.state, cell.verdict,'
    " cell.reason, cell.seconds, cell.folder, cell.same, cell.accelerator, cell.started, cell.repo"
)
_RESULT = (
    "result.cell, scenario.name, result.base, result.status, result.change, result.reason, result.seconds,"
    " result.splats, result.evidence, result.tries, result.quarantined"
)


_LEAST = 256 << 10  # bytes; SQLite needs some for its log and its index even to read


class History:
    """``with History(file) as history``; threads may share it."""

    def __init__(self, file: Path, *, read_only: bool = False) -> None:
        """Raises UserError for a file of a later version, InfraError when it cannot be opened."""
        self._file, self._lock = file, threading.RLock()
        if read_only and not file.exists():
            raise UserError(f"there is no history {file}", "kph nightly makes one")
        with self._told():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=60)
            self._db.execute("PRAGMA foreign_keys = ON")
            if not read_only:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
            self._migrate()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise UserError(
                f"{self._file} was written by a later kph (form {version})", "use that one, or another file"
            )
        for number in range(version, len(_MIGRATIONS)):
            self._db.executescript(f"BEGIN; {_MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, sqlite3.DatabaseError, OSError) as error:
            hint = f"kph history --check --history {self._file} says what is wrong; what was committed is kept"
            # For files that it maps SQLite tells of an I/O error only.
            if "full" in str(error) or _free(self._file.parent) < _LEAST:
                hint = "the disk is full: free some space; nothing that was kept is lost"
            raise InfraError(f"the history {self._file}: {error}", hint) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """All of the block is kept, or nothing of it."""
        with self._lock, self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock, self._told():
            return self._db.execute(query, values).fetchall()

    # --- nights ------------------------------------------------------------------
    def begin(self, name: str, version: str) -> Night:
        """A new night; those of this name that still run were cut off, and are marked so."""
        with self._writing() as db:
            db.execute(
                "UPDATE night SET state = ? WHERE name = ? AND state = ?", (NightState.CUT, name, NightState.RUNNING)
            )
            night = db.execute(
                "INSERT INTO night (name, started, ended, state, version) VALUES (?, ?, '', ?, ?) RETURNING *",
                (name, now(), NightState.RUNNING, version),
            ).fetchone()
        return _night(night)

    def unfinished(self, name: str) -> Night | None:
        """The last night of this name, if it has not ended."""
        rows = self._rows("SELECT * FROM night WHERE name = ? ORDER BY id DESC LIMIT 1", name)
        found = _night(rows[0]) if rows else None
        return found if found and found.state is NightState.RUNNING else None

    def end(self, night: int, state: NightState = NightState.DONE) -> None:
        with self._writing() as db:
            db.execute("UPDATE night SET state = ?, ended = ? WHERE id = ?", (state, now(), night))

    def nights(self, name: str = "", limit: int = -1, until: int = 1 << 62) -> list[Night]:
        """The last ``limit`` nights up to the one called ``until``, the oldest first; of all names without one."""
        query = "SELECT * FROM night WHERE ? IN ('', name) AND id <= ? ORDER BY id DESC LIMIT ?"
        return [_night(row) for row in reversed(self._rows(query, name, until, limit))]

    def night(self, number: int) -> Night | None:
        rows = self._rows("SELECT * FROM night WHERE id = ?", number)
        return _night(rows[0]) if rows else None

    # --- cells -------------------------------------------------------------------
    def add(self, cell: Cell) -> Cell:
        """Keep a new cell; the same with its id."""
        place = dataclasses.astuple(cell.place)
        with self._writing() as db:
            db.execute(
                "INSERT OR IGNORE INTO place (tree, series, target, flavour, suite) VALUES (?, ?, ?, ?, ?)", place
            )
            (number,) = db.execute(
                "SELECT id FROM place WHERE (tree, series, target, flavour, suite) = (?, ?, ?, ?, ?)", place
            ).fetchone()
            (new,) = db.execute(
                'INSERT INTO cell (night, place, spec, "commit", version, key, state, verdict, reason, seconds, folder,'
                " same, accelerator, started, repo) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (cell.night, number, *_own(cell)),
            ).fetchone()
        return dataclasses.replace(cell, id=new)

    def update(self, cell: Cell, results: Sequence[Result] | None = None) -> None:
        """Keep what became of ``cell``, and with it all of its results, or nothing."""
        with self._writing() as db:
            db.execute(
                'UPDATE cell SET (spec, "commit", version, key, state, verdict, reason, seconds, folder, same,'
                " accelerator, started, repo) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
                (*_own(cell), cell.id),
            )
            if results is None:
                return
            db.execute("DELETE FROM result WHERE cell = ?", (cell.id,))
            names = [(each.scenario,) for each in results]
            db.executemany("INSERT OR IGNORE INTO scenario (name) VALUES (?)", names)
            db.executemany(
                "INSERT INTO result SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM scenario WHERE name = ?",
                [(cell.id, *_values(each), each.scenario) for each in results],
            )

    def cells(self, night: int) -> list[Cell]:
        """Of a night, in the order in which they were planned."""
        return self._cells("WHERE cell.night = ? ORDER BY cell.id", night)

    def cell(self, number: int) -> Cell | None:
        return next(iter(self._cells("WHERE cell.id = ?", number)), None)

    def measured(self, place: Place, key: str) -> Cell | None:
        """The last cell at ``place`` with results of its own for the inputs ``key``."""
        where = f"WHERE ({_PLACE}) = (?, ?, ?, ?, ?) AND cell.key = ? AND cell.state = ? ORDER BY cell.id DESC LIMIT 1"
        return next(iter(self._cells(where, *dataclasses.astuple(place), key, CellState.DONE)), None)

    def last(self, place: Place, before: int = 1 << 62, count: int = 1) -> list[Cell]:
        """The last cells at ``place`` that have results, in nights before the one called ``before``; newest first."""
        where = (
            f"WHERE ({_PLACE}) = (?, ?, ?, ?, ?) AND cell.state IN (?, ?) AND cell.night < ?"
            " ORDER BY cell.id DESC LIMIT ?"
        )
        states = (CellState.DONE, CellState.UNCHANGED)
        return self._cells(where, *dataclasses.astuple(place), *states, before, count)

    def _cells(self, where: str, *values: object) -> list[Cell]:
        query = f"SELECT {_CELL} FROM cell JOIN place ON place.id = cell.place {where}"
        return [_cell(row) for row in self._rows(query, *values)]

    # --- results -------------------------------------------------------------------
    def places(self) -> list[Place]:
        """Every place that a night has had, those of the first nights first."""
        return [Place(*row) for row in self._rows(f"SELECT {_PLACE} FROM place ORDER BY id")]

    def scenarios(self) -> list[str]:
        """The names of all scenarios that have a result."""
        return [name for (name,) in self._rows("SELECT name FROM scenario ORDER BY name")]

    def results(self, cell: Cell) -> list[Result]:
        """Its own, or those of the cell whose inputs it shares."""
        query = (
            f"SELECT {_RESULT} FROM result JOIN scenario ON scenario.id = result.scenario WHERE cell = ? ORDER BY name"
        )
        return [_result(row) for row in self._rows(query, cell.same or cell.id)]

    def timeline(self, place: Place, scenario: str, limit: int = -1) -> list[tuple[Night, Cell, Result]]:
        """The scenario at ``place`` in its last nights, the oldest first."""
        query = (
            f"SELECT night.id, night.name, night.started, night.ended, night.state, night.version, {_CELL}, {_RESULT}"
            " FROM cell JOIN place ON place.id = cell.place JOIN night ON night.id = cell.night"
            " JOIN result ON result.cell = iif(cell.same, cell.same, cell.id)"
            f" JOIN scenario ON scenario.id = result.scenario WHERE ({_PLACE}) = (?, ?, ?, ?, ?) AND scenario.name = ?"
            " ORDER BY cell.id DESC LIMIT ?"
        )
        rows = self._rows(query, *dataclasses.astuple(place), scenario, limit)
        return [(_night(row[:6]), _cell(row[6:26]), _result(row[26:])) for row in reversed(rows)]

    def verdicts(self, name: str, window: int = WINDOW, until: int = 1 << 62) -> list[Verdict]:
        """Every scenario at every place of the last night of this name that has results, over its last nights.

        ``until``: as it was after the night called so.
        """
        seen: dict[tuple[Place, str], list[tuple[trend.Seen, Result]]] = {}
        nights = self.nights(name, window, until)
        for night in nights:
            for cell in self.cells(night.id):
                if cell.state in (CellState.DONE, CellState.UNCHANGED):
                    for result in self.results(cell):
                        # What was not run again says nothing new.
                        tries = () if cell.same else result.tries
                        each = trend.Seen(night.started, result.status, cell.key, tries)
                        seen.setdefault((cell.place, result.scenario), []).append((each, result))
        found = []
        for (place, scenario), rows in seen.items():
            judged = trend.judge([each for each, _ in rows])
            found.append(Verdict(place, scenario, judged.trend, judged.since, judged.rate, rows[-1][1]))
        return found

    # --- all of it, for readers who look at everything ------------------------------
    def every_cell(self) -> list[Cell]:
        """In the order in which they were planned."""
        return self._cells("ORDER BY cell.id")

    def every_result(self) -> list[Result]:
        """Those of their own of all cells, cell after cell; in each by the scenario's name."""
        query = f"SELECT {_RESULT} FROM result JOIN scenario ON scenario.id = result.scenario ORDER BY cell, name"
        return [_result(row) for row in self._rows(query)]

    def moved(self) -> int:
        """A number that is another one when another connection has changed the history since."""
        ((number,),) = self._rows("PRAGMA data_version")
        return int(number)

    # --- bisections ------------------------------------------------------------------
    def add_bisected(self, found: Bisected) -> Bisected:
        values = (found.cell, found.scenario, found.culprit, found.subject, found.author, int(found.proved))
        with self._writing() as db:
            (number,) = db.execute(
                "INSERT INTO bisected (cell, scenario, culprit, subject, author, proved, conclusion, folder)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (*values, found.conclusion, found.folder),
            ).fetchone()
        return dataclasses.replace(found, id=number)

    def bisections(self, cell: int | None = None) -> list[Bisected]:
        """Of one cell, or all."""
        rows = self._rows("SELECT * FROM bisected WHERE ?1 IS NULL OR cell = ?1 ORDER BY id", cell)
        return [_bisected(row) for row in rows]

    # --- care ----------------------------------------------------------------------
    def forget(self, before: str) -> int:
        """Remove nights that started before ``before`` (ISO 8601), but none whose results another needs; how many."""
        with self._writing() as db:
            gone = db.execute(
                "DELETE FROM night WHERE started < ? AND state != ? AND NOT EXISTS (SELECT 1 FROM cell AS own"
                " JOIN cell AS other ON other.same = own.id AND other.night != own.night WHERE own.night = night.id)",
                (before, NightState.RUNNING),
            ).rowcount
            db.execute("DELETE FROM scenario WHERE id NOT IN (SELECT scenario FROM result)")
        return gone

    def check(self) -> list[str]:
        """What is wrong with it, in words; nothing when it is whole."""
        found = [f"SQLite: {row[0]}" for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
        found += [f"a row of {row[0]} points to no row of {row[2]}" for row in self._rows("PRAGMA foreign_key_check")]
        wrong = (
            ("night %s has ended and cell %s of it is said to run",
             "SELECT night.id, cell.id FROM cell JOIN night ON night.id = cell.night WHERE night.state = 'done'"
             " AND cell.state IN ('running', 'planned')"),
            ("cell %s of night %s has ended and has no result",
             "SELECT cell.id, cell.night FROM cell WHERE state = 'done' AND verdict != 'error' AND NOT EXISTS"
             " (SELECT 1 FROM result WHERE result.cell = cell.id)"),
            ("cell %s has the results of cell %s, which there is not",
             "SELECT cell.id, cell.same FROM cell WHERE same != 0 AND NOT EXISTS"
             " (SELECT 1 FROM cell AS own WHERE own.id = cell.same)"),
        )  # fmt: skip
        return found + [text % row for text, query in wrong for row in self._rows(query)]


def default_file() -> Path:
    """The history of this user's nights, unless another is named."""
    return platformdirs.user_state_path("kph") / "history.sqlite"


def now() -> str:
    """The time, ISO 8601 in UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def _own(cell: Cell) -> tuple[object, ...]:
    made = (cell.spec, cell.commit, cell.version, cell.key, cell.state, cell.verdict, cell.reason, cell.seconds)
    return (*made, cell.folder, cell.same, cell.accelerator, cell.started, cell.repo)


def _values(result: Result) -> tuple[object, ...]:
    made = (result.base, result.status, result.change, result.reason, result.seconds, json.dumps(result.splats))
    return (*made, result.evidence, json.dumps(result.tries), result.quarantined)


def _night(row: Sequence[Any]) -> Night:
    number, name, started, ended, state, version = row
    return Night(number, name, started, ended, NightState(state), version)


def _cell(row: Sequence[Any]) -> Cell:
    number, night = row[:2]
    spec, commit, version, key, state, verdict, reason, seconds, folder, same, accelerator, started, repo = row[7:]
    return Cell(
        number, night, Place(*row[2:7]), spec, commit, version, key, CellState(state), verdict, reason, seconds, folder,
        same, accelerator, started, repo,
    )  # fmt: skip


def _bisected(row: Sequence[Any]) -> Bisected:
    number, cell, scenario, culprit, subject, author, proved, conclusion, folder = row
    return Bisected(number, cell, scenario, culprit, subject, author, bool(proved), conclusion, folder)


def _result(row: Sequence[Any]) -> Result:
    cell, scenario, base, status, change, reason, seconds, splats, evidence, tries, quarantined = row
    return Result(
        cell, scenario, base, status, change, reason, seconds, _words(splats), evidence, _words(tries), quarantined
    )


def _words(text: str) -> tuple[str, ...]:
    return () if text == "[]" else tuple(json.loads(text))  # nearly all are empty, and there are many


def _free(folder: Path) -> int:
    """Bytes that are left on its disk; many, when that cannot be told."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 1 << 62
