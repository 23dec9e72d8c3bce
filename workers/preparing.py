"""What a run needs beside its plan: its secrets, and what hides them where they come out again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.config import Settings
from orchestrator.domain.masking import Masker, Secrets, Withheld
from orchestrator.domain.printing import printable
from orchestrator.services.attempts import Claim
from workers.secrets import SecretUnusableError, read_secrets


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run needs beside its plan: its secrets, and what its output goes through. `refusal`: why it cannot begin."""

    masker: Masker
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    refusal: str = ""

    def hide(self, text: str) -> str:
        """The text as it may be recorded: without its secrets, which a target may repeat, and on one line that can be read."""
        fresh = Secrets(self.secrets.values())
        return printable((fresh.feed(text.encode(errors="replace")) + fresh.finish()).decode())


def prepare(claim: Claim, settings: Settings) -> Prepared:
    """Read the secrets of an attempt. One that began already goes on without them, and its output is withheld."""
    todo = claim.work
    try:
        secrets = read_secrets(
            settings.secrets_folder,
            application=todo.application,
            environment=todo.environment,
            names=todo.secrets,
        )
    except SecretUnusableError as error:
        return Prepared(Withheld(str(error)), refusal=str(error))
    return Prepared(Secrets(secrets.values()), secrets)
