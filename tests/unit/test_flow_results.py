"""What a flow returned is told in lines; JSON stays with --json."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.entrypoints.cli.results import in_words


@pytest.mark.parametrize("found", [{}, [], None, "", {"late_order": {}}, {"schedule": "", "runs": []}, [{}]])
def test_where_nothing_came_of_it_that_is_said(found: Any) -> None:
    assert in_words(found) == ["done; nothing to report"]


def test_a_flat_answer_is_a_line_for_each_name() -> None:
    found = {"version": 2, "stage": "canary", "promotion": "", "rows": 0, "fresh": True, "late": False}
    assert in_words(found) == ["version: 2", "stage: canary", "rows: 0", "fresh: yes", "late: no"]


def test_what_holds_others_is_told_deeper() -> None:
    found = {
        "weather_hour": {"rows": 12, "online_until": "2026-05-01T00:00:00Z"},
        "steps": [
            {"verdict": "passed", "waits": [{"rule": "P4", "sentence": "one more"}]},
            {"verdict": "failed"},
        ],
        "names": ["one", "two"],
    }
    assert in_words(found) == [
        "weather_hour:",
        "  rows: 12",
        "  online_until: 2026-05-01T00:00:00Z",
        "steps:",
        "  - verdict: passed",
        "    waits:",
        "      - rule: P4",
        "        sentence: one more",
        "  - verdict: failed",
        "names:",
        "  - one",
        "  - two",
    ]


def test_a_list_of_answers_is_a_list() -> None:
    assert in_words([{"version": 1, "stage": "prod"}]) == ["- version: 1", "  stage: prod"]
