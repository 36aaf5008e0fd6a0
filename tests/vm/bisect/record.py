"""Record what a flaky failure does on each commit of the history that matters: ``python -m tests.vm.bisect.record``.

Forty boots of each kernel, about a quarter of an hour; what comes is tests/data/bisect/flaky.json, on which
tests/unit/test_bisect_recorded.py repeats the decisions of a bisection.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from harness.cache import Cache
from harness.campaign.bisect import signature as signatures
from harness.campaign.bisect.signature import Mark, Signature
from harness.campaign.bisect.tester import Runs, Tester
from harness.campaign.bisect.trees import Trees
from harness.campaign.slots import Slots, usual
from harness.cli import bisect, options
from harness.proc import Door
from harness.ui import Ui
from tests.vm.bisect import history

OUT = Path(__file__).parents[2] / "data/bisect/flaky.json"
_WORDS = {Mark.BAD: "x", Mark.GOOD: ".", Mark.SKIP: "s", Mark.UNKNOWN: "?"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kph-record-") as scratch:
        folder = Path(scratch)
        made = history.make(history.home() / "history", history.Layout(breaks=history.SOMETIMES))
        record(made, args.runs, folder)


def record(made: history.Made, runs: int, folder: Path) -> None:
    """Test the end that is bad, then every commit that matters."""
    asked = argparse.ArgumentParser()
    bisect.add_arguments(asked)
    words = ["--tree", str(made.repo), "--target", "x86_64-vtd", "--scenario", history.SCENARIO]
    request = options.request(asked.parse_args(words))
    cache, door, ui = Cache.default(), Door(folder / "commands.log"), Ui()
    trees = Trees.of(str(made.repo), made.commits[-1], (), cache, door, ui)
    tester = Tester(request, request.scenarios[0], folder, cache, door, ui, Slots(usual(512)))
    numbers = sorted(made.layout.changes())
    found: dict[str, str] = {}
    signature: Signature | None = None
    for number in (history.COUNT, *numbers):
        name = made.commits[number]
        done = tester.raw(name, trees.tree(name), runs)
        signature = signature or _locked(done)
        found[str(number)] = "".join(_words(done, signature)) or "s"
        ui.say(f"{number}: {found[str(number)]}")
    document = {
        "scenario": history.SCENARIO,
        "signature": str(signature),
        "culprit": made.layout.culprit,
        "nodes": numbers,
        "runs": found,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(document, indent=1) + "\n")


def _locked(done: Runs) -> Signature:
    locks = (signatures.lock(run.outcome, run.boot_splats, (), run.booted) for run in done.runs)
    return next(filter(None, locks))


def _words(done: Runs, signature: Signature) -> list[str]:
    readings = (signatures.read(signature, run.outcome, run.boot_splats, run.booted) for run in done.runs)
    return [_WORDS[reading.mark] for reading in readings]


if __name__ == "__main__":
    main()
