"""The log of reads: the fake and the files keep the same contract; the files survive who is killed."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from tidegate.adapters.read_log import FileReadLog
from tidegate.domain.errors import DependencyFailed
from tidegate.testing.contracts.read_log import ReadLogContract
from tidegate.testing.fakes.read_log import FakeReadLog


class TestFake(ReadLogContract):
    @pytest.fixture
    def subject(self):
        return FakeReadLog()

    @pytest.fixture
    def alters(self, subject):
        return lambda root: subject.segments[root].append(b"{}")


class TestFiles(ReadLogContract):
    @pytest.fixture
    def subject(self, tmp_path):
        return FileReadLog(tmp_path / "reads")

    @pytest.fixture
    def alters(self, tmp_path):
        return lambda root: (tmp_path / "reads" / f"{root[7:]}.jsonl").write_bytes(b'{"a":2}\n')

    def test_half_a_line_that_a_killed_process_left_is_no_record(self, subject, tmp_path):
        subject.note(b'{"a":1}')
        with (tmp_path / "reads" / "open.jsonl").open("ab") as log:
            log.write(b'{"b":')
        assert list(subject.pending()) == [b'{"a":1}']
        subject.note(b'{"c":3}')
        assert list(subject.pending()) == [b'{"a":1}', b'{"c":3}']

    def test_many_at_once_lose_no_record(self, subject, tmp_path):
        others = [FileReadLog(tmp_path / "reads") for _ in range(4)]

        def noted(number):
            others[number % 4].note(b'{"n":%d}' % number)
            if number % 10 == 0:
                others[number % 4].close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(noted, range(80)))
        subject.close()
        found = [record for root in subject.closed() for record in subject.records(root)]
        assert sorted(found) == sorted(b'{"n":%d}' % number for number in range(80))

    def test_only_this_account_reads_it(self, subject, tmp_path):
        subject.note(b"{}")
        assert stat.S_IMODE((tmp_path / "reads" / "open.jsonl").stat().st_mode) == 0o600

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path):
        (tmp_path / "reads").mkdir()
        os.mkdir(tmp_path / "reads" / "open.jsonl")  # noqa: PTH102  # no file can have this name now
        with pytest.raises(DependencyFailed):
            FileReadLog(tmp_path / "reads").note(b"{}")
