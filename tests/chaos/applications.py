"""What is deployed: pipelines whose commands say to the ledger what they do, and releases that say how they behave."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos.places import CONTAINERS, HOST, NODE

BEHAVIOURS = ("quick", "noisy", "long", "flaky", "fails", "leaves", "stubborn")
"""quick, noisy, long: succeed. flaky: at the third try. fails, leaves: on the last target, the latter with a daemon left
behind. stubborn: runs with a daemon until it is killed, deaf to TERM."""
VERSIONS = tuple(f"{number}-{behaviour}" for number in (1, 2) for behaviour in BEHAVIOURS)

# One line is one write with O_APPEND: lines are whole, and in the order in which they were written.
SCRIPT = r"""
now() { date +%s.%N; }
note() { printf '%s %s %s %s\n' "$1" "$DEPLOYMENT_RUN" "$2" "$(now)" >>"$CHAOS/ledger"; }
say() { printf "$@"; printf "$@" >>"$own"; }
daemon() {
    (trap '' TERM; setsid sh -c 'trap "" TERM; while :; do
        printf "D %s - %s\n" "$DEPLOYMENT_RUN" "$(date +%s.%N)" >>"$CHAOS/ledger"; sleep 0.3; done' >/dev/null 2>&1 &)
}
place=$RELEASE_NAME.$DEPLOYMENT_ENVIRONMENT.$TARGET_NAME
own=$CHAOS/out/$DEPLOYMENT_RUN
note S "$place"
say 'begin \000\377 %s\n' "$DEPLOYMENT_RUN"
end() {
    if [ "$1" = 0 ] && [ ! -d "$CHAOS/state/$place" ]; then
        echo "$RELEASE_VERSION" >"$CHAOS/state/$place.$DEPLOYMENT_RUN"
        mv "$CHAOS/state/$place.$DEPLOYMENT_RUN" "$CHAOS/state/$place"
    fi
    say 'end %s\n' "$1"
    note E "$1"
    exit "$1"
}
count() {
    n=0
    while [ "$n" -lt "$1" ]; do n=$((n + 1)); say 'line %d of %s\n' "$n" "$DEPLOYMENT_RUN"; sleep 0.2; done
}
last=
[ "$TARGET_NAME" != "$LAST_TARGET" ] || last=yes
case $RELEASE_VERSION in
    *-quick) count 1 ;;
    *-noisy)
        awk 'BEGIN { for (n = 1; n <= 4000; n++) printf "%d: the quick brown fox jumps over the lazy dog\n", n }' |
            tee -a "$own"
        count 2 ;;
    *-long) count $((25 + DEPLOYMENT_ID % 20)) ;;
    *-flaky) count 1; [ "${DEPLOYMENT_RUN##*-}" -ge 3 ] || end 9 ;;
    *-fails) count 3; [ -z "$last" ] || end 3 ;;
    *-leaves) count 2; [ -z "$last" ] || { daemon; end 4; } ;;
    *-stubborn) trap '' TERM; daemon; while :; do count 10; done ;;
esac
end 0
"""


@dataclass(frozen=True, slots=True)
class Application:
    """An application by its name, with the lines of its pipeline that differ."""

    name: str
    environments: str
    actions: str
    promoted: bool = False
    """Whether production waits for staging."""
    brings: bool = False
    """Whether its releases are files, which are what its targets have; else its scripts write down what that is."""
    at: str = NODE
    """Where its targets are, if such a place can be had; else they are the workers' nodes."""
    alone: bool = False
    """Whether one deployment is asked for at a time: a switch of sides is planned from where the traffic will be."""
    approved: tuple[str, ...] = ()
    """Environments in which somebody has to approve each."""

    def asking_first(self, environment: str) -> "Application":
        """The same, but each deployment to this environment has to be approved."""
        head = f"  {environment}:\n"
        rule = "    approvals: [{count: 1, role: operator}]\n"
        return replace(
            self,
            environments=self.environments.replace(head, head + rule),
            approved=(*self.approved, environment),
        )


def _environment(name: str, count: int, *lines: str) -> str:
    names = [f"t{number}" for number in range(1, count + 1)]
    targets = ", ".join(f"{{name: {each}, labels: {{side: {each}}}, {{target}}}}" for each in names)
    head = f"  {name}:\n    targets: [{targets}]\n    variables: {{LAST_TARGET: t{count}}}\n"
    return head + "".join(f"    {line}\n" for line in lines)


_INSTALL = "  - name: install\n    retries: 2\n    grace: 1s\n    timeout: 90s\n    run: |\n{script}"
_SECOND = "  - name: check\n    retries: 2\n    grace: 1s\n    timeout: 90s\n    run: |\n{script}"
_FILES = (
    "  - files: {folder}/state/{application}.$DEPLOYMENT_ENVIRONMENT.$TARGET_NAME\n"
    "    retries: 2\n    grace: 1s\n    timeout: 90s\n"
)
_VERIFY = (
    "  - name: answers\n    verify: {http: 'http://127.0.0.1:$CHAOS_PORT/', within: 90s, interval: 200ms}\n"
)

APPLICATIONS = (
    Application(
        "alpha",
        _environment("staging", 1) + _environment("production", 3, "after: staging"),
        _INSTALL + _VERIFY,
        promoted=True,
    ),
    Application(
        "beta",
        _environment(
            "staging", 3, "strategy: {kind: rolling, mode: sliding, batch: 2}", "on_failure: rollback"
        )
        + _environment("production", 4, "strategy: {kind: rolling, batch: [1, 50%]}", "on_failure: rollback"),
        _INSTALL + _SECOND,
    ),
    Application(
        "gamma",
        _environment("staging", 3, "strategy: {kind: all-at-once, max_failures: 1}")
        + _environment("production", 2, "on_failure: rollback"),
        _FILES + _INSTALL,
        brings=True,
        at=HOST,
    ),
    Application(
        "delta",
        _environment("staging", 1, "on_failure: rollback")
        + _environment("production", 2, "strategy: rolling"),
        _INSTALL + _VERIFY,
        at=CONTAINERS,
    ),
)
GUARDED = tuple(each.asking_first("production") if each.name == "gamma" else each for each in APPLICATIONS)
"""The same where there is somebody who approves."""
SWITCHED = Application(
    "epsilon",
    _environment(
        "staging",
        2,
        "traffic: {{traffic of staging}, drain: 2s}",
        "strategy: {kind: blue-green, keep: 2s}",
    )
    + _environment(
        "production",
        4,  # of fewer, all but the first may be left without traffic by two who cancel, and the last one is never taken out
        "traffic: {{traffic of production}, drain: 2s}",
        "strategy: {kind: canary, weights: [30%], hold: 2s, batch: 1}",
        "on_failure: rollback",
    ),
    _INSTALL + _VERIFY,
    alone=True,
)
"""Its targets stand behind proxies."""
ENVIRONMENTS = ("staging", "production")
NO_TRAFFIC: Mapping[str, str] = {}


def pipeline(
    application: Application,
    *,
    folder: Path,
    port: int,
    reached: Mapping[str, str],
    traffic: Mapping[str, str] = NO_TRAFFIC,
) -> bytes:
    """The pipeline file of an application whose commands write below `folder` and verify at `port`.

    `reached`: how a target of each kind is set, as YAML; `traffic`: how the proxy of an environment is reached, likewise.
    """
    variables: Mapping[str, str] = {"CHAOS": f"{folder}/", "CHAOS_PORT": f"{port}"}
    given = ", ".join(f"{name}: '{value}'" for name, value in variables.items())
    script = "".join(f"      {line}\n" for line in SCRIPT.strip("\n").splitlines())
    actions = application.actions.replace("{script}", script)
    actions = actions.replace("{folder}", str(folder)).replace("{application}", application.name)
    environments = application.environments.replace("{target}", reached.get(application.at, reached[NODE]))
    for environment, settings in traffic.items():
        environments = environments.replace(f"{{traffic of {environment}}}", settings)
    return (
        f"application: {application.name}\nvariables: {{{given}}}\n"
        f"environments:\n{environments}deploy:\n{actions}"
    ).encode()
