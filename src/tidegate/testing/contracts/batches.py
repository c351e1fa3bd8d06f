"""What every implementation of the port `Batches` does with drops, and with the batches that come of them.

What it does with rows that are pushed is in `pushed_rows`, with those that are held back in `held_rows`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidegate.application.ports import Batches
from tidegate.domain.errors import BadInput, DependencyFailed
from tidegate.domain.masking import Mask, Treatment
from tidegate.domain.suggestion import Profile
from tidegate.testing.contracts.held_rows import HeldRows
from tidegate.testing.contracts.pushed_rows import PushedRows
from tidegate.testing.drops import SOME, aged, read, report, treated, write_drop
from tidegate.testing.tides import HEADER, LINES, TIDES


class BatchesContract(PushedRows, HeldRows):
    """Subclass it and give ``subject``, which keeps its files below a new folder."""

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Batches:
        raise NotImplementedError

    # ── drops ─────────────────────────────────────────────────────────────────────────────────────

    def test_a_drop_is_named_by_its_bytes(self, subject: Batches, tmp_path: Path) -> None:
        drop = write_drop(tmp_path)
        same = write_drop(tmp_path, name="again.csv")
        other = write_drop(tmp_path, LINES[:3], name="other.csv")
        assert subject.drop_digest(drop) == subject.drop_digest(same)
        assert subject.drop_digest(drop) != subject.drop_digest(other)
        assert subject.drop_digest(drop).startswith("sha256:")

    def test_a_drop_that_is_not_there_is_bad_input(self, subject: Batches, tmp_path: Path) -> None:
        for act in (subject.drop_digest, lambda path: subject.read(path, TIDES, SOME)):
            with pytest.raises(BadInput) as caught:
                act(tmp_path / "nowhere.csv")
            assert caught.value.code == "no-drop"
            assert "nowhere.csv" in caught.value.sentence

    @pytest.mark.parametrize("name", ["tides.csv", "tides.zip"])
    def test_rows_are_read_in_the_drops_order(self, subject: Batches, tmp_path: Path, name: str) -> None:
        table = read(subject, write_drop(tmp_path, name=name))
        assert table.num_rows == 4
        assert table.column_names == [column.name for column in TIDES.columns]

    @pytest.mark.parametrize(
        ("header", "line", "code", "named"),
        [
            ("station,at,level,reading", "ABC,2013-01-01T00:00:00Z,1,1", "columns", "'note'"),
            (f"{HEADER},note", "ABC,2013-01-01T00:00:00Z,1,1,,x", "columns", "twice"),
            (HEADER, "ABC,2013-01-01T00:00:00Z,high,1,", "mistyped-column", "`level`"),
            (HEADER, "ABC,2013-01-01T00:00:00Z,nan,1,", "mistyped-column", "`level`"),
            (HEADER, "ABC,2013-01-01T00:00:00Z,1,1.5,", "mistyped-column", "`reading`"),
            (HEADER, "ABC,2013-01-01T00:00:00,1,1,", "mistyped-column", "`at`"),
            (HEADER, "ABC,2013-01-01T00:00:00Z,1", "malformed-csv", "3"),
        ],
    )
    def test_a_drop_that_breaks_the_schema_is_bad_input(
        self, subject: Batches, tmp_path: Path, header: str, line: str, code: str, named: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            read(subject, write_drop(tmp_path, [line], header))
        assert caught.value.code == code
        assert named in caught.value.sentence
        assert "expected" in caught.value.sentence

    def test_a_column_that_nobody_promised_is_named_and_left_out(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        lines = ["x," + LINES[0] + ",y", "x," + LINES[1] + ",y"]
        drop = write_drop(tmp_path, lines, f"zeal,{HEADER},extra")
        contents = subject.read(drop, TIDES, subject.drop_digest(drop))
        assert contents.unpromised == ("extra", "zeal")
        without = read(subject, write_drop(tmp_path, LINES[:2], name="without.csv"))
        assert subject.accept(TIDES, contents.table, {})[0] == subject.accept(TIDES, without, {})[0]

    @pytest.mark.parametrize("text", ["", HEADER + "\n"])
    def test_a_drop_without_rows_is_bad_input(self, subject: Batches, tmp_path: Path, text: str) -> None:
        (tmp_path / "empty.csv").write_text(text)
        with pytest.raises(BadInput) as caught:
            read(subject, tmp_path / "empty.csv")
        assert caught.value.code == "empty-drop"

    def test_what_changed_since_it_was_named_is_not_read(self, subject: Batches, tmp_path: Path) -> None:
        drop = write_drop(tmp_path)
        named = subject.drop_digest(drop)
        for lines in (LINES[:3], ["ABC,2013-01-01T00:00:00Z,high,1,"]):  # also where the new bytes are bad
            write_drop(tmp_path, lines)
            with pytest.raises(BadInput) as caught:
                subject.read(drop, TIDES, named)
            assert caught.value.code == "drop-changed"
            assert "tides.csv" in caught.value.sentence
        write_drop(tmp_path)
        assert subject.read(drop, TIDES, named).table.num_rows == 4

    # ── columns that are treated ──────────────────────────────────────────────────────────────────

    def test_classified_columns_are_treated_as_a_drop_is_read(self, subject: Batches, tmp_path: Path) -> None:
        contract = treated(
            note=Treatment(Mask.HASH), reading=Treatment(Mask.DROP), at=Treatment(Mask.GENERALISE, "day")
        )
        drop = write_drop(tmp_path)
        table = subject.read(drop, contract, subject.drop_digest(drop)).table
        assert table.column_names == ["station", "at", "level", "note"]
        rows = subject.quarantine(contract, table, report(table, {1: ("T02",), 3: ("T05",)}))
        held = [each["values"] for each in subject.quarantined("tides", rows.root)]
        assert [(each["at"], each["note"][:5]) for each in held] == [("2013-01-01T00:00:00Z", "hash:")] * 2  # type: ignore[index]
        assert held[0]["note"] != held[1]["note"]  # type: ignore[index]
        assert "calm" not in str(held)

    # ── batches ───────────────────────────────────────────────────────────────────────────────────

    def test_a_batch_is_named_by_its_rows_whatever_their_order(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        turned = read(subject, write_drop(tmp_path, LINES[::-1], name="turned.csv"))
        digest, path = subject.accept(TIDES, table, {})
        assert digest.startswith("tg1:")
        assert path.is_file()
        assert subject.accept(TIDES, turned, {}) == (digest, path)

    def test_accepting_what_is_on_record_leaves_the_file_as_it_was(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        batch, path = subject.accept(TIDES, table, {})
        subject.settle("tides", (batch,))
        before = (path.read_bytes(), path.stat().st_mtime_ns)
        subject.accept(TIDES, table, {})
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before

    def test_an_accepted_batch_is_found_by_its_digest(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, path = subject.accept(TIDES, table, {})
        assert subject.path("tides", digest) == path

    def test_a_batch_that_is_gone_is_a_failed_dependency(self, subject: Batches) -> None:
        with pytest.raises(DependencyFailed) as caught:
            subject.path("tides", "tg1:" + "0" * 64)
        assert caught.value.code == "batch-gone"

    def test_a_batch_under_another_batches_name_is_noticed(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, path = subject.accept(TIDES, table, {})
        _, other = subject.accept(TIDES, table, {0: ("T05",)})
        path.write_bytes(other.read_bytes())
        with pytest.raises(DependencyFailed) as caught:
            subject.path("tides", digest)
        assert caught.value.code == "batch-altered"

    def test_a_half_written_batch_is_noticed_and_mended_by_accepting_again(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, path = subject.accept(TIDES, table, {})
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(DependencyFailed):
            subject.path("tides", digest)
        assert subject.accept(TIDES, table, {}) == (digest, path)
        assert subject.path("tides", digest) == path

    @pytest.mark.parametrize("digest", ["", "tg1:../../secrets", "tg1:abc", "sha256:" + "0" * 64])
    def test_what_is_no_digest_never_becomes_a_path(self, subject: Batches, digest: str) -> None:
        with pytest.raises(BadInput) as caught:
            subject.path("tides", digest)
        assert caught.value.code == "not-a-digest"

    def test_a_batch_is_profiled_by_column(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, _ = subject.accept(TIDES, table, {3: ("T05",)})
        found = {each.column: each for each in subject.profile("tides", digest)}
        assert set(found) == set(table.column_names)
        assert found["station"] == Profile("station", 3, 0, values=("ABC", "BCD"))
        assert found["level"] == Profile("level", 3, 1, -1.25, 0.5)
        assert found["reading"] == Profile("reading", 3, 1, 1, 2)
        assert (found["at"].rows, found["at"].nulls, found["at"].low) == (3, 0, None)
        assert found["note"].nulls == 1

    def test_values_are_listed_once_over_all_batches_sorted_and_without_nulls(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        table = read(subject, write_drop(tmp_path))
        more = read(subject, write_drop(tmp_path, ["CDE,2013-01-02T00:00:00Z,1.5,2,calm"], name="more.csv"))
        both = [subject.accept(TIDES, each, {})[0] for each in (table, more)]
        assert subject.values("tides", both, "station") == ("ABC", "BCD", "CDE")
        assert subject.values("tides", both[:1], "station") == ("ABC", "BCD")
        assert subject.values("tides", both, "note") == ("Föhn", "calm", "slack, then ebb")
        assert subject.values("tides", both, "reading") == ("1", "2", "9007199254740993")
        assert subject.values("tides", both, "level") == ("-1.25", "0.5", "1.5", "2")
        assert subject.values("tides", both[1:], "at") == ("2013-01-02T00:00:00Z",)
        assert subject.values("tides", [], "station") == ()

    def test_values_of_a_batch_that_is_gone_are_a_failed_dependency(self, subject: Batches) -> None:
        with pytest.raises(DependencyFailed) as caught:
            subject.values("tides", ["tg1:" + "0" * 64], "station")
        assert caught.value.code == "batch-gone"

    def test_values_are_not_read_off_an_altered_batch(self, subject: Batches, tmp_path: Path) -> None:
        table = read(subject, write_drop(tmp_path))
        digest, path = subject.accept(TIDES, table, {})
        _, other = subject.accept(TIDES, table, {0: ("T05",)})
        path.write_bytes(other.read_bytes())
        with pytest.raises(DependencyFailed) as caught:
            subject.values("tides", [digest], "station")
        assert caught.value.code == "batch-altered"

    def test_of_a_dataset_that_has_not_come_there_is_a_file_without_a_row(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        path = subject.empty(TIDES)
        before = (path.read_bytes(), path.stat().st_mtime_ns)
        assert subject.empty(TIDES) == path
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        digest, other = subject.accept(TIDES, read(subject, write_drop(tmp_path)), {})
        assert other != path
        assert subject.path("tides", digest) == other

    # ── what was written, and never recorded ──────────────────────────────────────────────────────

    def written(self, subject: Batches, tmp_path: Path) -> tuple[str, str, list[Path]]:
        table = read(subject, write_drop(tmp_path))
        batch, path = subject.accept(TIDES, table, {1: ("T02",)})
        segment = subject.quarantine(TIDES, table, report(table, {1: ("T02",)}))
        return batch, segment.root, [path, segment.path]

    def test_what_is_never_recorded_is_swept_after_an_hour(self, subject: Batches, tmp_path: Path) -> None:
        batch, root, files = self.written(subject, tmp_path)
        soon, late = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (50, 70))
        empty = subject.empty(TIDES)
        assert subject.sweep("tides", (), soon) == 0, "it may be recorded yet"
        assert subject.sweep("trams", (), late) == 0
        assert subject.sweep("tides", (root,), late) == 1
        assert [path.exists() for path in (*files, empty)] == [False, True, True]
        assert subject.sweep("tides", (), late) == 0, "it was on record once: who sweeps may see an older one"
        again, path = subject.accept(TIDES, read(subject, write_drop(tmp_path)), {1: ("T02",)})
        assert (again, path) == (batch, files[0])
        assert subject.sweep("tides", (), late) == 1

    def test_what_is_settled_is_never_swept(self, subject: Batches, tmp_path: Path) -> None:
        batch, root, files = self.written(subject, tmp_path)
        subject.settle("tides", (batch, root, ""))
        assert subject.sweep("tides", (), datetime.now(UTC) + timedelta(days=1)) == 0
        assert all(path.exists() for path in files)

    def test_what_is_written_again_is_as_young_as_if_it_were_new(
        self, subject: Batches, tmp_path: Path
    ) -> None:
        *_, files = self.written(subject, tmp_path)
        for path in files:
            aged(path)
        self.written(subject, tmp_path)
        assert subject.sweep("tides", (), datetime.now(UTC)) == 0
        assert all(path.exists() for path in files)
