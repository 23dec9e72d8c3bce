"""What a pipeline is: where an application goes, in what order, and how it gets there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.approvals import ApprovalRule
from orchestrator.domain.durations import format_duration
from orchestrator.domain.variables import merge_variables
from orchestrator.domain.windows import WhenClosed

RUN = "run"
VERIFY = "verify"
TRAFFIC = "traffic"
FILES = "files"
FAIL = "fail"
FIFO, LATEST_WINS, REJECT = "fifo", "latest_wins", "reject"
QUEUES = (FIFO, LATEST_WINS, REJECT)
ROLLBACK = "rollback"
PAUSE = "pause"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSpec:
    """One thing that gets the release; `settings` are the kind's own."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategySpec:
    """In what order targets get the release; `settings` are the strategy's own."""

    kind: str = "all-at-once"
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionSpec:
    """One thing that is done on every target: `run` a script there, put the release's `files` there, or `verify` the result.

    The settings of a run are its `script`; those of files the `directory` and how many releases to `keep`; those of a
    verify are as written, with `within` and `interval` filled in.
    """

    kind: str
    title: str
    settings: Mapping[str, Any]
    check: str = ""
    """Which kind of check a verify is; empty for others."""
    timeout_seconds: int = 600
    grace_seconds: int = 10
    retries: int = 0
    idempotent: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    undo: str = ""
    """The script that puts back what a run did, when its deployment is rolled back."""
    irreversible: bool = False
    """What a run did cannot be put back: nobody goes back behind it without being told to."""
    verifies: bool = False
    """A run that changes nothing and says whether its target is well, so that it is asked again as a verify is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedSpec:
    """What the targets of an environment are asked between deployments: a check, on every target, so often."""

    check: str
    settings: Mapping[str, Any]
    every_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficSpec:
    """Which proxy shares out the traffic of an environment, and what its targets are called there."""

    kind: str
    settings: Mapping[str, Any]
    server: str
    """What a target is called at the proxy, with variables."""
    weight: int
    """What a server weighs that gets all its share."""
    drain_seconds: float
    """How long requests are waited for that are under way at a target which gets no new ones."""
    within_seconds: float
    """How long the proxy has to do as it is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSpec:
    """One environment an application goes to; `after` are those a release must have been through before."""

    name: str
    targets: tuple[TargetSpec, ...]
    after: tuple[str, ...] = ()
    strategy: StrategySpec = StrategySpec()
    traffic: TrafficSpec | None = None
    on_failure: str = FAIL
    answer_seconds: int = 0
    """How long a person is waited for where `on_failure` is PAUSE."""
    unanswered: str = FAIL
    """What is done when nobody has answered by then: FAIL or ROLLBACK."""
    queue: str = FIFO
    approvals: tuple[ApprovalRule, ...] = ()
    soak_seconds: int = 0
    """How long a release has to have been in those it comes `after`."""
    health: AskedSpec | None = None
    """How the release that soaks here is asked whether it is well; None: nobody asks."""
    drift: AskedSpec | None = None
    """How targets are asked whether what was installed is what runs there; None: nobody asks."""
    auto: bool = False
    """A release comes here by itself once it succeeded in those it comes `after`."""
    on_release: bool = False
    """A release that another system announces comes here by itself."""
    when_closed: WhenClosed = WhenClosed.FINISH
    jitter_seconds: int = 0
    """Over how much time the starts after an opening are spread."""
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """How an application is deployed; no environment stands before one of those it comes `after`."""

    application: str
    environments: tuple[EnvironmentSpec, ...]
    deploy: tuple[ActionSpec, ...]
    description: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    """Names of secrets; their values are never here."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Facts about the application, by which windows and freezes may choose it."""

    def promotes(self, name: str) -> tuple[EnvironmentSpec, ...]:
        """Give the environments to which a release goes by itself after its success in this one."""
        return tuple(each for each in self.environments if each.auto and name in each.after)

    def soaks_after(self, name: str) -> tuple[int, ...]:
        """Give how many seconds a release soaks in this environment for each of those that come after it, once each."""
        found = {each.soak_seconds for each in self.environments if name in each.after}
        return tuple(sorted(found - {0}))

    def on_release(self) -> tuple[EnvironmentSpec, ...]:
        """Give the environments to which a release goes by itself when it is announced."""
        return tuple(each for each in self.environments if each.on_release)

    def find_environment(self, name: str) -> EnvironmentSpec | None:
        """Give the environment of this name, if the pipeline has it."""
        return next((each for each in self.environments if each.name == name), None)

    def shared_variables(self, environment: EnvironmentSpec) -> dict[str, str]:
        """Give what every target of `environment` sees."""
        return merge_variables(self.variables, environment.variables)

    def shared_secrets(self, environment: EnvironmentSpec) -> tuple[str, ...]:
        """Name the secrets that every `run` in `environment` gets."""
        return tuple(sorted({*self.secrets, *environment.secrets}))


def to_document(pipeline: Pipeline) -> dict[str, Any]:
    """Write the pipeline as a plain structure, with all defaults, that `parse_pipeline` reads back."""
    return {
        "application": pipeline.application,
        "description": pipeline.description,
        "variables": dict(pipeline.variables),
        **_secrets_document(pipeline.secrets),
        **({"labels": dict(pipeline.labels)} if pipeline.labels else {}),
        "environments": {each.name: _environment_document(each) for each in pipeline.environments},
        "deploy": [_action_document(action) for action in pipeline.deploy],
    }


def _secrets_document(names: tuple[str, ...]) -> dict[str, Any]:
    """Only where there are some, so that pipelines from before there were any stay as they are."""
    return {"secrets": list(names)} if names else {}


def _environment_document(environment: EnvironmentSpec) -> dict[str, Any]:
    return {
        "after": list(environment.after),
        "targets": [
            {
                **target.settings,
                "name": target.name,
                "kind": target.kind,
                "labels": dict(target.labels),
                "variables": dict(target.variables),
            }
            for target in environment.targets
        ],
        "variables": dict(environment.variables),
        **_secrets_document(environment.secrets),
        "strategy": {**environment.strategy.settings, "kind": environment.strategy.kind},
        **({"traffic": _traffic_document(environment.traffic)} if environment.traffic else {}),
        "on_failure": _on_failure_document(environment),
        **({} if environment.queue == FIFO else {"queue": environment.queue}),
        **({"soak": format_duration(environment.soak_seconds)} if environment.soak_seconds else {}),
        **({"health": _asked_document(environment.health)} if environment.health else {}),
        **({"drift": _asked_document(environment.drift)} if environment.drift else {}),
        **({"auto": True} if environment.auto else {}),
        **({"on_release": True} if environment.on_release else {}),
        **(
            {}
            if environment.when_closed is WhenClosed.FINISH
            else {"when_closed": str(environment.when_closed)}
        ),
        **({"jitter": format_duration(environment.jitter_seconds)} if environment.jitter_seconds else {}),
        **(
            {"approvals": [rule.document() for rule in environment.approvals]}
            if environment.approvals
            else {}
        ),
    }


def _on_failure_document(environment: EnvironmentSpec) -> str | dict[str, str]:
    if environment.on_failure != PAUSE:
        return environment.on_failure
    return {PAUSE: format_duration(environment.answer_seconds), "then": environment.unanswered}


def _traffic_document(traffic: TrafficSpec) -> dict[str, Any]:
    return {
        **traffic.settings,
        "server": traffic.server,
        "weight": traffic.weight,
        "drain": format_duration(traffic.drain_seconds),
        "within": format_duration(traffic.within_seconds),
    }


def _asked_document(asked: AskedSpec) -> dict[str, Any]:
    return {**asked.settings, "every": format_duration(asked.every_seconds)}


def _action_document(action: ActionSpec) -> dict[str, Any]:
    common = {"name": action.title, "variables": dict(action.variables)}
    if action.kind == VERIFY:
        return {"verify": dict(action.settings), **common}
    limits = {
        "timeout": format_duration(action.timeout_seconds),
        "grace": format_duration(action.grace_seconds),
        "retries": action.retries,
    }
    if action.kind == FILES:
        return {"files": action.settings["directory"], "keep": action.settings["keep"], **common, **limits}
    return {
        "run": action.settings["script"],
        **common,
        **limits,
        "idempotent": action.idempotent,
        **({"undo": action.undo} if action.undo else {}),
        **({"irreversible": True} if action.irreversible else {}),
        **({"verifies": True} if action.verifies else {}),
    }
