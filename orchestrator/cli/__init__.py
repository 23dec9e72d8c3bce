"""The `releasectl` command. Nothing heavy is imported here: `--help` must come at once."""

import click

from orchestrator.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "up": Lazy("orchestrator.cli.up:up", "Start everything on this machine."),
    "demo": Lazy("orchestrator.cli.demo:demo", "Watch an application be released, fail and be rolled back."),
    "doctor": Lazy("orchestrator.cli.doctor:doctor", "Say what is unhealthy, and what to do about it."),
    "login": Lazy("orchestrator.cli.account:login", "Log in to a server."),
    "logout": Lazy("orchestrator.cli.account:logout", "Log out, and forget the tokens."),
    "password": Lazy("orchestrator.cli.account:password", "Change your password."),
    "whoami": Lazy("orchestrator.cli.account:whoami", "Show who you are to the server."),
    "apply": Lazy("orchestrator.cli.apply:apply", "Store an application's pipeline from a YAML file."),
    "release": Lazy("orchestrator.cli.release:release", "Record and look up releases."),
    "deploy": Lazy("orchestrator.cli.deploy:deploy", "Send a release to an environment."),
    "promote": Lazy("orchestrator.cli.deploy:promote", "Send what is in one environment to the next."),
    "schedule": Lazy("orchestrator.cli.schedule:schedule", "Have deployments requested again and again."),
    "plan": Lazy("orchestrator.cli.plan:plan", "Show what a deployment would do."),
    "deployments": Lazy("orchestrator.cli.deployments:deployments", "Watch and steer deployments."),
    "explain": Lazy("orchestrator.cli.explain:explain", "Say why a deployment waits, and until when."),
    "calendar": Lazy(
        "orchestrator.cli.calendar:calendar", "Show when deploying is allowed, and what will start."
    ),
    "insights": Lazy("orchestrator.cli.insights:insights", "Measure how deploying goes, as DORA does."),
    "lock": Lazy("orchestrator.cli.lock:lock", "Keep deployments from starting."),
    "window": Lazy("orchestrator.cli.windows:window", "Say when deploying is allowed."),
    "freeze": Lazy("orchestrator.cli.windows:freeze", "Say when deploying is forbidden."),
    "status": Lazy("orchestrator.cli.status:status", "Show what runs where."),
    "applications": Lazy(
        "orchestrator.cli.applications:applications", "Look up applications, and hand them over."
    ),
    "environments": Lazy(
        "orchestrator.cli.environments:environments", "Look up environments, and restrict them."
    ),
    "targets": Lazy("orchestrator.cli.targets:targets", "Look after the hosts that get releases."),
    "user": Lazy("orchestrator.cli.user:user", "Create, change and list users."),
    "token": Lazy("orchestrator.cli.token:token", "Make API tokens for machines, list and revoke them."),
    "grant": Lazy("orchestrator.cli.grant:grant", "Give roles for one application, and take them away."),
    "hook": Lazy("orchestrator.cli.hook:hook", "Let GitHub, GitLab and others announce releases."),
    "webhook": Lazy("orchestrator.cli.webhook:webhook", "Tell programs and people what happens."),
    "audit": Lazy("orchestrator.cli.audit:audit", "Say what happened, and prove that this is all of it."),
    "api": Lazy("orchestrator.cli.api:api", "Send any request to the API."),
    "completion": Lazy("orchestrator.cli.completion:completion", "Print the completion script of a shell."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="devops-release-manager", prog_name="releasectl")
def main() -> None:
    """Record releases and ship them to environments.

    A first walk: `releasectl up` in one terminal; in another `releasectl login`,
    `releasectl apply -f shop.yaml`, `releasectl release create shop 1.0.0`
    and `releasectl deploy shop 1.0.0 --to staging --watch`.
    """
