"""Batches over several shards, failures and crashes: one record in one stream, applied everywhere.

Every shard has one tablet and one stream. A batch takes its holds at once here (snapshot_model.py
takes them one by one), its record goes to the coordinator's stream, and each participant applies
its part on its own. Batches are visible when they are durable, and so are writes, but for those of
kMemory; a crash leaves of each stream its durable records and any number of those behind them.

What is written is told apart by items: an item is one key of one operation. Sets of them are masks.
"""

import functools
import itertools
import operator
from typing import NamedTuple

from device import replaced
from explorer import Violation
from scripts import BATCH_SCRIPTS as SCRIPTS
from scripts import shard_of


class Log(NamedTuple):
    """The stream of a shard."""
    records: tuple = ()  # operations
    durable: int = 0  # how many of them are known to be durable
    released: int = 0  # how many have gone
    is_sealed: bool = False  # ROOT says that it ends with the durable ones


class State(NamedTuple):
    script: str
    counters: tuple  # of each shard
    ops: tuple  # idle, flying, unknown, apply, done; failed; lost: not there after a crash
    versions: tuple  # of each operation
    logs: tuple
    memtables: tuple
    frozen: tuple  # memtables that are being flushed
    tables: tuple  # newest first; a memtable that is kept for reads has its place among them
    holds: tuple  # of each shard: mask of operations
    phase: str = "run"  # run; read, edits: recovery
    epoch: int = 1
    poisoned: int = 0  # mask of shards
    visible: int = 0
    kept: int = 0  # what must survive
    gone: int = 0  # what must not come back
    volatile: int = 0  # what is only in memory of `tables`
    dropped: int = 0  # what compaction has taken away
    contained: int = 0  # what the manifests say of the logs: never to be applied again
    groups: tuple = ()  # recovery: what each shard has found
    crashes: int = 0
    faults: int = 0


def bits(mask):
    return [n for n in range(mask.bit_length()) if mask >> n & 1]


def union(masks):
    return functools.reduce(operator.or_, masks, 0)


class BatchModel:
    name = "batch"
    breaks = {
        "parts-per-stream": "each participant logs its part in its own stream",
        "applied-before-durable": "a batch is applied when its record is written, not yet durable",
        "released-by-coordinator": "the log is released when the coordinator's own edit is durable",
        "superseded-not-contained": "a poisoned shard's edit does not say that a write which it "
                                    "left out must not come back below a newer value",
        "compared-with-tables": "the edit does not say it; instead recovery compares what it finds "
                                "with the versions in tables",
        "failed-write-flushed": "a poisoned shard flushes its own failed writes with what others "
                                "logged",
        "kept-memtable-first": "the memtable that a poisoned shard keeps for reads is looked up "
                               "before tables that were flushed later",
        "compacted-around-kept-memtable": "compaction moves what is newer than such a memtable "
                                          "below it",
        "unknown-batch-released": "a batch whose log write failed counts as failed at once",
        "decided-before-seal": "its outcome is decided before ROOT has sealed the failed stream",
        "own-stream-only": "recovery gives each shard what its own stream holds, not what its keys "
                           "are",
        "recovered-by-position": "recovery lets the last record of the last stream win, not the "
                                 "largest version",
        "old-streams-dropped-after-one-edit": "recovery's ROOT leaves out the old streams when one "
                                              "shard has its group in a table",
        "epoch-not-raised-at-open": "an opening goes on with the epoch of the crashed process",
    }
    redundant = {
        "poisoned-participant-holds": "a poisoned participant could take part: what others logged "
                                      "it can apply and flush; it is poisoned for writes, and a "
                                      "batch is one",
    }

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.size = size
        self.items = {name: [(n, key) for n, o in enumerate(each.ops) for key in o.keys]
                      for name, each in SCRIPTS.items()}

    def initial(self):
        for name, each in SCRIPTS.items():
            if each.size <= self.size:
                zeros, n = (0,) * each.shards, len(each.ops)
                yield State(name, zeros, ("idle",) * n, ((0, 0),) * n, (Log(),) * each.shards,
                            zeros, zeros, ((),) * each.shards, zeros, crashes=each.crashes,
                            faults=each.faults)

    def must_end(self, s):
        return s.phase != "run" or any(p in ("flying", "unknown", "apply") for p in s.ops)

    def show(self, s):
        def names(mask):
            return " ".join(f"{n}.{key}" for n, key in (self.items[s.script][i]
                                                        for i in bits(mask))) or "-"
        ops = " ".join(f"{p}{v}" if p != "idle" else p for p, v in zip(s.ops, s.versions))
        logs = [f"{list(log.records)} durable={log.durable} released={log.released}"
                f"{' sealed' if log.is_sealed else ''}" for log in s.logs]
        memory = list(zip(map(names, s.memtables), map(names, s.frozen)))
        return (f"{s.phase} '{s.script}' ops=[{ops}] logs={logs} poisoned={s.poisoned:b} "
                f"memtables={memory} tables={[[names(t) for t in run] for run in s.tables]} "
                f"visible={names(s.visible)} contained={names(s.contained)}")

    # Which items.

    def of_op(self, s, op, shard=None):
        return sum(1 << i for i, (n, key) in enumerate(self.items[s.script])
                   if n == op and shard in (None, shard_of(key)))

    def of_shard(self, s, shard):
        return sum(1 << i for i, (_, key) in enumerate(self.items[s.script])
                   if shard_of(key) == shard)

    def of_key(self, s, key):
        return sum(1 << i for i, (_, k) in enumerate(self.items[s.script]) if k == key)

    def is_delete(self, s, item):
        return SCRIPTS[s.script].ops[self.items[s.script][item][0]].kind == "delete"

    def version(self, s, item):
        return s.versions[self.items[s.script][item][0]]

    def newest(self, s, mask):
        return max(bits(mask), key=lambda i: self.version(s, i), default=None)

    def in_record(self, s, op, shard):
        """What the record of an operation in the stream of a shard holds."""
        return self.of_op(s, op, shard if "parts-per-stream" in self.broken else None)

    def in_logs(self, s):
        return union(self.in_record(s, op, shard) for shard, log in enumerate(s.logs)
                     for op in log.records[log.released:])

    def of_ops(self, s, ops):
        return union(self.of_op(s, n) for n in ops)

    def steps(self, s):
        if s.phase == "run":
            wrong = self.check_reads(s)
            if wrong:
                yield "read", wrong
                return
            for n, p in enumerate(s.ops):
                if p == "idle":
                    yield from self.begin(s, n)
                elif p == "apply":
                    yield from self.apply(s, n)
            for shard in range(len(s.logs)):
                yield from self.log(s, shard)
                yield from self.flush(s, shard)
        elif s.phase == "read":
            yield "recovery: logs read", self.read_logs(s)
        else:
            yield from self.recover(s)
        yield from self.crash(s)

    # Writes and batches.

    def begin(self, s, n):
        o = SCRIPTS[s.script].ops[n]
        asked = o.shards
        if "poisoned-participant-holds" in self.broken:
            asked = [shard_of(o.keys[0])]
        if any(s.poisoned >> shard & 1 for shard in asked):
            return
        for shard, holds in enumerate(s.holds):
            if any(set(o.keys) & set(SCRIPTS[s.script].ops[h].keys) for h in bits(holds)):
                return
        count = max(s.counters[shard] for shard in o.shards) + 1
        s = s._replace(versions=replaced(s.versions, n, (s.epoch, count)))
        if not self.is_batch(s, n):
            shard = o.shards[0]
            s = self.append(s, n, shard, "flying")
            items = self.of_op(s, n)
            yield f"{n}: {o.kind} {' '.join(o.keys)} appended", s._replace(
                visible=s.visible | items if o.kind == "memory" else s.visible,
                counters=replaced(s.counters, shard, count),
                memtables=replaced(s.memtables, shard, s.memtables[shard] | items))
            return
        s = s._replace(holds=tuple(h | 1 << n if shard in o.shards else h
                                   for shard, h in enumerate(s.holds)))
        logged = o.shards if "parts-per-stream" in self.broken else [shard_of(o.keys[0])]
        for shard in logged:
            s = self.append(s, n, shard,
                            "apply" if "applied-before-durable" in self.broken else "flying")
        yield f"{n}: {o.kind} {' '.join(o.keys)} held and appended", s

    def append(self, s, n, shard, phase):
        log = s.logs[shard]
        return s._replace(ops=replaced(s.ops, n, phase), logs=replaced(
            s.logs, shard, log._replace(records=log.records + (n,))))

    def is_batch(self, s, n):
        return len(SCRIPTS[s.script].ops[n].shards) > 1

    def is_durable(self, s, n):
        """Whether all records of an operation are known to be durable."""
        return all(n in log.records[:log.durable] for log in s.logs if n in log.records)

    def log(self, s, shard):
        log = s.logs[shard]
        rest = log.records[log.durable:]
        if s.poisoned >> shard & 1:
            if not log.is_sealed:
                # How much of it is there, the device knows.
                for end in range(log.durable, len(log.records) + 1):
                    yield f"ROOT seals log {shard} at {end}", self.seal(s, shard, end)
        elif rest:
            n = rest[0]
            after = s._replace(logs=replaced(s.logs, shard, log._replace(durable=log.durable + 1)))
            if self.is_durable(after, n):
                if not self.is_batch(s, n):
                    after = self.show_items(after, n, self.of_op(s, n))
                    after = after._replace(ops=replaced(s.ops, n, "done"))
                elif s.ops[n] == "flying":
                    after = after._replace(ops=replaced(s.ops, n, "apply"))
                else:  # applied too early
                    after = self.show_items(after, n, s.visible & self.of_op(s, n))
            yield f"log {shard}: {n} durable", after
            if s.faults:
                yield f"!log {shard} fails", self.fail(s, shard, rest)

    def show_items(self, s, n, items):
        kept = items if self.is_durable(s, n) else 0
        return s._replace(visible=s.visible | items, kept=s.kept | kept)

    def fail(self, s, shard, records):
        s = s._replace(poisoned=s.poisoned | 1 << shard, faults=s.faults - 1)
        for n in records:
            if SCRIPTS[s.script].ops[n].kind == "memory":
                s = s._replace(ops=replaced(s.ops, n, "done"))
            elif not self.is_batch(s, n):
                s = s._replace(ops=replaced(s.ops, n, "failed"))
            elif "unknown-batch-released" in self.broken:
                s = self.give_up(s, n)
            elif s.ops[n] == "flying":
                s = s._replace(ops=replaced(s.ops, n, "unknown"))
        return s

    def give_up(self, s, n):
        return s._replace(ops=replaced(s.ops, n, "failed"), gone=s.gone | self.of_op(s, n),
                          holds=tuple(h & ~(1 << n) for h in s.holds))

    def seal(self, s, shard, end):
        log = s.logs[shard]
        for place, n in enumerate(log.records):
            if s.ops[n] == "unknown":
                s = self.give_up(s, n) if place >= end else s._replace(
                    ops=replaced(s.ops, n, "apply"))
            elif place >= end:
                s = s._replace(gone=s.gone | self.of_op(s, n))
        if "decided-before-seal" in self.broken:
            return s
        return s._replace(logs=replaced(s.logs, shard, log._replace(durable=end, is_sealed=True)))

    def apply(self, s, n):
        for shard, holds in enumerate(s.holds):
            if not holds >> n & 1:
                continue
            part = self.of_op(s, n, shard)
            after = self.show_items(s, n, part)._replace(
                memtables=replaced(s.memtables, shard, s.memtables[shard] | part),
                counters=replaced(s.counters, shard, max(s.counters[shard], s.versions[n][1])),
                holds=replaced(s.holds, shard, holds & ~(1 << n)))
            if not any(h >> n & 1 for h in after.holds):
                after = after._replace(ops=replaced(s.ops, n, "done"))
            yield f"{n}: applied on shard {shard}", after

    # Reads.

    def look_up(self, s, key):
        """What the first place gives that has the key, as the engine looks."""
        shard = shard_of(key)
        kept_first = s.volatile if "kept-memtable-first" in self.broken else 0
        memtables = (s.memtables[shard], s.frozen[shard], kept_first)
        for place in (*(m & s.visible for m in memtables), *s.tables[shard]):
            found = self.newest(s, place & self.of_key(s, key))
            if found is not None:
                return found
        return None

    def check_reads(self, s):
        for key in sorted({key for _, key in self.items[s.script]}):
            newest = self.newest(s, s.visible & self.of_key(s, key))
            found = self.look_up(s, key)
            gone = all(i is None or self.is_delete(s, i) for i in (found, newest))
            if found != newest and not gone:
                ops = [None if i is None else self.items[s.script][i][0] for i in (found, newest)]
                return Violation(f"a read of {key} gives operation {ops[0]} instead of {ops[1]}")
        return None

    # Flush, compaction, release.

    def flush(self, s, shard):
        if s.memtables[shard] and not s.frozen[shard]:
            yield f"switch memtable {shard}", s._replace(
                memtables=replaced(s.memtables, shard, 0),
                frozen=replaced(s.frozen, shard, s.memtables[shard]))
        run, log = s.tables[shard], s.logs[shard]
        if not union(run) & s.volatile or "compacted-around-kept-memtable" in self.broken:
            if len(run) > 1 or any(self.is_delete(s, i) for i in bits(union(run))):
                yield f"compact {shard}", self.compact(s, shard)
        if s.frozen[shard] and (s.poisoned >> shard & 1 or
                                not s.frozen[shard] & self.of_ops(s, log.records[log.durable:])):
            yield f"edit of {shard} durable", self.edit(s, shard)
        if log.released < log.durable:
            needed = self.in_record(s, log.records[log.released], shard)
            if "released-by-coordinator" in self.broken:
                needed &= self.of_shard(s, shard)
            if not needed & ~s.contained:
                yield f"release {log.records[log.released]} of log {shard}", s._replace(
                    logs=replaced(s.logs, shard, log._replace(released=log.released + 1)))

    def edit(self, s, shard):
        """A flush waits until the log is durable up to what it writes. In a poisoned shard it never
        will be: then what is visible of the rest stays in memory, and what had failed goes."""
        log, frozen = s.logs[shard], s.frozen[shard]
        if "failed-write-flushed" not in self.broken:
            frozen &= s.visible
        kept = frozen & s.visible & self.of_ops(s, log.records[log.durable:])
        content = frozen & ~kept
        place = content if "kept-memtable-first" in self.broken else frozen
        return s._replace(
            tables=replaced(s.tables, shard, ((place,) if place else ()) + s.tables[shard]),
            volatile=s.volatile | kept, frozen=replaced(s.frozen, shard, 0),
            contained=s.contained | content | self.superseded(s, shard, content))

    def superseded(self, s, shard, content):
        """What is older than `content` and was left out of tables: recovery, which puts what it
        finds in the log above the tables, must not find it there any more."""
        if self.broken & {"superseded-not-contained", "compared-with-tables"}:
            return 0
        result = 0
        for item in bits(self.of_shard(s, shard) & ~content):
            newest = self.newest(s, content & self.of_key(s, self.items[s.script][item][1]))
            if newest is not None and (0, 0) < self.version(s, item) < self.version(s, newest):
                result |= 1 << item
        return result

    def compact(self, s, shard):
        """One table at the bottom, without deletes."""
        in_memory = tuple(t for t in s.tables[shard] if t & s.volatile)
        tables, left = [t & ~s.volatile for t in s.tables[shard]], 0
        for key in {self.items[s.script][item][1] for item in bits(union(tables))}:
            first = next(filter(None, (t & self.of_key(s, key) for t in tables)))
            item = self.newest(s, first)
            left |= 0 if self.is_delete(s, item) else 1 << item
        return s._replace(
            tables=replaced(s.tables, shard, in_memory + ((left,) if left else ())),
            dropped=s.dropped | union(tables) & ~left)

    # Crashes and recovery.

    def crash(self, s):
        if not s.crashes:
            return
        zeros = (0,) * len(s.logs)
        down = s._replace(phase="read", poisoned=0, memtables=zeros, frozen=zeros, groups=(),
                          holds=zeros, visible=0, volatile=0, crashes=s.crashes - 1,
                          tables=tuple(tuple(table & ~s.volatile for table in run
                                             if table & ~s.volatile) for run in s.tables))
        ends = [range(log.durable, (log.durable if log.is_sealed else len(log.records)) + 1)
                for log in s.logs]
        for left in itertools.product(*ends):
            yield f"!crash leaves logs {left}", down._replace(logs=tuple(
                log._replace(records=log.records[:end], durable=end)
                for log, end in zip(s.logs, left)))

    def read_logs(self, s):
        again = self.in_logs(s) & ~s.contained
        groups = []
        for shard, log in enumerate(s.logs):
            group = again & self.of_shard(s, shard)
            if "own-stream-only" in self.broken:
                group &= self.of_ops(s, log.records[log.released:])
            if "recovered-by-position" in self.broken:
                group = self.last_ones(s, group)
            groups.append(group)
        if "compared-with-tables" in self.broken:
            groups = [self.not_older(s, shard, group) for shard, group in enumerate(groups)]
        there = union(map(union, s.tables)) | s.dropped | union(groups)
        wrong = self.check_found(s, there)
        return wrong or s._replace(phase="edits", groups=tuple(groups), visible=there)

    def not_older(self, s, shard, group):
        """Without what is older than what a table has."""
        table = union(s.tables[shard])
        for item in bits(group):
            newest = self.newest(s, table & self.of_key(s, self.items[s.script][item][1]))
            if newest is not None and self.version(s, newest) > self.version(s, item):
                group &= ~(1 << item)
        return group

    def last_ones(self, s, group):
        last = {}
        for log in s.logs:
            for n in log.records:
                for item in bits(group & self.of_op(s, n)):
                    last[self.items[s.script][item][1]] = 1 << item
        return union(last.values())

    def check_found(self, s, there):
        def has(item):
            """Whether it is there, or something newer is."""
            key = self.items[s.script][item][1]
            newest = self.newest(s, there & self.of_key(s, key))
            return newest is not None and self.version(s, newest) >= self.version(s, item)

        for item, (n, key) in enumerate(self.items[s.script]):
            if s.kept >> item & 1 and not has(item):
                return Violation(f"operation {n} was acknowledged, and is lost on {key}")
            if (s.gone & there) >> item & 1:
                return Violation(f"operation {n} had failed, and is there on {key}")
            if there >> item & 1 and not all(map(has, bits(self.of_op(s, n)))):
                return Violation(f"of operation {n} there is only a part, on {key}")
        return None

    def recover(self, s):
        left = [shard for shard, group in enumerate(s.groups) if group]
        for shard in left:
            group = s.groups[shard]
            yield f"recovery: edit of {shard} durable", s._replace(
                tables=replaced(s.tables, shard, (group,) + s.tables[shard]),
                contained=s.contained | group, groups=replaced(s.groups, shard, 0))
        early = "old-streams-dropped-after-one-edit" in self.broken and len(left) < len(s.logs)
        if not left or early:
            yield "recovery: ROOT durable", self.open(s)

    def open(self, s):
        ops, gone = [], s.gone
        for n, phase in enumerate(s.ops):
            items = self.of_op(s, n)
            if phase != "idle":
                phase = "done" if items & s.visible else "lost"
                gone |= items & ~s.visible
            ops.append(phase)
        s = s._replace(phase="run", ops=tuple(ops), gone=gone, kept=s.kept | s.visible,
                       logs=(Log(),) * len(s.logs), memtables=s.groups, groups=(),
                       counters=(0,) * len(s.logs))
        return s if "epoch-not-raised-at-open" in self.broken else s._replace(epoch=s.epoch + 1)
