"""Run the test stages two at a time, say what happens, and show the output of what fails.

    make test                            everything
    .venv/bin/python tests/run.py unit   one stage

The full output of each stage is in .aigo/log/test-<stage>.log.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".aigo" / "log"

# The longest first: the rest then fits beside it. Each is a target of the Makefile.
STAGES = ["molecule", "app-test", "proofs", "sanity", "unit", "lint", "artefact"]
LANES = 2
TAIL = 80  # lines of a failed stage's output to show
COUNT = re.compile(r"(\d+) (passed|failed|error(?:s)?)\b")


@dataclass
class Outcome:
    """How a stage ended."""

    stage: str
    code: int
    seconds: float
    log: Path
    counts: dict[str, int] = field(default_factory=dict)


_speech = threading.Lock()


def say(text: str) -> None:
    with _speech:
        print(text, flush=True)


def count_tests(output: str) -> dict[str, int]:
    """Add up what pytest's closing lines say."""
    counts: dict[str, int] = {}
    for line in output.splitlines():
        if re.search(r"\bin \d+[\d.]*s\b", line):
            for number, word in COUNT.findall(line):
                name = word.rstrip("s") if word.startswith("error") else word
                counts[name] = counts.get(name, 0) + int(number)
    return counts


def run(stage: str) -> Outcome:
    log = LOGS / f"test-{stage}.log"
    say(f"test: {stage} started")
    start = time.monotonic()
    environment = {**os.environ, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
    with log.open("wb") as output:
        command = ["make", "--no-print-directory", stage]
        code = subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False).returncode
    outcome = Outcome(stage, code, time.monotonic() - start, log, count_tests(log.read_text(errors="replace")))
    tests = ", ".join(f"{number} {word}" for word, number in outcome.counts.items())
    say(f"test: {stage} {'FAILED' if code else 'passed'} in {outcome.seconds:.0f} s{f' ({tests})' if tests else ''}")
    if code:
        tail = log.read_text(errors="replace").splitlines()[-TAIL:]
        say("\n".join([f"---- the last lines of {log.relative_to(ROOT)}", *tail, "----"]))
    return outcome


def main() -> int:
    stages = sys.argv[1:] or STAGES
    if unknown := sorted(set(stages) - set(STAGES)):
        print(f"test: no such stage: {', '.join(unknown)}; there are: {', '.join(STAGES)}", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with ThreadPoolExecutor(LANES) as lanes:
        outcomes = list(lanes.map(run, stages))
    failed = [outcome.stage for outcome in outcomes if outcome.code]
    total = {word: sum(outcome.counts.get(word, 0) for outcome in outcomes) for word in ("passed", "failed", "error")}
    say(f"test: {len(stages) - len(failed)} stages passed, {len(failed)} failed in {time.monotonic() - start:.0f} s")
    say(f"{total['passed']} passed, {total['failed'] + total['error']} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
