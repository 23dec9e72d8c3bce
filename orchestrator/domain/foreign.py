"""Text that others wrote, made safe to show."""

import re

_SGR = r"\x1b\[[0-9;:]*m"
_ESCAPES = re.compile(
    rf"(?P<sgr>{_SGR})"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: cursor, erasing, modes
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|[\x80-\x9f]"  # C1, the same in one character
    r"|\x1b[ -/]*[0-~]?"  # every other escape
    r"|[\x00-\x08\x0a-\x1f\x7f]",  # C0 without the tab
    re.DOTALL,
)
_CONCEALS = re.compile(r"[\[;:]0*8[;:m]")
_REORDERS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escaped(text: object) -> str:
    r"""One line in which every control and every reordering character is visible as \x1b or \u202e."""
    return _UNSAFE.sub(lambda found: ascii(found.group())[1:-1], str(text))


def cleaned(line: str, *, colours: bool) -> str:
    """A line of a log: colours at most; everything else that moves, erases, retitles or hides is dropped."""

    def keep(found: re.Match[str]) -> str:
        sgr = found.group("sgr")
        return sgr if sgr and colours and not _CONCEALS.search(sgr) else ""

    shown = _REORDERS.sub(lambda found: escaped(found.group()), _ESCAPES.sub(keep, line))
    return f"{shown}\x1b[0m" if "\x1b" in shown else shown
