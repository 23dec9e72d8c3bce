"""What of the list of deployments is asked for, as text: whatever comes, it is understood or left out."""

import pytest

from orchestrator.presenting.pages.deployments import Asked


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", Asked()),
        ("application=shop&status=failed", Asked(application="shop", status="failed")),
        ("environment=lab&before=12&junk=x", Asked(environment="lab", before=12)),
        ("application=a%00b", Asked(application="ab")),
        ("before=x", Asked()),
        ("before=0", Asked()),
        ("before=-1", Asked()),
        ("before=%D9%A3", Asked()),
        ("application=&&=&%ff", Asked()),
        ("application=" + "a" * 70, Asked(application="a" * 63)),
    ],
)
def test_it_is_read_from_text_and_says_the_same_again(text: str, asked: Asked) -> None:
    assert Asked.read(text) == asked
    assert Asked.read(asked.text) == asked
