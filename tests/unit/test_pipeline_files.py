"""Pipelines read from YAML: each mistake comes with its line, and YAML's traps are closed."""

# ruff: noqa: E501  # an expected message stands whole on the line of its mistake

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import plugins
from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import KnownPlugins, SettingsRefusedError
from orchestrator.domain.variables import references
from orchestrator.planner import build_plan
from orchestrator.services import pipelines, yaml_reading
from orchestrator.services.pipeline_files import read_pipeline
from orchestrator.services.yaml_reading import read_yaml
from orchestrator.strategies.all_at_once import AllAtOnce
from orchestrator.strategies.rolling import Rolling

REFERENCE = Path(__file__).parents[2] / "docs" / "pipeline.md"


def only_directory(settings: Mapping[str, Any]) -> None:
    """Stands for a kind of target that knows one setting."""
    for key in settings:
        if key != "directory":
            raise SettingsRefusedError(key, "is not known; write `directory`")


def any_reference(settings: Mapping[str, Any]) -> None:
    """Stands for a check, which may expect that every `$` in its settings can be read."""
    references(settings)


PLUGINS = KnownPlugins(
    targets={"command": only_directory},
    strategies={"all-at-once": AllAtOnce.from_settings, "rolling": Rolling.from_settings},
    checks={"http": any_reference},
)

GOOD = """\
application: shop
environments:
  staging:
    targets:
      - {name: web-a, kind: command, directory: /srv/shop, variables: {PORT: 8101}}
  production:
    after: staging
    targets:
      - name: web-a
        kind: command
        directory: /srv/shop
        variables: {PORT: "8101"}
    strategy:
      kind: rolling
      batch:
        - 1
        - 25%
    on_failure: rollback
deploy:
  - run: |
      ./bin/install "$RELEASE_VERSION"
    name: install
    timeout: 60s
  - verify: {http: "http://127.0.0.1:$PORT/version", expect: $RELEASE_VERSION}
"""


def mistakes(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(InvalidInputError) as caught:
        read_pipeline(text, plugins=PLUGINS)
    return [(problem.line, problem.detail) for problem in caught.value.problems]


def test_the_good_one_is_read() -> None:
    pipeline = read_pipeline(GOOD, plugins=PLUGINS)
    assert [each.name for each in pipeline.environments] == ["staging", "production"]
    assert pipeline.deploy[0].settings == {"script": './bin/install "$RELEASE_VERSION"\n'}
    assert pipeline.environments[1].strategy.settings == {"batch": [1, "25%"]}


@pytest.mark.parametrize(
    ("old", "new", "line", "detail"),
    [
        ("application: shop", "application: Shop", 1, "'Shop' cannot be a name; use 1 to 63 small letters, digits and hyphens, with a letter or digit at both ends"),
        ("application: shop", "", 1, "`application` is missing; write it"),
        ("deploy:", "deplyo:", 19, "there is no key `deplyo` here; did you mean `deploy`?"),
        ("after: staging", "after: stagin", 7, "there is no environment `stagin`; did you mean `staging`?"),
        ("after: staging", "after:\n      - staging\n      - qa", 9, "there is no environment `qa`; there is `staging`"),
        ("kind: rolling", "kind: roling", 14, "there is no strategy `roling`; did you mean `rolling`?"),
        ("- 25%", "- 250%", 17, "must be a percentage from 1% to 100%"),
        ("kind: rolling", "kind: rolling\n      bach: 2", 15, "there is no such setting; did you mean `batch`?"),
        ("on_failure: rollback", "on_failure: roll-back", 18, "must be fail or rollback, not `roll-back`"),
        ("timeout: 60s", "timeout: 60", 23, "must say its unit: write 60s for 60 seconds"),
        ("timeout: 60s", "timeout: 48h", 23, "must be from 1s to 24h, not 48h"),
        ("timeout: 60s", "timeot: 60s", 23, "there is no key `timeot` here; did you mean `timeout`?"),
        ("timeout: 60s", "idempotent: yes", 23, "must be true or false, not `yes`"),
        ("timeout: 60s", "timeout: 1:30", 23, "must be a duration such as 30s, 10m or 1h30m, not `1:30`"),
        ("{PORT: \"8101\"}", "{PORT: 81.5}", 12, "must be a text; write `81.5` in quotes"),
        ("{PORT: \"8101\"}", "{PORT: true}", 12, "must be a text; write true in quotes"),
        ("{PORT: \"8101\"}", "{TARGET_PORT: x, PORT: y}", 12, "names that begin with RELEASE_, DEPLOYMENT_, TARGET_ are set for you; choose another name"),
        ("directory: /srv/shop\n", "dir: /srv/shop\n", 11, "is not known; write `directory`"),
        ("{PORT: 8101}", "{PRT: 8101}", 24, "`$PORT` is not defined for target web-a of staging; did you mean `PRT`?"),
        ("{http:", "{colour: 5 $, http:", 24, "a lone `$` names no variable; write `$$` for a dollar sign"),
        ("{http:", "{htp:", 24, "name exactly one check here: `http`"),
        ("name: install", "name: install\n    name: again", 23, "the key `name` stands on line 22 already; remove one of them"),
        ("application: shop", "application: &a shop", 1, "anchors (`&a`) are not possible here; remove it"),
        ("after: staging", "after: *a", 7, "aliases (`*a`) are not possible here; write the value out"),
        ("after: staging", "after: !!python/name:os.system x", 7, "tags (`tag:yaml.org,2002:python/name:os.system`) are not possible here; write the value in quotes"),
        ("deploy:", "---\ndeploy:", 19, "a second document begins here; write one document, without `---` in it"),
        ("after: staging", "{a: b}: staging", 7, "a key must be a text; `{` and `[` begin a value, put it in quotes"),
        ("application: shop", "application: sh\x07op", 1, "the character U+0007 cannot be used in YAML; remove it"),
        ("after: staging", "after: \ud800", 7, "half of a surrogate pair cannot be used in a text; remove it"),
        ("{PORT: \"8101\"}", '{PORT: "a\\0b"}', 12, "a NUL character cannot be used in a text; remove it"),
    ],
)  # fmt: skip
def test_each_mistake_is_told_with_its_line(old: str, new: str, line: int, detail: str) -> None:
    assert old in GOOD
    assert (line, detail) in mistakes(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: b\nc: d: e\n", 2),
        ("application: shop\n\tdeploy: x\n", 2),
        ("application: shop\nenvironments: {staging: [}\n", 2),
        ('application: "shop\n', 2),
        ("application: shop\n deploy: x\n", 2),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, line: int) -> None:
    ((found, detail),) = mistakes(text)
    assert found == line
    assert detail.startswith("this is not valid YAML: ")


@pytest.mark.parametrize("text", ["", "# nothing\n", "~", "- a\n", "shop"])
def test_what_is_no_mapping_is_told(text: str) -> None:
    ((line, detail),) = mistakes(text)
    assert line == 1
    assert detail.startswith("write a mapping with `application`, ")


def test_mistakes_are_in_the_order_of_their_lines() -> None:
    lines = [
        line
        for line, _ in mistakes(GOOD.replace("60s", "60").replace(": shop", ": Shop").replace("25%", "0"))
    ]
    assert lines == [1, 17, 23]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("NO", "NO"),
        ("1:30", "1:30"),
        ("2026-11-23", "2026-11-23"),
        ("0644", "0644"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("+5", "+5"),
        ("1" * 5000, "1" * 5000),
        ("'5'", "5"),
        ("5", 5),
        ("-5", -5),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        (".inf", ".inf"),
        ("true", True),
        ("~", None),
        ("", None),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_values_are_what_they_look_like(written: str, value: object) -> None:
    document = read_yaml(f"a: {written}\n").document
    assert document == {"a": value}
    assert isinstance(document, dict)
    assert type(document["a"]) is type(value)


@pytest.mark.parametrize("key", ["on", "yes", "8101", "~", "true", "2026-11-23", "1.5"])
def test_keys_are_always_texts(key: str) -> None:
    assert read_yaml(f"{key}: x\n").document == {key: "x"}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("[" * 100_000, "nested more than 50 deep"),
        ("a: " + "{a: " * 60 + "1" + "}" * 60, "nested more than 50 deep"),
        ("- " * 60 + "a", "nested more than 50 deep"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n", "anchors"),
        ("# " + "x" * 1_000_000, "at most 1000000 are possible"),
        ("# " + "é" * 500_000, "at most 1000000 are possible"),
    ],
)
def test_bombs_do_nothing(text: str, detail: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_yaml(text)
    assert detail in caught.value.problems[0].detail


def test_the_parser_without_c_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read_yaml(GOOD)
    monkeypatch.setattr(yaml_reading, "_LOADER", yaml.SafeLoader)
    slow = read_yaml(GOOD)
    assert slow.document == fast.document
    pointers = [
        "/environments/production/strategy/batch/1",
        "/deploy/0/name",
        "/deploy/1/verify/expect",
        "/nowhere",
    ]
    assert (
        [slow.line_of(each) for each in pointers]
        == [fast.line_of(each) for each in pointers]
        == [17, 22, 24, 1]
    )


@given(st.text(max_size=60) | st.text("ab:-[]{}&*!|>'\"#%@,? \n\t\r$\x85\u2028\ufeff", max_size=60))
def test_any_text_is_read_or_refused_and_never_breaks(text: str) -> None:
    try:
        read_pipeline(text, plugins=PLUGINS)
    except InvalidInputError as error:
        assert all(problem.line is not None and problem.line >= 1 for problem in error.problems)


def test_the_examples_of_the_reference_are_valid() -> None:
    blocks = [block.split("```")[0] for block in REFERENCE.read_text().split("```yaml\n")[1:]]
    whole = [block for block in blocks if block.startswith("application:")]
    assert whole
    for block in whole:
        read_pipeline(block, plugins=PLUGINS)


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("examples/**/*.yaml")), ids=str)
def test_the_examples_can_be_applied_and_planned(path: Path) -> None:
    pipeline = read_pipeline(path.read_text(), plugins=pipelines.known_plugins())
    for environment in pipeline.environments:
        build_plan(
            pipeline,
            environment=environment.name,
            application=pipeline.application,
            version="1",
            strategies=plugins.strategy,
        )
