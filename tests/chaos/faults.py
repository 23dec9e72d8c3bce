"""What goes wrong: drawn by a seed, done to processes, links, stores and messages, and healed."""

import os
import random
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from orchestrator import clock
from orchestrator.tasks import QueueName, TaskName
from tests.chaos.installation import APIS, BEATS, FOLLOWERS, STREAM, Installation
from tests.chaos.observer import Observer
from tests.chaos.phases import Hunter, Phase
from tests.chaos.places import DOCKERD, SSHD
from tests.chaos.processes import Member
from tests.chaos.proxy import Mode
from tests.chaos.recovery import Ability, Recoveries
from tests.chaos.world import keepers

WEIGHTS = {
    "kill worker": 24,
    "kill api": 4,
    "kill beat": 3,
    "kill stream": 4,
    "stop worker": 6,
    "stop api": 2,
    "stop beat": 2,
    "stop stream": 2,
    "flush valkey": 7,
    "kill valkey": 3,
    "kill and wipe valkey": 3,
    "restart postgres": 3,
    "restart dockerd": 3,
    "cut": 10,
    "stall": 6,
    "mute": 6,
    "duplicate messages": 14,
    "kill supervisor": 3,
    "terminate": 5,
    "restart all": 1,
}
"""Each kind, and how often it is drawn."""
_REACHES = {
    **dict.fromkeys(BEATS, ("valkey",)),
    STREAM: ("postgres",),
    FOLLOWERS: (STREAM,),
}
"""Who does not reach both stores."""
_LINKS_TO_PLACES = (SSHD, SSHD, DOCKERD, DOCKERD)


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault as it was drawn. `hold`: how long until it heals."""

    kind: str
    target: str = ""
    hold: float = 0.0
    phase: Phase = Phase.ANY
    seed: int = 0


def draw(rng: random.Random, workers: tuple[str, ...]) -> Planned:  # a list of cases reads best
    """The next fault; depends on nothing but the seed."""
    kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    everyone = (*APIS, *workers, *BEATS, STREAM)
    seed = rng.getrandbits(32)
    if kind == "kill worker":
        return Planned(kind, rng.choice(workers), rng.uniform(0, 2), rng.choice(list(Phase)), seed)
    if kind == "stop worker":
        return Planned(kind, rng.choice(workers), rng.uniform(8.5, 12))  # longer than a lease
    verb, _, what = kind.partition(" ")
    if (others := {"api": APIS, "beat": BEATS, "stream": (STREAM,)}.get(what)) is not None:
        return Planned(kind, rng.choice(others), rng.uniform(0, 2) if verb == "kill" else rng.uniform(2, 12))
    if kind in {"cut", "stall", "mute"}:
        link = rng.choice((*everyone, FOLLOWERS, *_LINKS_TO_PLACES))
        if link not in _LINKS_TO_PLACES:
            link += f"-{rng.choice(_REACHES.get(link, ('postgres', 'valkey')))}"
        return Planned(kind, link, rng.choice([0.05, 0.5, 2, 5, 11]), seed=seed)
    if kind == "terminate":
        return Planned(kind, rng.choice(everyone), rng.uniform(0, 1))
    return Planned(kind, hold=rng.uniform(0, 2), seed=seed)


@dataclass
class Injector:
    """Does what was drawn, each in the thread that calls it."""

    installed: Installation
    observer: Observer
    hunter: Hunter
    recoveries: Recoveries
    ability: Ability
    done: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    """Which moments kills of workers hit; one kill may hit several, as a worker follows many runs."""
    severed: set[str] = field(default_factory=set)
    """Runs whose supervisor was killed, so that nobody can know their end."""
    troubles: list[str] = field(default_factory=list)
    """What did not come up again or did not end."""
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._links = {name: threading.Lock() for name in self.installed.proxy.links}
        self._dockerd = threading.Lock()

    def inject(self, fault: Planned) -> None:
        """Do it, wait, heal it."""
        do = {
            "kill worker": self._kill_worker,
            "kill supervisor": self._kill_supervisor,
            "flush valkey": self._flush,
            "kill valkey": self._kill_valkey,
            "kill and wipe valkey": self._kill_valkey,
            "restart postgres": self._restart_postgres,
            "restart dockerd": self._restart_dockerd,
            "cut": self._break_link,
            "stall": self._break_link,
            "mute": self._break_link,
            "duplicate messages": self._duplicate,
            "restart all": self._restart_all,
            "terminate": self._terminate,
        }.get(fault.kind, self._kill if fault.kind.startswith("kill") else self._stop)
        begun = clock.monotonic()
        do(fault)
        self.done[fault.kind] += 1
        self.log.append(f"{begun:.2f}-{clock.monotonic():.2f} {fault.kind} {fault.target} {fault.phase}")

    def worker_name(self, member: Member) -> str:
        """What the worker calls itself in the database."""
        return f"{self.installed.nodes[member.name]}:{member.pid}"

    def _healed(self, fault: Planned, workers: frozenset[str] = frozenset()) -> None:
        self.recoveries.healed(f"{fault.kind} {fault.target}".strip(), workers=workers)

    def _member(self, name: str) -> Member:
        return self.installed.members[name]

    def _kill(self, fault: Planned) -> None:
        member = self._member(fault.target)
        with member.busy, self.ability.without(fault.target):
            member.kill()
            _wait(fault.hold)
            member.start()
        self._healed(fault)

    def _kill_worker(self, fault: Planned) -> None:
        """In a phase that was drawn: the drawn worker, or whichever comes to that phase first."""
        names = {self.worker_name(self._member(name)): name for name in self.installed.shape.workers}
        drawn = sorted(names, key=lambda each: names[each] != fault.target)
        member = self._member(names[self.hunter.hunt(fault.phase, drawn)])
        with member.busy, self.ability.without(member.name):
            name, at = self.worker_name(member), datetime.now(UTC)
            member.kill()
            self.phases.update(str(phase) for phase in self.hunter.phases_of(name, at=at))
            _wait(fault.hold)
            member.start()
        self._healed(fault, frozenset({name}))

    def _kill_supervisor(self, fault: Planned) -> None:
        """Kill what watches over one run at its target, as nothing but a machine that goes down would."""
        alive = keepers(self.installed.folder)
        if alive:
            run = random.Random(fault.seed).choice(sorted(alive))
            self.severed.add(run)
            _signal([alive[run]], signal.SIGKILL)
        self._healed(fault)

    def _stop(self, fault: Planned) -> None:
        member = self._member(fault.target)
        is_worker = fault.kind == "stop worker"
        with member.busy, self.ability.without(fault.target):
            group = [member.pid, *([] if is_worker else member.children())]
            worker = frozenset({self.worker_name(member)}) if is_worker else frozenset()
            _signal(group, signal.SIGSTOP)
            _wait(fault.hold)
            _signal(group, signal.SIGCONT)
        self._healed(fault, worker)

    def _terminate(self, fault: Planned) -> None:
        member = self._member(fault.target)
        with member.busy, self.ability.without(fault.target):
            try:
                member.stop()
            except RuntimeError as error:
                self.troubles.append(str(error))
            _wait(fault.hold)
            member.start()
        self._healed(fault)

    def _restart_all(self, fault: Planned) -> None:
        """As in an upgrade: one after the other, each only when the one before it is up."""
        for name in (*APIS, *self.installed.shape.workers, *BEATS, STREAM):
            member = self._member(name)
            with member.busy:
                try:
                    with self.ability.without(name):
                        member.stop()
                        member.start()
                    member.wait_healthy(30.0)
                except RuntimeError as error:
                    if not member.is_alive():
                        self.troubles.append(str(error))
                        member.start()
        self._healed(fault)

    def _flush(self, fault: Planned) -> None:
        try:
            with Redis.from_url(self.installed.redis_url, socket_timeout=2) as valkey:
                valkey.flushall()
        except RedisError:
            pass  # it is down: there is nothing to flush
        self._healed(fault)

    def _kill_valkey(self, fault: Planned) -> None:
        member = self._member("valkey")
        with member.busy:
            member.kill()
            if fault.kind == "kill and wipe valkey":
                self.installed.wipe_valkey()
            _wait(fault.hold)
            member.start()
            member.wait_healthy()
        self._healed(fault)

    def _restart_postgres(self, fault: Planned) -> None:
        """An immediate shutdown: no backend says good-bye, and the next start recovers from the log."""
        member = self._member("postgres")
        with member.busy, self.ability.without("postgres"):
            member.signal(signal.SIGQUIT)
            if not _ends(member):
                member.kill()
            member.kill()
            _wait(fault.hold)
            member.start()
            member.wait_healthy()
        self._healed(fault)

    def _restart_dockerd(self, fault: Planned) -> None:
        """It ends by itself or is killed; what runs in its containers goes on without it."""
        dockerd = self.installed.places.dockerd
        if dockerd is not None:
            with self._dockerd:
                dockerd.restart(kill=bool(fault.seed % 2))
        self._healed(fault)

    def _break_link(self, fault: Planned) -> None:
        mode = {"cut": Mode.CUT, "stall": Mode.STALLED, "mute": Mode.MUTE}[fault.kind]
        proxy = self.installed.proxy
        member, _, store = fault.target.partition("-")
        gone = (member,) if store == "postgres" else ()
        with self._links[fault.target], self.ability.without(*gone):
            proxy.turn(fault.target, mode)
            _wait(fault.hold)
            # An answer that was held back either arrives late or never.
            proxy.turn(fault.target, Mode.OPEN, reset=bool(fault.seed % 2))
        self._healed(fault)

    def _duplicate(self, fault: Planned) -> None:
        """Copies of messages that were or will be sent, in any order, also of what is long over."""
        rng = random.Random(fault.seed)
        sample = self.observer.last
        open_ids = [*sample.deployments] if sample else []
        attempts = [*sample.attempts] if sample else []
        with Celery("chaos", broker=self.installed.redis_url, set_as_current=False) as app:
            app.conf.broker_transport_options = {"socket_timeout": 2, "socket_connect_timeout": 2}
            try:
                for _ in range(rng.randint(3, 12)):
                    task, ids = rng.choice([(TaskName.ADVANCE, open_ids), (TaskName.RUN_STEP, attempts)])
                    if ids:
                        options = {"queue": QueueName.DEPLOYMENTS, "retry": False, "ignore_result": True}
                        app.send_task(task, (rng.choice(ids),), **options)
            except (OperationalError, RedisError, OSError):
                pass  # the broker is down: nothing is doubled this time
        self._healed(fault)


def heal_all(installed: Installation) -> None:
    """Let everything be well: links carry, and every process runs."""
    installed.proxy.heal()
    for member in installed.members.values():
        with member.busy:
            if not member.is_alive():
                member.start()
    for member in installed.members.values():
        member.wait_healthy()


def _ends(member: Member) -> bool:
    deadline = clock.monotonic() + 10
    while member.is_alive() and clock.monotonic() < deadline:
        _wait(0.02)
    return not member.is_alive()


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _wait(seconds: float) -> None:
    threading.Event().wait(seconds)
