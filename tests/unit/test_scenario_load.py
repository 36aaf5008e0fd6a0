from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.scenario import yamlfile
from harness.scenario.load import choose_behaviours, coverage, known_suites, load_suite, select

DATA = Path(__file__).parents[1] / "data" / "scenario"
BAD_SCENARIOS = sorted((DATA / "bad-scenarios").glob("*.yaml"))
BAD_SUITES = sorted((DATA / "bad-suites").glob("*.yaml"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of suites with the good one."""
    found = tmp_path / "test-modules"
    for name in ("agent", "demo"):
        shutil.copytree(DATA / name, found / name)
    return found


def problems_of(file: Path) -> set[str]:
    """What the comments at the end of a bad file say of it: ``# problem LINE: TEXT``."""
    return set(re.findall(r"^# problem (.*)$", file.read_text(), re.MULTILINE))


def complaints(root: Path, file: str) -> set[str]:
    with pytest.raises(UserError) as caught:
        load_suite("demo", root)
    prefix = f"test-modules/demo/{file}:"
    return {line.removeprefix(prefix) for line in caught.value.message.splitlines() if line.startswith(prefix)}


@pytest.mark.parametrize("file", BAD_SCENARIOS, ids=lambda file: file.stem)
def test_every_problem_of_a_scenario_is_told_with_its_line(root: Path, file: Path) -> None:
    shutil.copy(file, root / "demo/scenarios/bad.yaml")
    assert problems_of(file)
    assert complaints(root, "scenarios/bad.yaml") == problems_of(file)


@pytest.mark.parametrize("file", BAD_SUITES, ids=lambda file: file.stem)
def test_every_problem_of_a_suite_is_told_with_its_line(root: Path, file: Path) -> None:
    shutil.copy(file, root / "demo/suite.yaml")
    assert problems_of(file)
    assert complaints(root, "suite.yaml") == problems_of(file)


def test_the_line_is_where_the_words_stand() -> None:
    """The comments are right themselves: each names a word that is on its line."""
    for file in (*BAD_SCENARIOS, *BAD_SUITES):
        lines = file.read_text().splitlines()
        for problem in problems_of(file):
            number, text = problem.split(": ", 1)
            for word in re.findall(r"'(\w+)'; (?:did|known)", text):
                assert re.search(rf"\b{word}\b", lines[int(number) - 1]), (file.name, problem)


def test_all_files_are_told_at_once(root: Path) -> None:
    for number, file in enumerate(BAD_SCENARIOS):
        shutil.copy(file, root / f"demo/scenarios/bad-{number}.yaml")
    with pytest.raises(UserError) as caught:
        load_suite("demo", root)
    assert {line.split(":")[0] for line in caught.value.message.splitlines()} == {
        f"test-modules/demo/scenarios/bad-{number}.yaml" for number in range(len(BAD_SCENARIOS))
    }


def test_a_good_suite(root: Path) -> None:
    suite = load_suite("demo", root)
    assert (suite.name, suite.modules, suite.folder) == ("demo", ("demo.ko",), root / "demo")
    assert [scenario.id for scenario in suite.scenarios] == ["take-and-give", "take-when-fast"]
    assert suite.scenarios[0].roles == ("left",)
    assert suite.operations["facts"].results.keys() == {"release", "cpus", "<role>.size", "demo.fast"}
    assert coverage(suite) == {"R1": ("take-and-give", "take-when-fast"), "R2": ("take-and-give",)}


def test_a_folder_without_suite_is_no_suite(root: Path) -> None:
    assert known_suites(root) == ("demo",)
    with pytest.raises(UserError, match="did you mean demo") as caught:
        load_suite("dmo", root)
    assert "known suites: demo" in caught.value.hint


def test_a_suite_without_scenarios_is_refused(root: Path) -> None:
    shutil.rmtree(root / "demo/scenarios")
    with pytest.raises(UserError, match=r"suite\.yaml:1: the suite has no scenarios"):
        load_suite("demo", root)


@pytest.mark.parametrize("text", ["", "- a\n", "3\n", "summary: [\n"])
def test_a_file_that_is_no_mapping_is_refused(root: Path, text: str) -> None:
    (root / "demo/scenarios/odd.yaml").write_text(text)
    with pytest.raises(UserError, match=r"scenarios/odd\.yaml:\d+: "):
        load_suite("demo", root)


def test_a_file_that_is_not_text_is_refused(root: Path) -> None:
    (root / "demo/scenarios/odd.yaml").write_bytes(b"summary: \xff\xfe")
    with pytest.raises(UserError, match="cannot be read"):
        load_suite("demo", root)


def test_an_argument_must_not_have_the_name_of_a_key_of_steps(root: Path) -> None:
    with (root / "demo/ops.yaml").open("a") as sink:
        sink.write("  wait: {args: {poll: {type: integer}}}\n")
    with pytest.raises(UserError, match=r"demo/ops\.yaml:\d+: ops\.wait\.args\.poll: 'poll' is a key of steps"):
        load_suite("demo", root)


def test_an_operation_of_the_agent_gets_only_results_from_a_suite(root: Path) -> None:
    with (root / "demo/ops.yaml").open("a") as sink:
        sink.write("  sleep_ms: {runs: actor, args: {more: {type: integer}}, results: {slept: {type: integer}}}\n")
    operation = load_suite("demo", root).operations["sleep_ms"]
    assert (set(operation.args), set(operation.results), operation.runs) == ({"ms"}, {"slept"}, "any")


def test_select(root: Path) -> None:
    suite = load_suite("demo", root)
    assert [each.id for each in select(suite, [])] == ["take-and-give", "take-when-fast"]
    assert [each.id for each in select(suite, ["*-fast"])] == ["take-when-fast"]
    assert [each.id for each in select(suite, ["take-when-fast", "take-*"])] == ["take-and-give", "take-when-fast"]
    assert [each.id for each in select(suite, ["!*-fast"])] == ["take-and-give"]
    assert [each.id for each in select(suite, ["!*-give", "take-*"])] == ["take-when-fast"]
    for left_out, what in (("!*", "is left"), ("!own-*", "no scenario '!own-\\*'")):
        with pytest.raises(UserError, match=what):
            select(suite, [left_out])
    with pytest.raises(UserError, match="no scenario 'take-when-fats'") as caught:
        select(suite, ["take-and-give", "take-when-fats"])
    assert "did you mean take-when-fast" in caught.value.hint
    assert "take-and-give" in caught.value.hint


def test_choose_behaviours(root: Path) -> None:
    suite = load_suite("demo", root)
    assert choose_behaviours(suite, []) == {}
    chosen = choose_behaviours(suite, ["strict=false", "level=0x10", "colour=blue"])
    assert chosen == {"strict": False, "level": 16, "colour": "blue"}


@pytest.mark.parametrize("word", ["strct=true", "strict", "strict=maybe", "level=high"])
def test_a_behaviour_that_is_not_there_is_refused(root: Path, word: str) -> None:
    with pytest.raises(UserError, match=word):
        choose_behaviours(load_suite("demo", root), [word])


def test_merged_keys_are_not_keys_that_are_there_twice() -> None:
    read = yamlfile.parse("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n", "f")
    assert isinstance(read, yamlfile.Document)
    assert read.data == {"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}}
    assert read.lines[("b", "k")] == 4


def test_a_problem_names_the_nearest_line_that_there_is() -> None:
    read = yamlfile.parse("a:\n  - b: 1\n", "f")
    assert isinstance(read, yamlfile.Document)
    assert str(read.problem(("a", 0, "c", "d"), "no")) == "f:2: a[0].c.d: no"
    assert str(read.problem((), "no")) == "f:1: no"


def test_a_suite_is_read_once_until_a_file_of_it_changes(root: Path) -> None:
    first = load_suite("demo", root)
    assert load_suite("demo", root) is first
    scenario = root / "demo/scenarios" / f"{first.scenarios[0].id}.yaml"
    scenario.write_text(scenario.read_text().replace("summary: ", "summary: now "))
    second = load_suite("demo", root)
    assert second.scenarios[0].spec.summary == f"now {first.scenarios[0].spec.summary}"
    shutil.copy(scenario, scenario.with_name("added.yaml"))
    assert "added" in {each.id for each in load_suite("demo", root).scenarios}
    (root / "agent/ops.yaml").write_text("ops: {}\n")
    with pytest.raises(UserError):
        load_suite("demo", root)
