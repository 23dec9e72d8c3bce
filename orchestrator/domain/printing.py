"""Words of others as a person can read them and Postgres can keep them."""


def printable(text: str) -> str:
    """The same with a space for whatever cannot be seen: NUL, newlines, escapes, half of a surrogate pair."""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)
