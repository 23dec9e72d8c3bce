"""Reading what a person wrote: every problem is collected with its place, and each says what to do."""

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.durations import format_duration, parse_duration
from orchestrator.domain.errors import FieldProblem, InvalidInputError

MAX_PROBLEMS = 100
MAX_DEPTH = 50
MAX_SUGGESTED = 10
MAX_VALUES = 1_000_000
NAME_RULE = "use 1 to 63 small letters, digits and hyphens, with a letter or digit at both ends"

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLAIN = (str, bool, int, float)


def suggest(word: str, known: Collection[str]) -> str:
    """Add to a message what was probably meant, or else what there is."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean `{near[0]}`?"
    if not known:
        return ""
    some = ", ".join(f"`{each}`" for each in list(known)[:MAX_SUGGESTED])
    return (
        f"; there {'is' if len(known) == 1 else 'are'} {some}{', ...' if len(known) > MAX_SUGGESTED else ''}"
    )


def child(pointer: str, key: str | int) -> str:
    """Point at `key` of what `pointer` points at (RFC 6901)."""
    return f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"


@dataclass(slots=True)
class Problems:
    """What is wrong so far. Bounded: after MAX_PROBLEMS they are only counted."""

    found: list[FieldProblem] = field(default_factory=list)
    more: int = 0

    def add(self, pointer: str, detail: str) -> None:
        """Note one more."""
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(FieldProblem(pointer, detail))
        else:
            self.more += 1

    def raise_if_any(self, message: str) -> None:
        """Raise InvalidInputError with all of them."""
        if self.found:
            more = [FieldProblem("", f"there are {self.more} more problems")] if self.more else []
            raise InvalidInputError(message, problems=[*self.found, *more])

    def check_plain(self, document: object) -> None:
        """Note what no JSON document can hold, and what is too much, anywhere in `document`."""
        stack: list[tuple[str, object, int]] = [("", document, 0)]
        count = 0
        while stack:
            pointer, value, depth = stack.pop()
            count += 1
            if count > MAX_VALUES:
                self.add("", f"this holds more than {MAX_VALUES} values; make it smaller")
                return
            if value is None or isinstance(value, _PLAIN):
                self._check_scalar(pointer, value)
            elif not isinstance(value, Mapping | list | tuple):
                self.add(pointer, f"a {type(value).__name__} cannot be kept here; write it in quotes")
            elif depth >= MAX_DEPTH:
                self.add(pointer, f"this is nested more than {MAX_DEPTH} deep; make it flatter")
            else:
                stack.extend(reversed(list(self._children(pointer, value, depth))))

    def _children(
        self, pointer: str, value: Mapping[Any, Any] | Sequence[Any], depth: int
    ) -> Iterator[tuple[str, object, int]]:
        if not isinstance(value, Mapping):
            yield from ((child(pointer, index), item, depth + 1) for index, item in enumerate(value))
            return
        for key, item in value.items():
            if isinstance(key, str) and not _unusable(key):
                yield child(pointer, key), item, depth + 1
            else:
                self.add(pointer, f"the key {key!r} cannot be used; keys are texts")

    def _check_scalar(self, pointer: str, value: object) -> None:
        if isinstance(value, str) and (why := _unusable(value)):
            self.add(pointer, why)
        elif isinstance(value, float) and not math.isfinite(value):
            self.add(pointer, f"{value} is not a number that can be kept; write it in quotes")
        elif isinstance(value, int) and abs(value) >= 2**63:
            self.add(pointer, "this number is too large; write it in quotes")


def _unusable(text: str) -> str | None:
    if "\0" in text:
        return "a NUL character cannot be used in a text; remove it"
    if _SURROGATE.search(text):
        return "half of a surrogate pair cannot be used in a text; remove it"
    return None


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping being read: each method gives the value of a key or notes why it cannot and gives a default.

    A key without a value counts as not written.
    """

    problems: Problems
    pointer: str
    values: Mapping[str, Any]
    valid: bool = True
    """Whether there was a mapping at all; when not, that is noted and nothing below need be."""

    @classmethod
    def of(cls, problems: Problems, pointer: str, value: object, *, known: Collection[str] = ()) -> "Section":
        """Read `value` as a mapping that may hold only the keys `known` (none given: any)."""
        if not isinstance(value, Mapping):
            expected = f"a mapping with {', '.join(f'`{key}`' for key in known)}" if known else "a mapping"
            problems.add(pointer, f"write {expected} here, not {described(value)}")
            return cls(problems, pointer, {}, valid=False)
        if known:
            for key in value:
                if key not in known:
                    problems.add(child(pointer, key), f"there is no key `{key}` here{suggest(key, known)}")
        return cls(problems, pointer, value)

    def at(self, key: str) -> str:
        """Point at `key`."""
        return child(self.pointer, key)

    def has(self, key: str) -> bool:
        """Whether `key` has a value."""
        return self.values.get(key) is not None

    def text(self, key: str, *, default: str | None, most: int) -> str:
        """Read a text of at most `most` characters; it must be there when there is no default."""
        value = self.values.get(key)
        if default is not None and (value is None or value == default):
            return default
        if value is None or value == "":
            self.problems.add(
                self.at(key) if key in self.values else self.pointer, f"`{key}` is missing; write it"
            )
        elif not isinstance(value, str):
            is_scalar = isinstance(value, bool | int | float)
            how = f"; write {described(value)} in quotes" if is_scalar else f", not {described(value)}"
            self.problems.add(self.at(key), f"must be a text{how}")
        elif len(value) > most:
            self.problems.add(self.at(key), f"must be at most {most} characters long, not {len(value)}")
        else:
            return value
        return default or ""

    def name(self, key: str) -> str:
        """Read a name, which must be there."""
        before = len(self.problems.found) + self.problems.more
        value = self.values.get(key)
        name = str(value) if type(value) is int else self.text(key, default=None, most=1000)
        if len(self.problems.found) + self.problems.more == before:
            check_name(self.problems, self.at(key), name)
        return name

    def whole(self, key: str, *, default: int, most: int) -> int:
        """Read a whole number from 0 to `most`."""
        value = self.values.get(key)
        if value is None:
            return default
        if type(value) is int and 0 <= value <= most:
            return value
        self.problems.add(self.at(key), f"must be a whole number from 0 to {most}, not {described(value)}")
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        self.problems.add(self.at(key), f"must be true or false, not {described(value)}")
        return default

    def choice(self, key: str, options: Sequence[str]) -> str:
        """Read one of `options`, of which the first is the default."""
        value = self.values.get(key)
        if value is None:
            return options[0]
        if value in options:
            return str(value)
        self.problems.add(self.at(key), f"must be {' or '.join(options)}, not {described(value)}")
        return options[0]

    def seconds(self, key: str, *, default: float, least: float, most: float) -> float:
        """Read a duration between two bounds."""
        value = self.values.get(key)
        if value is None:
            return default
        if type(value) is int:
            self.problems.add(self.at(key), f"must say its unit: write {value}s for {value} seconds")
            return default
        try:
            seconds = parse_duration(value) if isinstance(value, str) else -1
        except ValueError:
            seconds = -1
        if seconds < 0:
            self.problems.add(
                self.at(key), f"must be a duration such as 30s, 10m or 1h30m, not {described(value)}"
            )
            return default
        if not least <= seconds <= most:
            bounds = f"from {format_duration(least)} to {format_duration(most)}"
            self.problems.add(self.at(key), f"must be {bounds}, not {format_duration(seconds)}")
            return default
        return seconds


def check_name(problems: Problems, pointer: str, name: str) -> None:
    """Note when nothing may be called `name`."""
    if not _NAME.fullmatch(name):
        problems.add(pointer, f"{shortened(name)!r} cannot be a name; {NAME_RULE}")


def described(value: object) -> str:
    """Say in a few words what was found."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return f"`{shortened(str(value))}`"


def shortened(text: str) -> str:
    """Cut a text that is too long for a message."""
    return text if len(text) <= 60 else text[:57] + "..."
