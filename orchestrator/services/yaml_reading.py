"""Reading YAML as plain values that know their lines; only what JSON could say as well is let in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from orchestrator.domain.errors import FieldProblem, InvalidInputError
from orchestrator.domain.reading import MAX_DEPTH, MAX_VALUES

MAX_BYTES = 1_000_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# A number must read the same when written out again: 0644, 1_000 and a forty-digit number stay texts.
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)
_BROKEN = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+)", re.ASCII)
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class YamlText:
    """A document and where each of its parts stands."""

    document: object
    lines: dict[int, dict[str | int, int]] = field(repr=False)
    """Of each mapping and list (by identity), the lines of its keys or items."""

    def line_of(self, pointer: str) -> int:
        """Give the 1-based line of what a JSON pointer points at, or else of what it is missing in."""
        value, line = self.document, 1
        for token in pointer.split("/")[1:]:
            key: str | int = token.replace("~1", "/").replace("~0", "~")
            if isinstance(value, list):
                key = int(key) if str(key).isdecimal() else -1
            found = self.lines.get(id(value), {}).get(key)
            if found is None:
                break
            line = found
            value = value[key]  # type: ignore[index]  # `lines` has it, so it is a list or mapping that has the key
        return line


def read_yaml(text: str) -> YamlText:
    """Read one YAML document. Raises InvalidInputError, with the line, when JSON could not say the same."""
    _check_text(text)
    builder = _Builder()
    events = yaml.parse(text, Loader=_LOADER)
    try:
        for event in events:
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _refused(
            line, f"this is not valid YAML: {_explained(error.problem or 'it cannot be read')}"
        ) from error
    except yaml.reader.ReaderError as error:
        raise _refused(1, f"this is not valid YAML: {error.reason}") from error
    return YamlText(builder.document, builder.lines)


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    value: dict[str, Any] | list[Any]
    lines: dict[str | int, int]
    line: int
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """Puts values together from the parser's events: no recursion, nothing made that was not written."""

    document: object = None
    lines: dict[int, dict[str | int, int]] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    documents: int = 0
    count: int = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _refused(line, "a second document begins here; write one document, without `---` in it")
        elif isinstance(event, yaml.AliasEvent):
            raise _refused(line, f"aliases (`*{event.anchor}`) are not possible here; write the value out")
        elif isinstance(event, yaml.NodeEvent):
            self._take_node(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            done = self.stack.pop()
            self.lines[id(done.value)] = done.lines

    def _take_node(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None:
            raise _refused(line, f"anchors (`&{event.anchor}`) are not possible here; remove it")
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _refused(line, f"tags (`{tag}`) are not possible here; write the value in quotes")
        self.count += 1
        if self.count > MAX_VALUES:
            raise _refused(line, f"this holds more than {MAX_VALUES} values; make it smaller")
        if isinstance(event, yaml.ScalarEvent):
            self._take_scalar(event, line)
            return
        if len(self.stack) >= MAX_DEPTH:
            raise _refused(line, f"this is nested more than {MAX_DEPTH} deep; make it flatter")
        opened: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(opened, line)
        self.stack.append(_Open(opened, {}, line))

    def _take_scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        top = self.stack[-1] if self.stack else None
        if top is None or top.key is not None or isinstance(top.value, list):
            self._put(_value(event), line)
            return
        if event.value in top.value:
            first = top.lines[event.value]
            raise _refused(
                line, f"the key `{event.value}` stands on line {first} already; remove one of them"
            )
        top.lines[event.value] = line
        top.key = event.value

    def _put(self, value: object, line: int) -> None:
        if not self.stack:
            self.document = value
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.lines[len(top.value)] = line
            top.value.append(value)
        elif top.key is None:
            raise _refused(line, "a key must be a text; `{` and `[` begin a value, put it in quotes")
        else:
            top.value[top.key] = value
            top.key = None


def _value(event: yaml.ScalarEvent) -> object:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _BROKEN.fullmatch(text) else text


def _check_text(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        raise _refused(line, "half of a surrogate pair cannot be used in a text; remove it") from error
    if size > MAX_BYTES:
        raise _refused(1, f"the file is {size} bytes long; at most {MAX_BYTES} are possible")
    for index, line_text in enumerate(_unprintable(text), start=1):
        if line_text:
            raise _refused(index, f"the character {line_text} cannot be used in YAML; remove it")


def _unprintable(text: str) -> Iterator[str | None]:
    for line in text.split("\n"):
        bad = yaml.reader.Reader.NON_PRINTABLE.search(line)
        yield f"U+{ord(bad.group()):04X}" if bad else None


def _explained(problem: str) -> str:
    if "'\\t'" in problem or "cannot start any token" in problem:
        return f"{problem}; use spaces to indent, and quotes around texts that begin with a special character"
    return f"{problem}; look at the indentation, the quotes and the brackets here and above"


def _refused(line: int, detail: str) -> InvalidInputError:
    return InvalidInputError("the file cannot be read", problems=[FieldProblem("", detail, line)])
