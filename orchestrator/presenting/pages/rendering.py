"""Templates of what pages show, and views: HTML of which only the pieces that changed need be sent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from orchestrator.presenting.pages import words

LOADER = PackageLoader("orchestrator.presenting.pages")
_ENVIRONMENT = Environment(loader=LOADER, autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.globals["words"] = words

_FORM_TOKEN = 'name="form_token" value="{}"'  # noqa: S105  # a field, without its value
_NO_TOKEN = Markup(_FORM_TOKEN.format(""))  # noqa: S704


def render(template: str, **values: Any) -> Markup:
    """What a template makes of these; what they hold stays text."""
    text = _ENVIRONMENT.get_template(f"dashboard/{template}").render(**values)  # escapes all values
    return Markup(text)  # noqa: S704  # nosec B704


@dataclass(frozen=True, slots=True)
class View:
    """A part of a page that changes: pieces by the ids of their elements, in order, and the template that holds them."""

    pieces: Mapping[str, Markup]
    frame: str

    @property
    def text(self) -> Markup:
        """All of it. Its forms lack what those of a session bring along: the stream process does not know it."""
        return render(self.frame, pieces=self.pieces)

    def text_for(self, form_token: str) -> Markup:
        """All of it, with forms that can be sent."""
        filled = _FORM_TOKEN.format(escape(form_token))
        return self.text.replace(_NO_TOKEN, Markup(filled))  # noqa: S704

    def fits(self, other: "View") -> bool:
        """Whether the other differs in nothing but what its pieces say."""
        return self.frame == other.frame and list(self.pieces) == list(other.pieces)

    def changes_since(self, other: "View") -> Iterator[tuple[str, Markup]]:
        """The pieces that say something else than those of a view that fits."""
        return ((name, piece) for name, piece in self.pieces.items() if other.pieces[name] != piece)
