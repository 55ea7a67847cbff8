#!/usr/bin/env python3
"""Explores the rules of the log and of recovery; see README.md.

    tests/model/model.py                          # all models, and all broken rules
    tests/model/model.py --model=log              # one model
    tests/model/model.py --break=no-seal          # with a rule broken: prints a shortest trace
    tests/model/model.py --large                  # more records, crashes, writes in flight
"""

import argparse
import sys

sys.dont_write_bytecode = True

from batch_model import BatchModel  # noqa: E402
from explorer import explore, look_for, print_trace  # noqa: E402
from flush_model import FlushModel  # noqa: E402
from log_model import LogModel  # noqa: E402
from manifest_model import ManifestModel  # noqa: E402
from root_model import RootModel  # noqa: E402
from segment_model import SegmentModel  # noqa: E402
from snapshot_model import SnapshotModel  # noqa: E402
from stream_model import StreamModel  # noqa: E402

MODELS = (LogModel, SegmentModel, FlushModel, ManifestModel, StreamModel, RootModel,
          SnapshotModel, BatchModel)


def run(model_class, broken, large, trace):
    """Returns whether it came out as it has to."""
    if broken and not large:
        model, result = look_for(model_class, broken)
    else:
        model = model_class(frozenset([broken] if broken else []), 2 if large else 1)
        result = explore(model)
    found = result.violation is not None
    expected = broken in model_class.breaks
    verdict = "ok" if found == expected and result.complete else "WRONG"
    outcome = result.violation or "no violation"
    print(f"{verdict} {model.name}{' without ' + broken if broken else ''}: {outcome}"
          f" ({result.counts()})", flush=True)
    if found and (trace or not expected):
        print_trace(model, result)
    return verdict == "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=[m.name for m in MODELS])
    parser.add_argument("--break", dest="broken", metavar="NAME")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    models = [m for m in MODELS if arguments.model in (None, m.name)]
    if arguments.broken:
        models = [m for m in models if arguments.broken in m.breaks | m.redundant]
        if not models:
            sys.exit(f"no such rule to break: {arguments.broken}")
        runs = [(m, arguments.broken) for m in models]
    else:
        runs = [(m, None) for m in models]
        if not arguments.large:
            runs += [(m, name) for m in models for name in m.breaks | m.redundant]
    outcomes = [run(m, name, arguments.large, bool(arguments.broken)) for m, name in runs]
    sys.exit(0 if all(outcomes) else 1)


if __name__ == "__main__":
    main()
