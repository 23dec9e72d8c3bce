"""Reading who has to approve deployments to an environment."""

from orchestrator.domain.access import Role
from orchestrator.domain.approvals import ApprovalRule
from orchestrator.domain.reading import Section, child, described

MOST_RULES = 10
MOST_PEOPLE = 20
LONGEST_YES_SECONDS = 30 * 86_400

_KEYS = ("count", "role", "users", "team", "not_author", "expires")
_WHOM = ("role", "users", "team")
_ROLES = tuple(role for role in Role if role is not Role.VIEWER)


def read_approvals(section: Section) -> tuple[ApprovalRule, ...]:
    """The rules under `approvals`; all of them have to be met."""
    if not section.has("approvals"):
        return ()
    value, pointer = section.values["approvals"], section.at("approvals")
    if not isinstance(value, list | tuple) or len(value) > MOST_RULES:
        section.problems.add(
            pointer,
            f"must be a list of rules, at most {MOST_RULES}, such as `- {{count: 1, role: operator}}`",
        )
        return ()
    return tuple(_rule(section, child(pointer, index), each) for index, each in enumerate(value))


def _rule(section: Section, pointer: str, value: object) -> ApprovalRule:
    rule = Section.of(section.problems, pointer, value, known=_KEYS)
    users = _users(rule)
    count = rule.values.get("count", 1)
    most = len(users) or MOST_PEOPLE
    if type(count) is not int or not 1 <= count <= most:
        section.problems.add(rule.at("count"), f"must be a number from 1 to {most}, not {described(count)}")
        count = 1
    for key in [key for key in _WHOM if rule.has(key)][1:]:
        section.problems.add(rule.at(key), "write only one of `role`, `users` and `team`")
    return ApprovalRule(
        count=count,
        role=Role(rule.choice("role", _ROLES)),
        users=users,
        team=rule.name("team") if rule.has("team") else "",
        but_author=rule.flag("not_author", default=False),
        expires_seconds=int(rule.seconds("expires", default=0, least=60, most=LONGEST_YES_SECONDS)),
    )


def _users(rule: Section) -> tuple[str, ...]:
    if not rule.has("users"):
        return ()
    value, pointer = rule.values["users"], rule.at("users")
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_PEOPLE:
        rule.problems.add(pointer, f"must be a list of 1 to {MOST_PEOPLE} names")
        return ()
    for index, name in enumerate(value):
        if not isinstance(name, str) or not name or name in value[:index]:
            rule.problems.add(child(pointer, index), "must be the name of a user, once")
    return tuple(name for name in value if isinstance(name, str))
