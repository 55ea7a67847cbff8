#!/usr/bin/env python3
"""What tools/test counts as passed and as failed."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, "tools/lib")
import test_report  # noqa: E402

TARGET = "//tests/x:x_test"


class BazelRun:
    """The files that one `bazel test` leaves behind, made up."""

    def __init__(self, folder):
        self.folder = folder
        self.events = []

    def test(self, cases, status="PASSED", log="", target=TARGET):
        """One test binary whose XML holds `cases`; None: Bazel wrote the XML for it."""
        if cases is None:
            cases = f'<testcase name="{target}"><error message="exited with error code 1"/></testcase>'
        number = len(self.events)
        xml, text = self.folder / f"{number}.xml", self.folder / f"{number}.log"
        xml.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
        text.write_text("exec less\n" + "-" * 77 + "\n" + log)
        files = [{"name": "test.log", "uri": text.as_uri()}, {"name": "test.xml", "uri": xml.as_uri()}]
        self.events.append({"id": {"testResult": {"label": target}},
                            "testResult": {"status": status, "testActionOutput": files}})

    def completed(self, success, target=TARGET):
        self.events.append({"id": {"targetCompleted": {"label": target}},
                            "completed": {"success": True} if success else {}})

    def aborted(self, target=TARGET):
        self.events.append({"id": {"targetCompleted": {"label": target}}, "aborted": {}})

    def outcome(self, status=0, allowed=None):
        (self.folder / "opt.json").write_text("\n".join(map(json.dumps, self.events)))
        (self.folder / "opt.log").write_text("")
        (self.folder / "opt.status").write_text(f"{status}\n")
        outcome = test_report.Outcome()
        test_report.read_bazel("opt", self.folder, allowed or {}, outcome)
        return outcome


PASSED = '<testcase name="Good" classname="A" status="run" result="completed"/>'
FAILED = ('<testcase name="Bad" classname="A" status="run" result="completed">'
          '<failure message="short">x.cc:5\nwhy</failure></testcase>')
SKIPPED = ('<testcase name="Skips" classname="A" status="run" result="skipped">'
           "<skipped message=\"no disk\"/></testcase>")
DISABLED = '<testcase name="DISABLED_Off" classname="A" status="notrun" result="suppressed"/>'
SCRIPT = '<testcase name="tests/x" status="run"/>'


class BazelTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.run_ = BazelRun(pathlib.Path(folder.name))

    def names(self, outcome):
        return [name for name, _ in outcome.failures]

    def test_counts_cases_of_all_binaries(self):
        self.run_.test(PASSED + PASSED)
        self.run_.test(PASSED, target="//tests/y:y_test")
        outcome = self.run_.outcome()
        self.assertEqual((3, []), (outcome.passed, outcome.failures))

    def test_script_without_cases_of_its_own_is_one_case(self):
        self.run_.test(SCRIPT)
        self.assertEqual(1, self.run_.outcome().passed)

    def test_failed_case_fails_with_its_message_and_leaves_the_others(self):
        self.run_.test(PASSED + FAILED, status="FAILED")
        outcome = self.run_.outcome(status=3)
        self.assertEqual(1, outcome.passed)
        self.assertEqual([(f"A.Bad ({TARGET})", "x.cc:5\nwhy")], outcome.failures)

    def test_skipped_or_disabled_case_fails(self):
        self.run_.test(PASSED + SKIPPED + DISABLED)
        outcome = self.run_.outcome()
        self.assertEqual(1, outcome.passed)
        self.assertEqual([f"A.Skips ({TARGET})", f"A.DISABLED_Off ({TARGET})"], self.names(outcome))

    def test_listed_skip_counts_as_neither(self):
        self.run_.test(PASSED + SKIPPED)
        outcome = self.run_.outcome(allowed={"A.Sk*": "no such disk here"})
        self.assertEqual((1, []), (outcome.passed, outcome.failures))
        self.assertEqual([("A.Skips", "no such disk here")], outcome.allowed_skips)

    def test_crash_is_one_failure_with_the_end_of_the_log(self):
        self.run_.test(None, status="FAILED", log="[ RUN      ] A.Crash\n")
        outcome = self.run_.outcome(status=3)
        self.assertEqual((0, [TARGET]), (outcome.passed, self.names(outcome)))
        self.assertIn("A.Crash", outcome.failures[0][1])
        self.assertNotIn("exec less", outcome.failures[0][1])

    def test_failure_outside_the_cases_is_not_lost(self):
        self.run_.test(PASSED, status="FAILED", log="LeakSanitizer: detected memory leaks\n")
        outcome = self.run_.outcome(status=3)
        self.assertEqual((1, [TARGET]), (outcome.passed, self.names(outcome)))

    def test_binary_without_cases_fails(self):
        self.run_.test("")
        self.assertEqual([TARGET], self.names(self.run_.outcome()))

    def test_target_that_does_not_build_fails(self):
        self.run_.completed(success=True, target="//:ioengine")
        self.run_.completed(success=False)
        self.run_.aborted("//tests/y:y_test")
        self.assertEqual([TARGET, "//tests/y:y_test"], self.names(self.run_.outcome(status=1)))

    def test_unexplained_status_fails(self):
        for status in (1, 4, 37):
            self.assertEqual(["opt"], self.names(self.run_.outcome(status=status)))


class EmbedTest(unittest.TestCase):
    def outcome(self, log):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "embed.log").write_text(log)
            outcome = test_report.Outcome()
            test_report.read_embed(folder, outcome)
            return outcome

    def test_explanation_belongs_to_the_failure_after_it(self):
        outcome = self.outcome("PASS Embed.A\ncannot link\nFAIL Embed.B\nPASS Embed.C\n")
        self.assertEqual((2, [("Embed.B", "cannot link")]), (outcome.passed, outcome.failures))

    def test_early_end_fails(self):
        for log in ("", "PASS Embed.A\nmktemp: no space\n"):
            self.assertEqual(1, len(self.outcome(log).failures))


class AllowedSkipsTest(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as name:
            path = pathlib.Path(name) / "allowed_skips"
            path.write_text(text)
            return test_report.read_allowed_skips(path)

    def test_reads_pattern_and_reason(self):
        self.assertEqual({"A.B": "the why of it"}, self.read("# comment\n\nA.B  the why of it\n"))

    def test_refuses_a_line_without_reason(self):
        with self.assertRaises(SystemExit):
            self.read("A.B\n")


if __name__ == "__main__":
    unittest.main()
