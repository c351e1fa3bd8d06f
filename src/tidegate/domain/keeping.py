"""How long rows are kept, and the three rules of letting them go.

    E1  a subject's rows are erased together, from everything that holds them, and none of them comes back
    E2  what is erased was on record: each file is named, with what takes its place and how many rows fewer that has
    E3  without anybody asking, rows go only when their period ended longer ago than their contract keeps them

A batch is named by its content, so what is left of it is another batch. The event that says so puts it in the place
of the one before; nothing on record has that one's rows any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta

#: The units that a term is stated in.
UNITS = ("day", "year")


@dataclass(frozen=True)
class Term:
    """So many days or years that rows are kept after their period has ended."""

    value: int
    unit: str

    def after(self, moment: datetime) -> datetime:
        """Return when a term ends that begins at ``moment``; a year after 29 February is the first of March."""
        try:
            if self.unit == "day":
                return moment + timedelta(days=self.value)
            if (year := moment.year + self.value) > MAXYEAR:
                raise OverflowError
            return moment.replace(year=year)
        except OverflowError:  # it never ends
            return datetime.max.replace(tzinfo=moment.tzinfo)
        except ValueError:
            return moment.replace(year=moment.year + self.value, month=3, day=1)

    def __str__(self) -> str:
        """Say it as people do: 3 years."""
        return f"{self.value} {self.unit}{'' if self.value == 1 else 's'}"


@dataclass(frozen=True)
class Without:
    """A file of rows, and the one that takes its place without some of them.

    ``kind`` and ``place`` say where both lie (`KINDS`), ``digest`` and ``successor`` what they are called by content.
    """

    kind: str
    place: str
    digest: str
    successor: str
    rows: int


#: What holds rows, and what the place of each is.
KINDS: Mapping[str, str] = {
    "batch": "dataset",
    "quarantine": "dataset",
    "source": "view",
    "entities": "",
    "frame": "",
    "reference": "artifact",
    "decisions": "",
}
#: Those that hold rows as they came; the others were made of them.
FIRST = ("batch", "quarantine")


def counted(files: Iterable[Without]) -> int:
    """Return how many rows go from batches and quarantine; what was made of them is not counted again."""
    return sum(each.rows for each in files if each.kind in FIRST)
