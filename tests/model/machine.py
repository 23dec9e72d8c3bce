"""The state machine: people ask, messages go astray, workers move, stop and die, targets and clocks do as they please."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.domain.windows import RuleKind
from tests.model import shapes
from tests.model.changes import Changes
from tests.model.evidence import Evidence, collect, worth_meeting
from tests.model.harness import Harness
from tests.model.invariants import violations
from tests.model.process import Process
from tests.model.puppets import Puppet
from tests.model.settling import MOST_POINTS, second, settle
from tests.model.system import NODES, VERSIONS, Sent, System

MOST_DEPLOYMENTS = 8
MOST_GATES = 2
"""Locks at once, and windows and freezes: with more nothing would ever start."""
MOST_PUPPETS = 12

T = TypeVar("T")

some = st.integers(0, 11)
"""Which of several things; counted round."""
moves = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(("deliver", "go on") * 4),
                "end",
                "end",
                "fail",
                "write",
                "a second",
                "tick",
                "poll",
                "recover",
            ]
        ),
        some,
        st.sampled_from([1, 2, 3, 5, 8, 13, 40]),
    ),
    min_size=1,
    max_size=10,
)
"""What goes on as it should: (what, which, how many points)."""
orders = st.lists(
    st.tuples(st.sampled_from(VERSIONS), st.sampled_from(["staging", "production"])), min_size=1, max_size=3
)


def pick(things: Sequence[T], number: int) -> T:
    """One of them."""
    return things[number % len(things)]


def disturbance(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule after which life goes on: Hypothesis leaves out some rules of each example, and this must be in every one."""

    def of(do: Callable[..., None]) -> Callable[..., None]:
        def both(self: "Model", then: list[tuple[str, int, int]], **values: Any) -> None:
            do(self, **values)
            self.live(then)

        both.__name__ = do.__name__
        given: dict[str, Any] = {"then": moves, **drawn}
        make: Callable[..., Callable[..., None]] = rule(**given)
        return make(both)

    return of


class Model(RuleBasedStateMachine):
    """One example: what was drawn is done to a fresh system, and after each rule everything that is promised is checked."""

    harness: ClassVar[Harness]
    rules_done: ClassVar[int] = 0
    met: ClassVar[Counter[str]] = Counter()
    """How often the examples came to what is worth coming to."""

    def __init__(self) -> None:
        super().__init__()
        self.system: System = self.harness.fresh_system()
        self.evidence = collect(self.system.database.engine)
        self._changes = Changes(self.system.book)
        self._edges = ExitStack()
        self._edges.enter_context(self.system.running())

    @initialize(pipeline=shapes.pipelines, established=st.booleans(), wanted=orders)
    def begin(self, pipeline: str, established: bool, wanted: list[tuple[str, str]]) -> None:
        note(pipeline)
        self.system.record_application(pipeline)
        if established:
            for environment in ("staging", "production"):
                self.system.request(VERSIONS[0], environment)
            settle(self.system, self._look)
        for version, environment in wanted:
            self.system.request(version, environment)

    # People.

    @precondition(lambda self: len(self.evidence.deployments) < MOST_DEPLOYMENTS)
    @disturbance(wanted=orders, overrides=st.sampled_from([False, False, False, True]))
    def request(self, wanted: list[tuple[str, str]], overrides: bool) -> None:
        for version, environment in wanted:
            self.system.request(version, environment, overrides=overrides)

    @precondition(lambda self: self.evidence.deployments)
    @disturbance(which=some)
    def cancel(self, which: int) -> None:
        self.system.cancel(pick(self.evidence.deployments, which).id)

    @precondition(lambda self: 0 < len(self.evidence.deployments) < MOST_DEPLOYMENTS)
    @disturbance(which=some, back=st.booleans())
    def ask_for_another(self, which: int, back: bool) -> None:
        ask = self.system.roll_back if back else self.system.retry
        ask(pick(self.evidence.deployments, which).id)

    @precondition(lambda self: self.evidence.asking)
    @disturbance(which=some, answer=st.sampled_from(["retry", "skip", "fail"]), all_at_once=st.booleans())
    def answer(self, which: int, answer: str, all_at_once: bool) -> None:
        step = pick([step for step in self.evidence.steps if step.status == "unknown"], which)
        self.system.answer(step.deployment_id, answer, None if all_at_once else step.id)

    @precondition(lambda self: self.evidence.at_a_loss)
    @disturbance(which=some, answer=st.sampled_from(["retry", "skip", "fail", "rollback"]))
    def say_what_to_do(self, which: int, answer: str) -> None:
        self.system.answer(pick(self.evidence.at_a_loss, which).id, answer)

    # Who says when.

    @precondition(lambda self: len(self.system.book.locks) < MOST_GATES)
    @disturbance(
        who=some,
        environment=st.sampled_from(["staging", "production", None]),
        seconds=st.sampled_from([None, 5.0, 60.0, 400.0]),
    )
    def lock(self, who: int, environment: str | None, seconds: float | None) -> None:
        self.system.lock(pick(self.system.people, who), environment, seconds)

    @precondition(lambda self: self.system.book.locks)
    @disturbance(which=some)
    def release_a_lock(self, which: int) -> None:
        self.system.unlock(pick(list(self.system.book.locks), which))

    @precondition(lambda self: self.evidence.halts)
    @disturbance(which=some)
    def let_go_on(self, which: int) -> None:
        self.system.let_go_on(pick(self.evidence.halts, which))

    @precondition(lambda self: len(self.system.book.stretches) < MOST_GATES)
    @disturbance(
        kind=st.sampled_from(list(RuleKind)),
        environment=st.sampled_from(["staging", "production"]),
        begins=st.sampled_from([-200, -20, 0, 20, 100]),
        lasts=st.sampled_from([15, 60, 300, 900]),
    )
    def make_a_window_or_a_freeze(self, kind: RuleKind, environment: str, begins: int, lasts: int) -> None:
        self.system.allow(kind, environment, begins=begins, lasts=lasts)

    @precondition(lambda self: self.system.book.stretches)
    @disturbance(which=some)
    def remove_a_window_or_a_freeze(self, which: int) -> None:
        self.system.allow_no_more(pick(list(self.system.book.stretches), which))

    @precondition(lambda self: self._awaiting_approval)
    @disturbance(which=some, who=some, again=st.booleans())
    def approve(self, which: int, who: int, again: bool) -> None:
        for number in (who, who + 1) if again else (who,):
            self.system.approve(pick(self._awaiting_approval, which), pick(self.system.people, number))

    # Messages.

    @precondition(lambda self: self.system.broker.messages)
    @disturbance(which=some)
    def lose_a_message(self, which: int) -> None:
        self.system.broker.messages.remove(pick(self.system.broker.messages, which))

    @precondition(lambda self: self.system.broker.messages)
    @disturbance(which=some)
    def double_a_message(self, which: int) -> None:
        self.system.broker.messages.append(pick(self.system.broker.messages, which))

    @disturbance()
    def break_or_mend_the_broker(self) -> None:
        self.system.broker.away = not self.system.broker.away

    # Workers.

    @precondition(lambda self: self._movable)
    @disturbance(which=some)
    def break_a_call(self, which: int) -> None:
        process, puppet = pick(self._movable, which)
        note(f"{puppet.label} {puppet.where}, and that breaks")
        process.resume(puppet, broken=True)

    @disturbance(which=some)
    def kill(self, which: int) -> None:
        self.system.replace(pick(self.system.processes, which))

    @disturbance(which=some)
    def terminate(self, which: int) -> None:
        pick(self.system.processes, which).end_slices()

    @disturbance(which=some)
    def stop_or_continue(self, which: int) -> None:
        process = pick(self.system.processes, which)
        process.stopped = not process.stopped

    @precondition(lambda self: self._movable)
    @disturbance(which=some, before=st.integers(0, 4), after=st.integers(1, 6))
    def stop_until_overtaken(self, which: int, before: int, after: int) -> None:
        """Stopped at any point for longer than its lease, while others go on with its work; then it wakes."""
        process, puppet = pick(self._movable, which)
        for _ in range(before):
            process.resume(puppet)
        process.stopped = True
        for run in self.system.site.living:
            run.output.extend(b"late")
        self.system.let_time_pass(9.0)
        self.system.tick()
        for message in list(self.system.broker.messages):
            self._deliver(message, which, after)
        process.stopped = False
        self._go_on(process, puppet, after)

    @precondition(lambda self: self._movable)
    @disturbance(which=some, before=st.integers(0, 8), after=st.integers(1, 6))
    def stop_until_given_up(self, which: int, before: int, after: int) -> None:
        """Its whole node stopped, best right before a start, until it counts as lost and a person has answered; it wakes."""
        process, puppet = pick(self._movable, which)
        for _ in range(before):
            if puppet.where != "starts its run":
                process.resume(puppet)
        node = [each for each in self.system.processes if each.node == process.node]
        for each in node:
            each.stopped = True
        self.system.let_time_pass(self.system.node_lost_seconds + 9.0)
        self.system.tick()
        for message in list(self.system.broker.messages):
            self._deliver(message, which, MOST_POINTS)
        for deployment_id in self._look().asking:
            self.system.answer(deployment_id, "retry")
        for each in node:
            each.stopped = False
        self._go_on(process, puppet, after)

    @disturbance(which=some, seconds=st.sampled_from([5.0, 9.0, 14.0]), wanted=orders, freezes=st.booleans())
    def stop_before_a_commit(
        self, which: int, seconds: float, wanted: list[tuple[str, str]], freezes: bool
    ) -> None:
        """Long enough for leases to end, and for a freeze to begin; not until Postgres gives the transaction up."""
        version, environment = wanted[0]
        if freezes and len(self.system.book.stretches) < MOST_GATES:
            self.system.allow(RuleKind.FREEZE, environment, begins=3, lasts=60)
        if len(self.evidence.deployments) < MOST_DEPLOYMENTS:
            self.system.request(version, environment)
        for process in self.system.processes:
            process.breakable.late_seconds = seconds
        for message in self.system.broker.messages[-1:]:
            self._deliver(message, which, 3)
        for process in self.system.processes:
            process.breakable.late_seconds = 0.0

    @disturbance(node=st.sampled_from(NODES))
    def stop_a_node(self, node: str) -> None:
        for process in self.system.processes:
            process.stopped = process.stopped or process.node == node

    # Time.

    @disturbance(seconds=st.sampled_from([0.1, 0.3, 2.5, 4.0, 9.0, 30.0, 75.0]), renewing=st.booleans())
    def let_time_pass(self, seconds: float, renewing: bool) -> None:
        self.system.let_time_pass(seconds, renewing=renewing)

    @disturbance(seconds=st.sampled_from([-300.0, -60.0, -5.0, 0.0, 5.0, 60.0, 300.0]))
    def set_the_clock_of_postgres(self, seconds: float) -> None:
        self.system.clocks.jump(seconds)

    # Targets, and what goes on as it should.

    @precondition(lambda self: self.system.site.living)
    @disturbance(which=some)
    def reboot(self, which: int) -> None:
        pick(self.system.site.living, which).lost = True

    @disturbance(seconds=st.integers(2, 25))
    def fail_whatever_runs(self, seconds: int) -> None:
        """As when what all depend on is broken: deployments fail, and the rollbacks of them."""
        for _ in range(seconds):
            second(self.system, code=1)

    @disturbance(output=st.binary(min_size=1, max_size=7))
    def write(self, output: bytes) -> None:
        for run in self.system.site.living:
            run.output.extend(output)

    @invariant()
    def everything_promised_is_so(self) -> None:
        type(self).rules_done += 1
        self._look()

    def teardown(self) -> None:
        try:
            if self.evidence.deployments and not self._failed():
                self.met.update(worth_meeting(self.evidence, self.system.site))
                settle(self.system, self._look)
        finally:
            self._edges.close()

    def _look(self) -> Evidence:
        """What is so now; fails if anything of it must not be."""
        self.evidence = collect(self.system.database.engine)
        found = violations(self.evidence, self.system.site) + self._changes.look(self.evidence)
        assert not found, "\n".join(found)
        return self.evidence

    def _failed(self) -> bool:
        return bool(violations(self.evidence, self.system.site))

    @property
    def _awaiting_approval(self) -> list[int]:
        """Where the pipeline wants a yes."""
        return [
            row.id
            for row in self.evidence.deployments
            if row.status == "pending" and self.system.book.needs[row.environment] and not row.rolls_back_id
        ]

    def live(self, then: list[tuple[str, int, int]]) -> None:
        """What happens without any fault, move by move; one that is not possible now is left out."""
        for what, which, points in then:
            self._live(what, which, points)

    def _live(self, what: str, which: int, points: int) -> None:
        system, living = self.system, self.system.site.living
        awake = [process for process in system.processes if not process.stopped]
        if what == "go on" and self._movable:
            self._go_on(*pick(self._movable, which), points)
        elif what == "deliver" and system.broker.messages and self._room:
            self._deliver(pick(system.broker.messages, which), which, points)
        elif what in {"end", "fail"} and living:
            system.site.end(pick(living, which), int(what == "fail"))
        elif what == "write" and living:
            pick(living, which).output.extend(b"so %d " % points)
        elif what == "a second":
            system.let_time_pass(1.0)
        elif what == "tick":
            system.tick()
        elif what == "recover":
            self._recover(pick(system.processes, which))
        elif what == "poll" and awake and self._room:
            pick(awake, which).poll()

    def _recover(self, process: Process) -> None:
        self.system.broker.away = False
        process.stopped = False
        if process.ending:
            self.system.replace(process)

    def _deliver(self, message: Sent, which: int, points: int) -> None:
        takers = self.system.takers(message)
        if takers:
            self.system.broker.messages.remove(message)
            process = pick(takers, which)
            self._go_on(process, self.system.deliver(message, process), points)

    @property
    def _room(self) -> bool:
        return sum(len(process.puppets) for process in self.system.processes) < MOST_PUPPETS

    @property
    def _movable(self) -> list[tuple[Process, Puppet]]:
        return [
            (process, puppet)
            for process in self.system.processes
            if not process.stopped
            for puppet in sorted(process.puppets, key=lambda each: each.label)
        ]

    def _go_on(self, process: Process, puppet: Puppet, points: int) -> None:
        """Through so many points; a thread that waits has nothing to do until something happens."""
        for _ in range(points):
            process.resume(puppet)
            if puppet.where == "waits":
                break
        note(f"{puppet.label} {'is done' if puppet.done else puppet.where}")
