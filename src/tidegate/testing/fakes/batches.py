"""Batches in pure Python: rows are dictionaries, files are JSON lines."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from tidegate.application.ports import EXPORTED, Contents, Kept, Mended, Segment, Table, Thinned, Whose
from tidegate.domain.canonical import canonical, sha256
from tidegate.domain.cells import as_it_was
from tidegate.domain.contract import Column, Contract, GateReport
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.keeping import Without
from tidegate.domain.masking import keyed_hash, plain
from tidegate.domain.merkle import merkle_root
from tidegate.domain.push import delivered, period_of_row, size_fault
from tidegate.domain.suggestion import Profile
from tidegate.testing.fakes.cells import (
    RowTable,
    as_kept,
    cell_again,
    cell_of,
    cell_pushed,
    plain_row,
    profile_of,
    remasked,
)


class FakeBatches:
    """Keeps JSON lines below one folder. Its digests are its own: never compare them with the real ones."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._unrecorded: set[tuple[str, str]] = set()

    def drop_digest(self, drop: Path) -> str:
        return sha256(_bytes(drop))

    def read(self, drop: Path, contract: Contract, digest: str) -> Contents:
        raw = _bytes(drop)
        if sha256(raw) != digest:
            raise BadInput(
                "drop-changed", f"got other bytes of {drop.name}, expected {digest}", "deliver it again"
            )
        if raw.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                raw = archive.read(archive.namelist()[0])
        header, *lines = list(csv.reader(io.StringIO(raw.decode(), newline=""))) or [[]]
        if not lines:
            raise BadInput("empty-drop", f"got {drop.name} without a row, expected rows", "deliver it again")
        delivered = contract.delivered or contract.columns
        names = [column.name for column in delivered]
        if wrong := sorted({*names} - {*header}) or len(header) > len({*header}):
            shown = ", ".join(map(repr, wrong)) if isinstance(wrong, list) else "a column"
            raise BadInput(
                "columns",
                f"got {shown} missing or twice, expected the contract's columns",
                "deliver it again",
            )
        for line in lines:
            if len(line) != len(header):
                raise BadInput(
                    "malformed-csv", f"got {len(line)} fields, expected {len(header)}", "deliver it again"
                )
        cells = [dict(zip(header, line, strict=True)) for line in lines]
        kept = [column.name for column in contract.columns]
        rows = ({column.name: cell_of(column, row[column.name]) for column in delivered} for row in cells)
        extra = tuple(sorted({*header} - {*names}))
        return Contents(RowTable(kept, tuple(as_kept(row, delivered, kept) for row in rows)), extra)

    def pushed(self, push: Path, contract: Contract, digest: str) -> Contents:
        raw = _bytes(push)
        if sha256(raw) != digest:
            raise BadInput("drop-changed", f"got other bytes of {push.name}, expected {digest}", "push again")
        delivered = contract.delivered or contract.columns
        names, rows, extra = [column.name for column in delivered], list[dict[str, object]](), set[str]()
        for number, line in enumerate(raw.splitlines(), 1):
            try:
                found = dict(json.loads(line))
            except (ValueError, TypeError) as error:
                raise BadInput(
                    "malformed-push", f"got line {number}, which is no object, expected one", "push again"
                ) from error
            if missing := sorted({*names} - {*found}):
                raise BadInput("columns", f"got no {missing} on line {number}, expected it", "push again")
            rows.append({column.name: cell_pushed(column, found[column.name]) for column in delivered})
            extra |= {*found} - {*names}
        if not rows:
            raise BadInput("empty-push", f"got {push.name} without a row, expected rows", "push some")
        if (
            contract.push
            and len(rows) > contract.push[1]
            and (fault := size_fault(contract, len(rows), push.name))
        ):
            raise fault
        kept = [column.name for column in contract.columns]
        return Contents(
            RowTable(kept, tuple(as_kept(row, delivered, kept) for row in rows)), tuple(sorted(extra))
        )

    def periods(self, contract: Contract, table: Table) -> tuple[str, ...]:
        rows = cast(RowTable, table).rows
        return tuple(period_of_row([row[name] for name in contract.period_columns]) for row in rows)

    def strays(self, contract: Contract, table: Table, period: str) -> tuple[int, ...]:
        named = self.periods(contract, table) if contract.period_columns else ()
        return tuple(place for place, each in enumerate(named) if not each or not delivered(each, (period,)))

    def compared(self, contract: Contract, batch: str, pushed: Sequence[str]) -> Kept:
        def rows(name: str) -> dict[str, Mapping[str, Any]]:
            lines = map(json.loads, self.path(contract.dataset, name).read_bytes().splitlines())
            return {str([row[part] for part in contract.key]): row for row in lines}

        told, found = dict[str, Mapping[str, Any]](), rows(batch)
        for part in pushed:
            told |= rows(part)
        there = [key for key in told if key in found]
        same = sum(found[key] == told[key] for key in there)
        return Kept(len(told), same, len(there) - same, len(told) - len(there))

    def mended(self, file: Path, contract: Contract, digest: str) -> Mended:
        kinds = ("string", "integer", "integer", "string")
        marks = [Column(name, kind) for name, kind in zip(EXPORTED, kinds, strict=True)]
        wide = replace(contract, columns=(*marks, *contract.columns), delivered=())
        rows = cast(RowTable, self.read(file, wide, digest).table).rows
        period, revision, row, _ = EXPORTED
        places, numbers = {(each[period], each[revision]) for each in rows}, [each[row] for each in rows]
        if len(places) != 1 or None in next(iter(places)) or len({*numbers, None}) != len(numbers) + 1:
            raise BadInput(
                "bad-rows", f"got {file.name}, expected rows of one period, each once", "export again"
            )
        names = [column.name for column in contract.columns]
        values: tuple[Mapping[str, object], ...] = tuple(
            {name: as_it_was(value) if isinstance(value := each[name], str) else value for name in names}
            for each in rows
        )
        if delivered := contract.delivered:
            values = tuple({**row, **remasked(row, delivered)} for row in values)
        return Mended(*places.pop(), tuple(numbers), RowTable(names, values))

    def restored(self, contract: Contract, batch: str, root: str, mended: Mended) -> Table:
        accepted = [json.loads(line) for line in self.path(contract.dataset, batch).read_bytes().splitlines()]
        left = self.held(contract.dataset, root)
        held = {cast(int, each["row"]): cast("Mapping[str, Any]", each["values"]) for each in left}
        held |= dict(zip(mended.rows, cast(RowTable, mended.table).rows, strict=True))
        names = [column.name for column in contract.columns]
        if any(set(row) != set(names) for row in accepted):
            raise BadInput("other-columns", f"got a batch with {sorted(accepted[0])}, expected {names}", "")
        rest = iter(accepted)
        rows = (held[at] if at in held else next(rest) for at in range(len(accepted) + len(held)))
        typed = (
            {column.name: cell_again(column, row[column.name]) for column in contract.columns} for row in rows
        )
        return RowTable(names, tuple(typed))

    def accept(
        self, contract: Contract, table: Table, held: Mapping[int, tuple[str, ...]]
    ) -> tuple[str, Path]:
        kept = [plain_row(row) for i, row in enumerate(cast(RowTable, table).rows) if i not in held]
        kept.sort(key=lambda row: [str(row[name]) for name in contract.key])
        body = b"".join(canonical(row) + b"\n" for row in kept)
        digest = "tg1:" + hashlib.sha256(body).hexdigest()
        path = self._batch(contract.dataset, digest)
        if kept and not path.exists():
            self._unrecorded.add((contract.dataset, digest))
        if not path.exists() or path.read_bytes() != body or (contract.dataset, digest) in self._unrecorded:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        return digest, path

    def quarantine(self, contract: Contract, table: Table, report: GateReport) -> Segment:
        rows = cast(RowTable, table).rows
        lines = [
            canonical({"row": i, "reasons": list(report.reasons[i]), "values": plain_row(rows[i])})
            for i in sorted(report.reasons)
        ]
        root = merkle_root(lines)
        path = self._quarantine(contract.dataset, root)
        if not path.exists():
            self._unrecorded.add((contract.dataset, root))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return Segment(root, path, len(lines))

    def quarantined(self, dataset: str, root: str) -> tuple[Mapping[str, object], ...]:
        path = self._quarantine(dataset, root)
        if not path.exists():
            raise DependencyFailed("quarantine-gone", f"got no rows held back as {root}, expected them", "")
        lines = path.read_bytes().splitlines()
        if (found := merkle_root(lines)) != root:
            raise DependencyFailed(
                "quarantine-altered", f"got rows with the root {found}, expected {root}", ""
            )
        return tuple(json.loads(line) for line in lines)

    def empty(self, contract: Contract) -> Path:
        return self.accept(contract, RowTable([], ()), {})[1]

    def held(self, dataset: str, root: str) -> Iterator[Mapping[str, object]]:
        yield from self.quarantined(dataset, root)

    def values(self, dataset: str, batches: Sequence[str], column: str) -> tuple[str, ...]:
        lines = (line for batch in batches for line in self.path(dataset, batch).read_bytes().splitlines())
        found = {json.loads(line)[column] for line in lines} - {None}
        return tuple(
            sorted(value if isinstance(value, str) else canonical(value).decode() for value in found)
        )

    def whole(self, contract: Contract, batch: str, root: str) -> Table:
        types = {column.name: column for column in contract.columns}
        lines = self.path(contract.dataset, batch).read_bytes().splitlines() if batch else []
        rows = [json.loads(line) for line in lines]
        for each in self.held(contract.dataset, root):
            rows.insert(cast(int, each["row"]), each["values"])
        again = [
            {
                name: value if value is None or name not in types else cell_of(types[name], str(value))
                for name, value in row.items()
            }
            for row in rows
        ]
        came = set(again[0]) if again else set(types)
        names = [name for name in types if name in came] + sorted(came - set(types))
        return RowTable(names, tuple(again))

    def profile(self, dataset: str, batch: str) -> tuple[Profile, ...]:
        rows = [json.loads(line) for line in self.path(dataset, batch).read_bytes().splitlines()]
        return tuple(profile_of(name, [row[name] for row in rows]) for name in (rows[0] if rows else ()))

    def path(self, dataset: str, batch: str) -> Path:
        path = self._batch(dataset, batch)
        if not path.exists():
            raise DependencyFailed("batch-gone", f"got no file of the batch {batch}, expected one", "")
        if "tg1:" + hashlib.sha256(path.read_bytes()).hexdigest() != batch:
            raise DependencyFailed("batch-altered", f"got other content, expected the batch {batch}", "")
        return path

    def whose(self, contract: Contract, name: str) -> Whose:
        if not contract.subject:
            raise BadInput(
                "no-subject", f"got {contract.dataset}, expected a contract that names a subject", ""
            )
        delivered = {column.name: column for column in contract.delivered or contract.columns}
        column = delivered[contract.subject]
        try:
            value = int(name) if column.type == "integer" else name
        except ValueError:
            value = ""
        if not str(value).strip():
            raise BadInput(
                "bad-subject", f"got a subject that cannot stand in {column.name}, expected one", ""
            )
        treated = as_kept({column.name: value}, [column], [column.name])[column.name]
        texts = tuple(dict.fromkeys((str(treated), str(value))))
        return Whose(column.name, texts, anywhere=column.type == "string")

    def mark(self, whose: Whose) -> str:
        return keyed_hash(b"fake mark", whose.texts[0])

    def spared(self, contract: Contract, table: Table, marks: Collection[str]) -> Table:
        if not contract.subject:
            return table
        rows = cast(RowTable, table).rows
        kept = [row for row in rows if keyed_hash(b"fake mark", row[contract.subject]) not in marks]
        return RowTable(table.column_names, tuple(kept))

    def thinned(
        self,
        contract: Contract,
        whose: Whose | None,
        only: Collection[str] | None = None,
        *,
        write: bool = True,
    ) -> Thinned:
        dataset, files, keys = contract.dataset, [], []
        for path in sorted((self._home / "batches" / dataset).glob("*.jsonl")):
            if only is not None and f"tg1:{path.stem}" not in only:
                continue
            rows = [json.loads(line) for line in path.read_bytes().splitlines()]
            if gone := [row for row in rows if _is(row, whose)]:
                body = b"".join(canonical(row) + b"\n" for row in rows if row not in gone)
                left = hashlib.sha256(body).hexdigest()
                if write:
                    path.with_name(f"{left}.jsonl").write_bytes(body)
                files.append(Without("batch", dataset, f"tg1:{path.stem}", f"tg1:{left}", len(gone)))
                keys += [{name: str(row[name]) for name in contract.key} for row in gone]
        for path in sorted((self._home / "quarantine" / dataset).glob("*.jsonl")):
            if only is not None and f"sha256:{path.stem}" not in only:
                continue
            lines = path.read_bytes().splitlines()
            kept = [line for line in lines if not _is(json.loads(line)["values"], whose)]
            if len(kept) < len(lines):
                root = merkle_root(kept)
                if write:
                    self._quarantine(dataset, root).write_bytes(b"".join(line + b"\n" for line in kept))
                gone_rows = len(lines) - len(kept)
                files.append(Without("quarantine", dataset, f"sha256:{path.stem}", root, gone_rows))
        return Thinned(tuple(files), RowTable(list(contract.key), tuple(keys)))

    def left(self, files: Sequence[Without]) -> tuple[Without, ...]:
        return tuple(each for each in files if (path := self._of(each)) is not None and path.exists())

    def discard(self, files: Sequence[Without]) -> None:
        for each in self.left(files):
            if (path := self._of(each)) is not None:
                path.unlink()
                self._unrecorded.discard((each.place, each.digest))

    def settle(self, dataset: str, names: Collection[str]) -> None:
        self._unrecorded -= {(dataset, name) for name in names}

    def sweep(self, dataset: str, known: Collection[str], now: datetime) -> int:
        count = 0
        for place, name in sorted(self._unrecorded):
            of = self._batch if name.startswith("tg1:") else self._quarantine
            path, young = of(place, name), (now - timedelta(hours=1)).timestamp()
            if place == dataset and (name in known or path.stat().st_mtime < young):
                self._unrecorded.discard((place, name))
                if name not in known:
                    path.unlink()
                    count += 1
        return count

    def _of(self, file: Without) -> Path | None:
        if file.kind == "batch":
            return self._batch(file.place, file.digest)
        return self._quarantine(file.place, file.digest) if file.kind == "quarantine" else None

    def _batch(self, dataset: str, digest: str) -> Path:
        return self._home / "batches" / dataset / f"{_hex(digest, 'tg1:')}.jsonl"

    def _quarantine(self, dataset: str, root: str) -> Path:
        return self._home / "quarantine" / dataset / f"{_hex(root, 'sha256:')}.jsonl"


def _is(row: Mapping[str, Any], whose: Whose | None) -> bool:
    return whose is None or (row.get(whose.column) is not None and plain(row[whose.column]) in whose.texts)


def _hex(digest: str, prefix: str) -> str:
    if not re.fullmatch(f"{prefix}[0-9a-f]{{64}}", digest):
        raise BadInput("not-a-digest", f"got {digest!r}, expected {prefix} and 64 hex digits", "")
    return digest.removeprefix(prefix)


def _bytes(drop: Path) -> bytes:
    if not drop.is_file():
        raise BadInput("no-drop", f"got no file {drop.name}, expected a drop", "check the path")
    return drop.read_bytes()
