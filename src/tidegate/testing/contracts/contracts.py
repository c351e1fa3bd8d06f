"""What every implementation of the port `Contracts` does."""

from __future__ import annotations

import re

import pytest

from tidegate.application.ports import Contracts
from tidegate.domain.contract import Reference
from tidegate.domain.errors import BadInput


class ContractsContract:
    """Subclass it and give ``subject``: contracts that hold exactly the datasets ``buoys`` and ``tides``.

    The column ``station`` of ``tides`` refers to ``station`` of ``buoys``.
    """

    @pytest.fixture
    def subject(self) -> Contracts:
        raise NotImplementedError

    def test_datasets_are_named_in_order(self, subject: Contracts) -> None:
        assert subject.datasets() == ("buoys", "tides")

    @pytest.mark.parametrize("dataset", ["buoys", "tides"])
    def test_a_contract_says_who_owns_what_and_how_much_of_it(self, subject: Contracts, dataset: str) -> None:
        contract = subject.load(dataset)
        assert contract.dataset == dataset
        assert contract.owner
        assert contract.version
        assert 0 <= contract.min_rows <= contract.max_rows
        assert 0 <= contract.quarantine_limit <= 1
        assert re.fullmatch("sha256:[0-9a-f]{64}", contract.digest)

    def test_the_key_is_made_of_required_columns(self, subject: Contracts) -> None:
        contract = subject.load("tides")
        required = {column.name for column in contract.columns if column.required}
        assert contract.key
        assert set(contract.key) <= required

    def test_every_check_has_an_id_of_its_own_and_a_sentence(self, subject: Contracts) -> None:
        checks = subject.load("tides").checks
        assert checks
        assert len({check.id for check in checks}) == len(checks)
        assert all(check.sentence for check in checks)

    def test_a_reference_leads_from_a_column_to_another_dataset_under_contract(
        self, subject: Contracts
    ) -> None:
        (reference,) = subject.load("tides").references
        assert reference == Reference("station", "buoys", "station")
        assert reference.name == "buoys.station"
        assert subject.load("buoys").references == ()

    def test_the_same_contract_is_read_twice_alike(self, subject: Contracts) -> None:
        assert subject.load("tides") == subject.load("tides")

    def test_two_datasets_never_share_a_digest(self, subject: Contracts) -> None:
        assert subject.load("tides").digest != subject.load("buoys").digest

    @pytest.mark.parametrize("name", ["winds", "", "../contracts/tides"])
    def test_an_unknown_dataset_is_refused_with_those_that_are_known(
        self, subject: Contracts, name: str
    ) -> None:
        with pytest.raises(BadInput) as caught:
            subject.load(name)
        assert caught.value.code == "contract"
        assert f"`{name}`" in caught.value.sentence
        assert "buoys, tides" in caught.value.sentence

    def test_nothing_else_in_its_place_is_the_contract_itself(self, subject: Contracts) -> None:
        dataset = subject.datasets()[0]
        assert subject.proposed(dataset, None, None) == subject.load(dataset)
