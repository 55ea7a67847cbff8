"""Counts and explains the outcome of test runs, for tools/test.

`part` reads what one configuration left in the work folder (Bazel's event stream and log, or the
log of tests/embed/run), prints its failures and its counts, and keeps the counts in NAME.counts.
`total` adds them up, prints "N passed, N failed" as the last line and exits with 1 on a failure.
"""

import argparse
import dataclasses
import fnmatch
import json
import pathlib
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree

# Bazel's exit statuses that the event stream explains: all well, and some tests failed.
EXPLAINED_STATUS = (0, 3)
LOG_LINES = 60


@dataclasses.dataclass
class Outcome:
    """What one configuration came to. `failures` holds (name, explanation)."""

    passed: int = 0
    allowed_skips: list = dataclasses.field(default_factory=list)
    failures: list = dataclasses.field(default_factory=list)

    def fail(self, name, explanation):
        self.failures.append((name, explanation.strip()))


def read_allowed_skips(path):
    """Returns pattern -> reason. A line without a reason is an error: it would hide the why."""
    allowed = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        words = line.split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2:
            sys.exit(f"{path}:{number}: {words[0]} has no reason")
        allowed[words[0]] = words[1]
    return allowed


def tail(log):
    """The end of a test's log, without the lines that Bazel puts at its head."""
    _, rule, output = log.partition("-" * 77 + "\n")
    return "\n".join((output if rule else log).splitlines()[-LOG_LINES:])


def path_of(uri):
    return pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(uri).path))


def case_name(case, target):
    """Suite.Case for GoogleTest, the target for a test that writes no XML of its own."""
    suite, name = case.get("classname"), case.get("name")
    return f"{suite}.{name}" if suite and name else target


def is_skipped(case):
    return (case.find("skipped") is not None or case.get("status") in ("notrun", "disabled")
            or case.get("result") in ("skipped", "suppressed"))


def read_case(case, target, allowed, outcome):
    name = case_name(case, target)
    problems = case.findall("failure") + case.findall("error")
    if problems:
        texts = [p.text or p.get("message") or "" for p in problems]
        outcome.fail(f"{name} ({target})", "\n".join(texts))
    elif not is_skipped(case):
        outcome.passed += 1
    else:
        reasons = [why for pattern, why in allowed.items() if fnmatch.fnmatchcase(name, pattern)]
        if reasons:
            outcome.allowed_skips.append((name, reasons[0]))
        else:
            outcome.fail(f"{name} ({target})", "skipped, and not listed in tests/allowed_skips")


def read_test_result(target, result, allowed, outcome):
    """One run of one test binary: its XML says which cases, its status whether to believe that."""
    files = {f["name"]: path_of(f["uri"]) for f in result.get("testActionOutput", [])}
    log = files["test.log"].read_text(errors="replace") if "test.log" in files else ""
    before = outcome.passed, len(outcome.failures), len(outcome.allowed_skips)
    try:
        cases = list(ElementTree.parse(files["test.xml"]).iter("testcase"))
    except (KeyError, OSError, ElementTree.ParseError):
        cases = []
    # Bazel writes an XML of its own when the binary left none: its one error says nothing.
    own_cases = [case for case in cases if case.find("error") is None]
    status = result.get("status", "NO_STATUS")
    if status == "PASSED" or len(own_cases) == len(cases):
        for case in cases:
            read_case(case, target, allowed, outcome)
    if status == "PASSED":
        if before == (outcome.passed, len(outcome.failures), len(outcome.allowed_skips)):
            outcome.fail(target, "the test has no test cases")
    elif len(outcome.failures) == before[1]:
        outcome.fail(target, f"{status}: the test crashed, timed out or failed outside its cases; "
                     f"the end of its log:\n{tail(log)}")


def read_bazel(name, work, allowed, outcome):
    log = (work / f"{name}.log").read_text(errors="replace")
    status = int((work / f"{name}.status").read_text())
    events = work / f"{name}.json"
    lines = events.read_text().splitlines() if events.exists() else []
    unbuilt = []
    for event in map(json.loads, lines):
        identity = event["id"]
        if "testResult" in identity and "testResult" in event:
            read_test_result(identity["testResult"]["label"], event["testResult"], allowed, outcome)
        elif "targetCompleted" in identity:
            # A target that cannot be analysed is "aborted", one that does not compile no success.
            if "aborted" in event or not event.get("completed", {}).get("success", False):
                unbuilt.append(identity["targetCompleted"]["label"])
    for label in unbuilt:
        outcome.fail(label, "does not build (see Bazel's output above)")
    if status not in EXPLAINED_STATUS:
        print(log)
        if not unbuilt:
            outcome.fail(name, f"bazel ended with status {status} (see its output above)")


def read_embed(work, outcome):
    explanation = []
    for line in (work / "embed.log").read_text(errors="replace").splitlines():
        verdict, _, case = line.partition(" ")
        if verdict == "PASS":
            outcome.passed += 1
        elif verdict == "FAIL":
            outcome.fail(case, "\n".join(explanation))
        else:
            explanation.append(line)
            continue
        explanation = []
    if explanation or outcome.passed + len(outcome.failures) == 0:
        outcome.fail("tests/embed/run", "ended early:\n" + "\n".join(explanation))


def report_part(arguments):
    outcome = Outcome()
    if arguments.config == "embed":
        read_embed(arguments.work, outcome)
    else:
        allowed = read_allowed_skips(arguments.allowed_skips)
        read_bazel(arguments.config, arguments.work, allowed, outcome)
    for name, explanation in outcome.failures:
        print(f"FAILED [{arguments.config}] {name}")
        print("".join(f"    {line}\n" for line in explanation.splitlines()), end="")
    for name, reason in outcome.allowed_skips:
        print(f"skipped [{arguments.config}] {name}: {reason}")
    counts = {"passed": outcome.passed, "failed": len(outcome.failures)}
    print(f"{arguments.config}: {counts['passed']} passed, {counts['failed']} failed", flush=True)
    (arguments.work / f"{arguments.config}.counts").write_text(json.dumps(counts))


def report_total(arguments):
    counts = [json.loads(path.read_text()) for path in arguments.work.glob("*.counts")]
    passed = sum(count["passed"] for count in counts)
    failed = sum(count["failed"] for count in counts)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("part", "total"))
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--config")
    parser.add_argument("--allowed-skips", type=pathlib.Path)
    arguments = parser.parse_args()
    (report_part if arguments.action == "part" else report_total)(arguments)


if __name__ == "__main__":
    main()
