"""What every `Models` keeps to."""

from __future__ import annotations

import pytest

from tidegate.application.ports import Models
from tidegate.domain.errors import BadInput


class ModelsContract:
    """Override ``subject`` with models that hold at least one declaration."""

    @pytest.fixture
    def subject(self) -> Models:
        """Return the models under test."""
        raise NotImplementedError

    def test_names_are_sorted_and_each_has_a_declaration_of_that_name(self, subject: Models) -> None:
        names = subject.names()
        assert names
        assert list(names) == sorted(set(names))
        assert [subject.spec(name).name for name in names] == list(names)

    def test_an_unknown_model_is_bad_input_that_names_the_known_ones(self, subject: Models) -> None:
        with pytest.raises(BadInput) as refusal:
            subject.spec("no_such_model")
        assert refusal.value.code == "unknown-model"
        assert "no_such_model" in refusal.value.sentence
        assert subject.names()[0] in refusal.value.sentence

    def test_the_same_declaration_has_the_same_digest(self, subject: Models) -> None:
        name = subject.names()[0]
        assert subject.spec(name) == subject.spec(name)
        assert subject.spec(name).source_digest.startswith("sha256:")
