"""What can go wrong, as one tree.

    TidegateError            every error we raise on purpose; carries a code, a sentence and a hint
    ├── Refused              a rule said no                               exit 1
    ├── BadInput             what came through the door cannot be used    exit 2
    └── DependencyFailed     a tool or a store could not do its part      exit 3

The sentence says what was got and what was expected; the hint says what to do next.
Attributes in ``data`` are for machines and never hold a secret or a person's text.
"""

from __future__ import annotations

from typing import ClassVar


class TidegateError(Exception):
    """Something went wrong that has a name."""

    exit_code: ClassVar[int] = 3

    def __init__(self, code: str, sentence: str, hint: str = "", **data: object) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.hint = hint
        self.data = data

    def __reduce__(self) -> tuple[object, ...]:
        """Cross a process whole: an exception is otherwise rebuilt from its sentence alone."""
        return _rebuilt, (type(self), self.code, self.sentence, self.hint, self.data)

    def as_dict(self) -> dict[str, object]:
        """Return the error in the one JSON shape that every door prints."""
        return {"code": self.code, "error": self.sentence, "hint": self.hint, "data": dict(self.data)}


class Refused(TidegateError):
    """A rule said no."""

    exit_code = 1


class BadInput(TidegateError):
    """What came through the door cannot be used."""

    exit_code = 2


class DependencyFailed(TidegateError):
    """A tool or a store could not do its part."""

    exit_code = 3


#: What a record that no writer of ours wrote may raise while it is read, folded or judged.
UNFIT: tuple[type[Exception], ...] = (
    TidegateError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


def _rebuilt(
    kind: type[TidegateError], code: str, sentence: str, hint: str, data: dict[str, object]
) -> TidegateError:
    return kind(code, sentence, hint, **data)
