#!/usr/bin/env python3
"""Each model holds with its rules, and each broken rule is found."""

import os
import sys
import unittest
import xml.etree.ElementTree as ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, "tests/model")
from explorer import Violation, explore, look_for  # noqa: E402
from model import MODELS  # noqa: E402


class Counter:
    """A model for the explorer's own tests: counts up to `end`, and on from `jump` to its value."""

    def __init__(self, end, wrong=None, jump=(None, None), ends=True):
        self.end, self.wrong, self.jump, self.ends = end, wrong, jump, ends

    def initial(self):
        return [0]

    def must_end(self, state):
        return self.ends and state < self.end

    def show(self, state):
        return str(state)

    def steps(self, state):
        if state == self.wrong:
            yield "go wrong", Violation("wrong")
        if state < self.end:
            yield "count", state + 1
        if state == self.jump[0]:
            yield "jump", self.jump[1]


class ExplorerTest(unittest.TestCase):
    def test_visits_every_state_once(self):
        result = explore(Counter(5, jump=(2, 5)))
        self.assertEqual((6, 6, None, True),
                         (result.states, result.transitions, result.violation, result.complete))

    def test_finds_a_shortest_trace(self):
        result = explore(Counter(9, wrong=7, jump=(1, 6)))
        self.assertEqual("wrong", result.violation)
        self.assertEqual(["begin", "count", "jump", "count", "go wrong"],
                         [label for label, _ in result.trace])

    def test_finds_what_cannot_go_on(self):
        model = Counter(3)
        model.must_end = lambda state: True
        self.assertIn("stuck", explore(model).violation)

    def test_finds_what_need_not_end(self):
        self.assertIn("need not end", explore(Counter(5, jump=(3, 1))).violation)
        self.assertIsNone(explore(Counter(5, jump=(3, 1), ends=False)).violation)

    def test_says_when_it_gave_up(self):
        self.assertFalse(explore(Counter(50), max_states=10).complete)


class RulesTest(unittest.TestCase):
    """Its cases are made below, of what the models say of themselves."""


def add_case(name, model_class, broken, is_found):
    def case(self):
        result = look_for(model_class, broken)[1] if broken else explore(model_class())
        print(result.violation or "no violation", f"({result.counts()})", flush=True)
        self.assertTrue(result.complete)
        self.assertEqual(is_found, result.violation is not None, result.violation)
    setattr(RulesTest, f"test_{name.replace('-', '_')}", case)


for each in MODELS:
    add_case(f"{each.name}_holds", each, None, False)
    for rule in each.breaks:
        add_case(f"{each.name}_finds_{rule}", each, rule, True)
    for rule in each.redundant:
        add_case(f"{each.name}_holds_without_{rule}", each, rule, False)


class CaseResult(unittest.TextTestResult):
    """Collects the cases in the form that tools/lib/test_report.py reads."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.suite = ElementTree.Element("testsuite", name="model")

    def startTest(self, test):
        super().startTest(test)
        _, suite, name = test.id().rsplit(".", 2)
        self.case = ElementTree.SubElement(self.suite, "testcase", name=name, classname=suite,
                                           status="run", result="completed")

    def explain(self, test, error):
        ElementTree.SubElement(self.case, "failure").text = self._exc_info_to_string(error, test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.explain(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.explain(test, error)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=CaseResult).run(suite)
    if path := os.environ.get("XML_OUTPUT_FILE"):
        root = ElementTree.Element("testsuites")
        root.append(result.suite)
        ElementTree.ElementTree(root).write(path)
    sys.exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
