"""What every `Models` keeps to."""

from __future__ import annotations

import pytest

from tidegate.application.ports import Models
from tidegate.domain.errors import BadInput
from tidegate.testing.material import LABELS


class ModelsContract:
    """Override ``subject`` with models of which some predict a probability and some a number."""

    @pytest.fixture
    def subject(self) -> Models:
        """Return the models under test."""
        raise NotImplementedError

    def test_names_are_sorted_and_each_has_a_declaration_of_that_name(self, subject: Models) -> None:
        names = subject.names()
        assert names
        assert list(names) == sorted(set(names))
        assert [subject.spec(name).name for name in names] == list(names)

    def test_a_model_predicts_a_probability_or_a_number_of_its_own_label(self, subject: Models) -> None:
        specs = [subject.spec(name) for name in subject.names()]
        assert {spec.prediction for spec in specs} == set(LABELS)
        assert {spec.prediction: spec.label for spec in specs} == LABELS

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
