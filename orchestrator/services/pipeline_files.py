"""Reading the file in which a person wrote a pipeline: every mistake comes with its line."""

from dataclasses import replace

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.pipeline import KnownPlugins, Pipeline, parse_pipeline
from orchestrator.services.yaml_reading import read_yaml


def read_pipeline(text: str, *, plugins: KnownPlugins) -> Pipeline:
    """Read a pipeline from YAML. Raises InvalidInputError with every problem, in the order of their lines."""
    source = read_yaml(text)
    try:
        return parse_pipeline(source.document, plugins=plugins)
    except InvalidInputError as error:
        problems = [replace(each, line=source.line_of(each.pointer)) for each in error.problems]
        problems.sort(key=lambda each: each.line or 0)
        raise InvalidInputError(error.message, problems=problems) from None
