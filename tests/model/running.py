"""Running the model with a seed."""

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.harness import Harness
from tests.model.machine import Model


def run(harness: Harness, number: int, *, examples: int, rules: int, shrinking: bool = False) -> None:
    """So many examples of at most so many rules; raises what the first that fails raises, with all that led to it.

    The same number does the same again. Making an example smaller takes minutes.
    """
    Model.harness = harness
    seed(number)(Model)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=rules,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrinking else (Phase.generate,),
        print_blob=False,
        report_multiple_bugs=False,
    )
    try:
        run_state_machine_as_test(Model, settings=chosen)
    except BaseException as error:
        error.add_note(f"again: make simulate N=1 SEED={number} EXAMPLES={examples} RULES={rules}")
        raise
