"""The examples in docs/scenarios.md are scenarios of the sva suite."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.scenario import match, yamlfile
from harness.scenario.check import World, check_scenario
from harness.scenario.language import STEP_KINDS, DoStep, FinishStep
from harness.scenario.load import load_suite, validated
from harness.scenario.schema import ScenarioFile, SuiteFile

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_a_scenario(text: str) -> None:
    suite = load_suite("sva")
    read = yamlfile.parse(text, "docs/scenarios.md")
    assert isinstance(read, yamlfile.Document)
    problems: list[yamlfile.Problem] = []
    spec = validated(read, ScenarioFile, problems)
    assert spec is not None, problems
    assert check_scenario(read, spec, World(suite.spec, suite.operations, suite.common)) == ()


def test_the_page_names_every_key_of_the_language() -> None:
    assert len(EXAMPLES) == 2
    keys = {*STEP_KINDS, *DoStep.model_fields, *FinishStep.model_fields, *ScenarioFile.model_fields}
    # Not told: the parts of a suite that its own file comments on.
    keys |= set(SuiteFile.model_fields) - {"modules", "agent", "summary"}
    keys |= set(match._WORDS) - {"eq", "ne", "ge", "gt", "le", "lt"}
    assert [key for key in sorted(keys - {"args", "limit"}) if not re.search(rf"\b{key.rstrip('_')}\b", PAGE)] == []
