"""What an answer over HTTP means for a message."""

from orchestrator.notifications.base import Receipt, Verdict
from orchestrator.posting import Answer


def receipt(answer: Answer) -> Receipt:
    """What an answer means for a message: any 2xx took it, 410 wants nothing more, everything else is tried again."""
    failed = Verdict.GONE if answer.status == 410 else Verdict.FAILED
    verdict = Verdict.DELIVERED if 200 <= answer.status < 300 else failed
    return Receipt(verdict, answer.shown, answer.status, answer.retry_after_seconds)
