"""What batch_model.py's states consist of, and what shards know of batches in them.

What is written is told apart by items: an item is one key of one operation. Sets of them are masks.
"""

import functools
import operator
from typing import NamedTuple

from scripts import BATCH_SCRIPTS as SCRIPTS
from scripts import shard_of

NONE = (0, 0)  # below every version and id, which are (epoch, counter)


class Record(NamedTuple):
    kind: str  # write; of a batch: commit, copy, carried
    op: int
    resolved: tuple = NONE  # commit: batches up to this id are durable everywhere


class Log(NamedTuple):
    """The log of a shard behind what its manifest says that tables contain: of earlier processes
    too."""
    records: tuple = ()
    durable: int = 0  # how many of them are known to be durable


class State(NamedTuple):
    script: str
    counters: tuple  # of each shard
    ops: tuple  # idle, flying, apply, done; unknown, failed; begun: before a crash; lost: in one
    versions: tuple  # of each operation
    ids: tuple  # of each batch
    logs: tuple
    memtables: tuple
    frozen: tuple  # memtables that are being flushed: (items, how many records of the log)
    tables: tuple  # newest first
    marks: tuple  # watermarks in the manifests: of each shard, of each coordinator
    holds: tuple  # of each shard: mask of operations
    phase: str = "run"  # run; read, offer: recovery
    epoch: int = 1
    poisoned: int = 0  # mask of shards
    visible: int = 0
    kept: int = 0  # what must survive
    gone: int = 0  # what must not come back
    dropped: int = 0  # what compaction has taken away
    offers: int = 0  # recovery: mask of coordinators that have still to offer their batches
    crashes: int = 0
    faults: int = 0


@functools.cache
def bits(mask):
    return tuple(n for n in range(mask.bit_length()) if mask >> n & 1)


def union(masks):
    return functools.reduce(operator.or_, masks, 0)


class Items:
    """Those of a script."""

    def __init__(self, script):
        self.all = [(n, key) for n, o in enumerate(script.ops) for key in o.keys]
        self.keys = sorted({key for _, key in self.all})
        self.of_op = [self.mask(lambda n, _: n == op) for op in range(len(script.ops))]
        self.of_part = [[self.mask(lambda n, key: n == op and shard_of(key) == shard)
                         for shard in range(script.shards)] for op in range(len(script.ops))]
        self.of_key = {k: self.mask(lambda _, key: key == k) for k in self.keys}
        self.deletes = self.mask(lambda n, _: script.ops[n].kind == "delete")
        self.coordinators = [shard_of(o.keys[0]) if o.keys else None for o in script.ops]
        self.others = [[p for p in o.shards if p != c]
                       for o, c in zip(script.ops, self.coordinators)]

    def mask(self, belongs):
        return sum(1 << i for i, item in enumerate(self.all) if belongs(*item))

    @functools.cache
    def same_keys(self, mask):
        return union(self.of_key[self.all[i][1]] for i in bits(mask))


ITEMS = {name: Items(script) for name, script in SCRIPTS.items()}


def initial(name):
    script = SCRIPTS[name]
    zeros, n = (0,) * script.shards, len(script.ops)
    return State(name, zeros, ("idle",) * n, (NONE,) * n, (NONE,) * n, (Log(),) * script.shards,
                 zeros, ((0, 0),) * script.shards, ((),) * script.shards,
                 ((NONE,) * script.shards,) * script.shards, zeros,
                 crashes=script.crashes, faults=script.faults)


def version(s, item):
    return s.versions[ITEMS[s.script].all[item][0]]


def newest(s, mask):
    if not mask & mask - 1:  # one at most
        return mask.bit_length() - 1 if mask else None
    return max(bits(mask), key=lambda i: (version(s, i), ~s.dropped >> i & 1))


def is_there(s, there, wanted):
    """Whether all that is wanted is there, or what is newer."""
    for item in bits(wanted & ~there):
        found = newest(s, there & ITEMS[s.script].same_keys(1 << item))
        if found is None or version(s, found) <= version(s, item):
            return False
    return True


# Batches.

def is_batch(s, n):
    return len(SCRIPTS[s.script].ops[n].shards) > 1


def coordinator(s, n):
    return ITEMS[s.script].coordinators[n]


def others(s, n):
    """The participants that get copies."""
    return ITEMS[s.script].others[n]


def commits(s, shard, begin, end):
    """The batches whose commit records, or carried ones, are among these of the shard's log, in
    the order of their ids."""
    found = {r.op for r in s.logs[shard].records[begin:end] if r.kind in ("commit", "carried")}
    return sorted(found, key=lambda n: s.ids[n])


def watermark(s, shard, c, end=None):
    """The largest id of the coordinator's copies that the shard has in tables, or among the first
    records of its log."""
    copies = [s.ids[r.op] for r in s.logs[shard].records[:end]
              if r.kind == "copy" and coordinator(s, r.op) == c]
    return max(copies + [s.marks[shard][c]])


def is_copied(s, n, shard, end=None):
    """Whether the shard's tables have a batch's part, or the first records of its log do."""
    flushed = union(s.tables[shard]) | s.dropped
    return (Record("copy", n) in s.logs[shard].records[:end]
            or is_there(s, flushed, ITEMS[s.script].of_part[n][shard]))


def is_durable_on(s, n, shard):
    return is_copied(s, n, shard, s.logs[shard].durable)


def resolved(s, c, one_too_far=False):
    """Up to which id all of the coordinator's batches are durable on all their participants."""
    result = NONE
    sent = [n for n, id in enumerate(s.ids) if id != NONE and coordinator(s, n) == c]
    for n in sorted(sent, key=lambda n: s.ids[n]):
        if not all(is_durable_on(s, n, p) for p in others(s, n)):
            return s.ids[n] if one_too_far else result
        result = s.ids[n]
    return result


def show(s):
    def names(mask):
        return " ".join(f"{n}.{key}" for n, key in map(ITEMS[s.script].all.__getitem__,
                                                       bits(mask))) or "-"

    def record(r):
        return f"{r.kind} {r.op}" + (f" resolved {r.resolved}" if r.resolved != NONE else "")

    ops = " ".join(p if p in ("idle", "lost") else f"{p}{v}" for p, v in zip(s.ops, s.versions))
    logs = [f"{list(map(record, log.records))} durable={log.durable}" for log in s.logs]
    memory = [(names(m), names(f)) for m, (f, _) in zip(s.memtables, s.frozen)]
    return (f"{s.phase} '{s.script}' ops=[{ops}] ids={s.ids} logs={logs} poisoned={s.poisoned:b} "
            f"memtables={memory} tables={[[names(t) for t in run] for run in s.tables]} "
            f"watermarks={s.marks} visible={names(s.visible)}")
