"""What a pipeline says of `files`."""

from dataclasses import replace

import pytest

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import parse_pipeline, to_document
from tests.unit.test_pipeline import PLUGINS, document, problems

FILES = {"files": "/srv/$RELEASE_NAME", "keep": 3}
RECEIVING = replace(PLUGINS, receivers=frozenset({"noop"}))


def test_files_go_to_a_folder_and_are_kept() -> None:
    pipeline = parse_pipeline(document(deploy=[FILES]), plugins=RECEIVING)
    (action,) = pipeline.deploy
    assert (action.kind, action.title) == ("files", "files in /srv/$RELEASE_NAME")
    assert action.settings == {"directory": "/srv/$RELEASE_NAME", "keep": 3}
    assert action.idempotent
    assert parse_pipeline(to_document(pipeline), plugins=RECEIVING) == pipeline


def test_files_go_only_to_kinds_that_take_them_and_by_variables_that_are_defined() -> None:
    assert problems(document(deploy=[FILES])) == {
        "/environments/staging/targets/0/kind": "`files` goes to targets of the kinds , not to noop"
    }
    with pytest.raises(InvalidInputError) as caught:
        parse_pipeline(document(deploy=[{"files": "/srv/$PLACE"}]), plugins=RECEIVING)
    (problem,) = caught.value.problems
    assert problem.pointer == "/deploy/0/files"
    assert "`$PLACE` is not defined for target web-a of staging" in problem.detail
