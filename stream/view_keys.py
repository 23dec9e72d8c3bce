"""What an open page is about, as the stream process knows it."""

from dataclasses import dataclass

from orchestrator.services.actors import Actor

DASHBOARD, DEPLOYMENT, DEPLOYMENTS, INBOX = "dashboard", "deployment", "deployments", "inbox"
NEWS = "news"
"""Of a page that asks web for what it shows, and is told here only when."""


@dataclass(frozen=True, slots=True)
class ViewKey:
    """What is seen: the view, what of it (a deployment's id, a part of a name, an application, what of a list), and by whom."""

    name: str
    what: str
    actor: Actor
    news: tuple[str, ...] = ()
    """Kinds of what the page is told of."""

    @property
    def deployment_id(self) -> int | None:
        return int(self.what) if self.name == DEPLOYMENT else None
