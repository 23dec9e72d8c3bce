"""Threads that move only when they are told to, from one point to the next, and can die or meet a fault at each."""

import threading
from collections.abc import Callable


class Killed(BaseException):
    """The process is gone: nothing of it may go on, so nobody may catch this."""


_here = threading.local()


class Puppet:
    """One thread of a worker process; it stands still at the point `where` until it is resumed."""

    def __init__(self, label: str, do: Callable[[], object]) -> None:
        self.label = label
        self.where = "before anything"
        self.done = False
        self._do = do
        self._broken = False
        self._killed = False
        self._error: BaseException | None = None
        self._turn = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, name=label, daemon=True)
        self._thread.start()

    def resume(self, *, broken: bool = False) -> None:
        """Let it go on to its next point; raises what it died of, if that was not a kill.

        `broken`: the call at whose point it stands does not get through, or its answer does not.
        """
        if self.done:
            return
        self._broken = broken
        self._turn.release()
        self._back.acquire()
        if self.done:
            self._thread.join()
        if self._error is not None:
            raise self._error

    def kill(self) -> None:
        """End it where it stands."""
        self._killed = True
        self.resume()

    def pause(self, where: str) -> bool:
        """Called by the thread itself: stand still here; whether this call is broken."""
        self.where = where
        self._back.release()
        self._turn.acquire()
        if self._killed:
            raise Killed
        return self._broken

    def _live(self) -> None:
        self._turn.acquire()
        _here.puppet = self
        try:
            if not self._killed:
                self._do()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that resumes
            self._error = error
        self.done = True
        self._back.release()


def point(where: str) -> bool:
    """A place at which a puppet stands still; whoever is none goes by. Whether the call is broken here."""
    puppet: Puppet | None = getattr(_here, "puppet", None)
    return puppet is not None and puppet.pause(where)


class Waiting(threading.Event):
    """An event for which a puppet waits by standing still: time passes only where the model says so."""

    def wait(self, timeout: float | None = None) -> bool:
        """Stand still once; whether it is set then."""
        point("waits")
        return self.is_set()
