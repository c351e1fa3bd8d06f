"""What MLflow says of stages: a tag a version, an alias a stage; and how either is made to say what the ledger says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.application.ports import Difference

if TYPE_CHECKING:
    from mlflow import MlflowClient

STAGE = "tidegate.stage"


@dataclass(frozen=True)
class StageTag:
    """The stage that a version is tagged with, None where it carries no such tag."""

    version: int
    got: str | None

    def said_by(self, known: Iterable[Mapping[int, str]]) -> bool:
        """Say whether one of these stages says the same."""
        return any(each.get(self.version) == self.got for each in known)

    def mend(self, client: MlflowClient, model: str, stages: Mapping[int, str]) -> None:
        """Make the tag say what ``stages`` says."""
        wanted = stages.get(self.version)
        if wanted is None:
            client.delete_model_version_tag(model, str(self.version), STAGE)
        else:
            client.set_model_version_tag(model, str(self.version), STAGE, wanted)

    def difference(self, model: str, stages: Mapping[int, str]) -> Difference:
        """Say what it said, and what the ledger says."""
        got = "not tagged" if self.got is None else f"tagged {_word(self.got)}"
        wanted = stages.get(self.version, "no stage")
        return Difference(
            "", self.version, f"version {self.version} of {model} was {got}, the ledger says {wanted}"
        )


@dataclass(frozen=True)
class StageAlias:
    """The version that an alias points at, None where there is no such alias."""

    alias: str
    got: int | None

    def said_by(self, known: Iterable[Mapping[int, str]]) -> bool:
        """Say whether one of these stages says the same."""
        return any(self._wanted(each) == self.got for each in known)

    def mend(self, client: MlflowClient, model: str, stages: Mapping[int, str]) -> None:
        """Make the alias point at what ``stages`` says."""
        wanted = self._wanted(stages)
        if wanted is None:
            client.delete_registered_model_alias(model, self.alias)
        else:
            client.set_registered_model_alias(model, self.alias, str(wanted))

    def difference(self, model: str, stages: Mapping[int, str]) -> Difference:
        """Say what it pointed at, and what the ledger says."""
        got = "was gone" if self.got is None else f"was on version {self.got}"
        wanted = self._wanted(stages)
        told = "none" if wanted is None else f"version {wanted}"
        sentence = f"the alias {self.alias} of {model} {got}, the ledger says {told}"
        return Difference(self.alias, self.got or 0, sentence)

    def _wanted(self, stages: Mapping[int, str]) -> int | None:
        return max((number for number, stage in stages.items() if stage == self.alias), default=None)


def _word(tag: str) -> str:
    """Return a tag as it may be recorded: what anybody wrote there may be any text, and a record keeps it for good."""
    return tag if re.fullmatch("[a-z_]{1,20}", tag) else "something else"
