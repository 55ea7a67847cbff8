"""Breadth-first search through every state that a model can reach.

A model is a class with
  name       what it is called on the command line;
  breaks     {name of a broken rule: what goes wrong without the rule};
  redundant  {name: why}: rules that can be broken without harm, as long as the others hold;
  __init__(breaks=frozenset(), size=1)    size 0, 1, 2: how much can happen; 1 is for tests;
  initial()  the states to begin with, which are hashable and compare by value;
  steps(state)       all that may happen next, as (label, state) or (label, Violation). A label that
                     begins with "!" is something done *to* the engine: a crash, damage;
  must_end(state)    whether the engine is in the midst of what has to end: a recovery, a wait;
  show(state)        one line for traces.

The search is breadth first, so a counterexample is a shortest one.
"""

import contextlib
import dataclasses
import gc
import time


class Violation(str):
    """What promise was broken."""


@dataclasses.dataclass
class Result:
    states: int = 0
    transitions: int = 0
    depth: int = 0
    seconds: float = 0.0
    complete: bool = False  # all states were visited, or a violation ended the search
    violation: Violation | None = None
    trace: list = dataclasses.field(default_factory=list)  # (label, state or None)

    def counts(self):
        return (f"{self.states:,} states, {self.transitions:,} transitions, depth {self.depth}, "
                f"{self.seconds:.1f} s")


def path_to(state, parents):
    """The steps that lead to `state`, as (label, state)."""
    trace = []
    while state is not None:
        parent, label = parents[state]
        trace.append((label, state))
        state = parent
    return trace[::-1]


def find_cycle(edges):
    """A state that is on a cycle of `edges` {state: [states]}, or None: repeatedly takes out those
    that nothing leads to."""
    incoming = {}
    for targets in edges.values():
        for target in targets:
            incoming[target] = incoming.get(target, 0) + 1
    free = [state for state in edges if not incoming.get(state)]
    left = len(edges)
    while free:
        left -= 1
        for target in edges.get(free.pop(), ()):
            incoming[target] -= 1
            if not incoming[target] and target in edges:
                free.append(target)
    if not left:
        return None
    return next(state for state in edges if incoming.get(state))


@contextlib.contextmanager
def no_collector():
    """States refer to each other in no cycles, and a collector would look at all of them, again and
    again, for a quarter of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@no_collector()
def explore(model, max_states=20_000_000):
    result, begin = Result(), time.monotonic()
    parents = {state: (None, "begin") for state in model.initial()}
    level, ending = list(parents), {}
    while level and result.violation is None and len(parents) <= max_states:
        next_level = []
        for state in level:
            progress = []
            for label, target in model.steps(state):
                result.transitions += 1
                if isinstance(target, Violation):
                    result.violation = target
                    result.trace = path_to(state, parents) + [(label, None)]
                    break
                if target not in parents:
                    parents[target] = (state, label)
                    next_level.append(target)
                if not label.startswith("!"):
                    progress.append(target)
            if result.violation is not None:
                break
            if model.must_end(state):
                if not progress:
                    result.violation = Violation("it is stuck: nothing can happen any more")
                    result.trace = path_to(state, parents)
                    break
                ending[state] = [target for target in progress if model.must_end(target)]
        result.depth += 1
        level = next_level
    result.complete = result.violation is not None or not level
    if result.violation is None:
        cycle = find_cycle(ending)
        if cycle is not None:
            result.violation = Violation("it need not end: it can come back to this state")
            result.trace = path_to(cycle, parents)
    result.states = len(parents)
    result.seconds = time.monotonic() - begin
    return result


def look_for(model_class, broken):
    """The first violation that there is without a rule, tiny bounds first: (model, result)."""
    for size in (0, 1):
        model = model_class(frozenset([broken]), size)
        result = explore(model)
        if result.violation is not None:
            break
    return model, result


def print_trace(model, result):
    for number, (label, state) in enumerate(result.trace):
        print(f"  {number:2}. {label}")
        if state is not None:
            print(f"      {model.show(state)}")
    print(f"  ==> {result.violation}")
