"""What everybody may expect of a `ports.ReadLog`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.application.ports import ReadLog
from tidegate.domain.errors import DependencyFailed
from tidegate.domain.merkle import merkle_root


class ReadLogContract:
    """Subclass it, give it an empty ``subject`` and what ``alters`` a closed segment, and it runs."""

    @pytest.fixture
    def subject(self) -> ReadLog:
        raise NotImplementedError

    @pytest.fixture
    def alters(self) -> Callable[[str], object]:
        """Return what changes a record of the segment with this root."""
        raise NotImplementedError

    def test_an_empty_log_has_nothing_and_closes_nothing(self, subject: ReadLog) -> None:
        subject.close()
        assert (list(subject.pending()), list(subject.closed())) == ([], [])

    def test_what_is_noted_is_there_in_its_order_until_it_is_closed(self, subject: ReadLog) -> None:
        sizes = [subject.note(each).size for each in (b'{"a":1}', b'{"b":2}')]
        assert subject.note(b"{}").first == b'{"a":1}'
        assert sizes == [8, 16]
        assert list(subject.pending()) == [b'{"a":1}', b'{"b":2}', b"{}"]

    def test_a_closed_segment_is_named_by_its_root_and_read_back(self, subject: ReadLog) -> None:
        records = [b'{"a":1}', b'{"b":2}']
        for each in records:
            subject.note(each)
        subject.close()
        assert list(subject.pending()) == []
        assert list(subject.closed()) == [merkle_root(records)]
        assert list(subject.records(merkle_root(records))) == records
        assert subject.note(b"{}").first == b"{}", "another segment has begun"

    def test_an_altered_segment_is_not_read_as_what_it_was(
        self, subject: ReadLog, alters: Callable[[str], object]
    ) -> None:
        subject.note(b'{"a":1}')
        subject.close()
        (root,) = subject.closed()
        alters(root)
        with pytest.raises(DependencyFailed) as failed:
            subject.records(root)
        assert failed.value.code == "reads-altered"

    def test_a_segment_that_is_not_there_is_told(self, subject: ReadLog) -> None:
        with pytest.raises(DependencyFailed) as failed:
            subject.records(merkle_root([b"never"]))
        assert failed.value.code == "reads-altered"
