"""The command that compares what is online with what was known."""

from __future__ import annotations

from typing import Annotated

import typer

from tidegate.application.parity import MOST, SAMPLE
from tidegate.application.parity import parity as compare
from tidegate.domain.errors import BadInput, DependencyFailed, Refused
from tidegate.domain.evidence import Verdict
from tidegate.domain.parity import TOLERANCES
from tidegate.entrypoints.cli.common import As, AsJson, acting, after, out, platform, printable, say, table


def parity(
    sample: Annotated[
        int, typer.Option(min=1, max=MOST, help="How many keys of each view are compared.")
    ] = SAMPLE,
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=NUMBER",
            help=f"By how much values of a kind may differ, like double=1e-6. Kinds: {', '.join(TOLERANCES)}.",
        ),
    ] = None,
    as_user: As = None,
    as_json: AsJson = False,
) -> None:
    """Compare online values with what was known at the moment that was brought online; exits 1 on a skew.

    The same keys are compared as long as the same is online. The verdicts are recorded, by view; the values
    that differ are printed, and nowhere kept.
    """
    here = platform()
    found = compare(here, acting(here, as_user), sample, _numbers(tolerance or []))
    after(here)
    data = [
        {
            "view": view,
            "verdict": each.verdict,
            "sampled": each.sampled,
            "sentence": each.sentence,
            "examples": [
                {
                    "key": pair.key,
                    "feature": pair.feature,
                    "online": str(pair.online),
                    "known": str(pair.known),
                }
                for pair in each.examples
            ],
        }
        for view, each in found.items()
    ]

    def render() -> None:
        told = table("view", "verdict", "in words")
        for view, each in found.items():
            told.add_row(view, each.verdict, each.sentence)
        out.print(told)
        for each in found.values():
            for pair in each.examples:
                words = (
                    f"{pair.key}: {pair.feature} is served as {pair.online}, and was known as {pair.known}"
                )
                out.print(printable(words), markup=False)

    say(data, as_json, render)
    for verdict, raised in ((Verdict.FAILED, Refused), (Verdict.ERROR, DependencyFailed)):
        for view, each in found.items():
            if each.verdict is verdict:
                raise raised("parity", f"{view}: {each.sentence}", "run `tidegate run materialize`")


def _numbers(given: list[str]) -> dict[str, float]:
    numbers = {}
    for each in given:
        kind, _, number = each.partition("=")
        try:
            numbers[kind] = float(number)
        except ValueError:
            raise BadInput(
                "bad-tolerance", f"got `{each}`, expected KIND=NUMBER, like double=1e-6", ""
            ) from None
    return numbers
