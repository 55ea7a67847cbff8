"""Versions: one epoch for all shards, snapshots, batches over several shards, and what compaction
keeps.

A script says which operations there are; each begins at any time, so every chain of clients is
among the orders. A write and a batch count as begun when they arrive, a read and a snapshot only
when they are answered: this leaves them the least room. What was seen has to fit one order in time.

Crashes are the business of batch_model.py. Here the log of a shard goes well, record by record, or
fails.
"""

from typing import NamedTuple

from device import replaced
from explorer import Violation
from order import NOTHING, what_is_wrong
from scripts import SNAPSHOT_SCRIPTS as SCRIPTS
from scripts import shard_of


class Progress(NamedTuple):
    """Of one operation."""
    phase: str = "idle"
    # write: waiting, flying, done, failed
    # batch: asking, waiting, held, flying, apply, done; unknown; release, failed
    # snapshot: slot, taken; read: done
    before: int = 0  # mask of operations that were answered when it began
    version: tuple = (0, 0)
    asked: int = 0  # batch: how many holds it was given
    holds: tuple = ()  # batch: (keys, epoch) of each that it still has
    applied: int = 0  # batch: mask of shards
    seen: tuple = ()  # of each key: the operation whose value was read, NOTHING, or None: not yet


class State(NamedTuple):
    script: str
    counters: tuple
    known: tuple  # the epoch as a shard knows it, if it keeps a copy
    ops: tuple
    streams: tuple  # of each shard: records on their way to its log
    waiting: tuple  # of each shard: who waits for held keys, in order
    epoch: int = 1
    poisoned: int = 0  # mask of shards
    answered: int = 0  # mask of operations
    compaction: tuple = ()  # what it has read so far: (epoch, smallest of the slots)
    dropped: frozenset = frozenset()  # (operation, key) that compaction has taken away
    compactions: int = 0  # still to come
    faults: int = 0


LAST = {"write": ("done", "failed"), "batch": ("done", "failed", "unknown"), "read": ("done",),
        "snapshot": ("taken",)}


class SnapshotModel:
    name = "snapshot"
    breaks = {
        "clock-per-shard": "versions are counted by each shard alone, a snapshot takes the largest",
        "epoch-cached": "a shard goes on with the epoch that it read for an earlier task",
        "snapshot-passes-writes": "a snapshot's read does not wait for writes on their way",
        "snapshot-passes-holds": "a snapshot's read does not wait for held keys",
        "read-passes-older-write": "a current read does not wait for a write of an older epoch",
        "read-passes-older-hold": "a current read does not wait for a hold of an older epoch",
        "reads-wait-for-failed-writes": "reads wait for writes that have failed, too",
        "reads-wait-for-unknown-batch": "reads wait for holds of a batch whose commit record's "
                                        "write failed, too",
        "waiters-wait-for-unknown-batch": "so do writes and batches that want the same keys",
        "unknown-batch-decided": "what became of that record is found out while reads are served",
        "slot-after-epoch": "a snapshot's slot is published after the epoch was raised",
        "slots-before-epoch": "compaction reads the slots, then the epoch",
        "compaction-counts-writes-in-flight": "a value goes when a write that is still on its way "
                                              "supersedes it",
        "holds-unordered": "the coordinator takes its own hold first, then the others",
        "keys-held-one-by-one": "a batch takes hold of the keys of its part one by one",
        "version-of-coordinator": "a batch's version is the coordinator's proposal",
        "counters-not-raised": "a shard's counter stays as it was when a batch is applied",
        "released-before-apply": "the holds are released when the record is durable",
        "answered-before-applied": "a batch's caller is answered when its record is durable",
        "version-before-hold": "a write takes its version, then waits for the hold on its key",
    }
    redundant = {
        "snapshot-waits-for-its-key-only": "a snapshot's read need not wait for writes to other "
                                           "keys of the shard: they change nothing that it reads",
        "snapshot-passes-newer-holds": "it need not wait for a hold whose epoch is above its own: "
                                       "the version will not be smaller than the proposal",
        "waiters-overtaken": "order among those that wait for a key prevents only that one waits "
                             "for ever, and here operations are few",
        "poisoned-participant-holds": "a poisoned participant could give holds: it can still "
                                      "apply, and a batch comes to an end",
    }

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.size = size
        self.checked = {}
        self.keys = {name: sorted({key for o in script.ops for key in o.keys})
                     for name, script in SCRIPTS.items()}

    def parts(self, o):
        """Which keys a batch takes hold of at once, in which order."""
        if "keys-held-one-by-one" in self.broken:
            return tuple((key,) for key in sorted(o.keys, key=shard_of))
        shards = o.shards
        if "holds-unordered" in self.broken:
            shards = dict.fromkeys(map(shard_of, o.keys))
        return tuple(tuple(key for key in o.keys if shard_of(key) == shard) for shard in shards)

    def initial(self):
        for name, script in SCRIPTS.items():
            if script.size <= self.size:
                n, empty = script.shards, ((),) * script.shards
                yield State(name, (0,) * n, (1,) * n, (Progress(),) * len(script.ops), empty, empty,
                            compactions=script.compactions, faults=script.faults)

    def must_end(self, s):
        return any(p.phase not in LAST[o.kind] or None in p.seen
                   for o, p in zip(SCRIPTS[s.script].ops, s.ops))

    def show(self, s):
        ops = "; ".join(self.show_op(n, o, p)
                        for n, (o, p) in enumerate(zip(SCRIPTS[s.script].ops, s.ops))
                        if p.phase != "idle")
        more = [f"{name}={value}" for name, value in (
            ("poisoned", s.poisoned), ("compaction", s.compaction),
            ("dropped", sorted(s.dropped))) if value]
        return " ".join([f"epoch={s.epoch} counters={s.counters} logs={s.streams} "
                         f"waiting={s.waiting}", *more, f"[{ops}]"])

    def show_op(self, n, o, p):
        more = "".join([f" {p.version}" if p.version != (0, 0) else "",
                        f" holds={p.holds}" if p.holds else "",
                        f" applied={p.applied:b}" if p.applied else "",
                        f" saw={p.seen}" if p.seen else ""])
        return f"{n} {o.kind} {' '.join(o.keys)}: {p.phase}{more}"

    def steps(self, s):
        wrong = self.check(s)
        if wrong:
            yield "look at what was seen", wrong
            return
        for n, (o, p) in enumerate(zip(SCRIPTS[s.script].ops, s.ops)):
            if o.kind == "write" and p.phase == "idle":
                yield f"{n}: write {o.keys[0]} begins", self.begin_write(s, n)
            elif o.kind == "batch":
                yield from self.batch(s, n)
            elif o.kind == "snapshot":
                yield from self.snapshot(s, n)
            elif o.kind == "read" and p.phase == "idle" and not self.read_waits(s, o.keys[0]):
                yield f"{n}: {o.keys[0]} read", self.answer(self.put(
                    s, n, phase="done", before=s.answered,
                    seen=(self.value(s, o.keys[0]),)), n)
        for shard in range(len(s.streams)):
            yield from self.wake(s, shard)
            yield from self.log(s, shard)
            if "epoch-cached" in self.broken and s.known[shard] < s.epoch:
                yield f"shard {shard} reads the epoch", s._replace(
                    known=replaced(s.known, shard, s.epoch))
        yield from self.compact(s)

    def put(self, s, n, **changes):
        return s._replace(ops=replaced(s.ops, n, s.ops[n]._replace(**changes)))

    def answer(self, s, n):
        return s._replace(answered=s.answered | 1 << n)

    def epoch_at(self, s, shard):
        if "clock-per-shard" in self.broken:
            return s.counters[shard] + 1
        return s.known[shard] if "epoch-cached" in self.broken else s.epoch

    # Holds, and who waits for them.

    def held(self, s, key):
        """The epochs of the holds on a key, each with its batch."""
        return [(epoch, n) for n, p in enumerate(s.ops) for keys, epoch in p.holds if key in keys]

    def is_stuck(self, s, keys):
        """Whether one is held by a batch whose outcome is unknown until the next opening."""
        return any(s.ops[n].phase == "unknown" for key in keys for _, n in self.held(s, key))

    def wanted(self, s, n):
        """The keys that a write or a batch needs next."""
        o = SCRIPTS[s.script].ops[n]
        return o.keys if o.kind == "write" else self.parts(o)[s.ops[n].asked]

    def must_wait(self, s, n, waiting):
        ahead = {key for w in waiting for key in self.wanted(s, w)}
        if "waiters-overtaken" in self.broken:
            ahead = ()
        return any(key in ahead or self.held(s, key) for key in self.wanted(s, n))

    def is_refused(self, s, n, shard):
        is_stuck = "waiters-wait-for-unknown-batch" not in self.broken and self.is_stuck(
            s, self.wanted(s, n))
        takes_part = SCRIPTS[s.script].ops[n].kind == "batch" and (
            "poisoned-participant-holds" in self.broken)
        return is_stuck or s.poisoned >> shard & 1 and not takes_part

    def wait(self, s, n, shard):
        return self.put(s, n, phase="waiting")._replace(
            waiting=replaced(s.waiting, shard, s.waiting[shard] + (n,)))

    def wake(self, s, shard):
        for place, n in enumerate(s.waiting[shard]):
            if not self.must_wait(s, n, s.waiting[shard][:place]):
                rest = s._replace(waiting=replaced(s.waiting, shard, tuple(
                    w for w in s.waiting[shard] if w != n)))
                if SCRIPTS[s.script].ops[n].kind == "write":
                    yield f"{n}: write goes on", self.enter(rest, n, shard)
                else:
                    yield f"{n}: hold on shard {shard}", self.hold(rest, n, shard)

    # Writes.

    def begin_write(self, s, n):
        shard = shard_of(SCRIPTS[s.script].ops[n].keys[0])
        if self.is_refused(s, n, shard):
            return self.put(s, n, phase="failed")
        s = self.put(s, n, before=s.answered)
        if "version-before-hold" in self.broken:
            s = self.take_version(s, n, shard)
        if self.must_wait(s, n, s.waiting[shard]):
            return self.wait(s, n, shard)
        return self.enter(s, n, shard)

    def take_version(self, s, n, shard):
        count = s.counters[shard] + 1
        return self.put(s, n, version=(self.epoch_at(s, shard), count))._replace(
            counters=replaced(s.counters, shard, count))

    def enter(self, s, n, shard):
        """Version, memtable and frame, without a suspension."""
        if "version-before-hold" not in self.broken:
            s = self.take_version(s, n, shard)
        return self.put(s, n, phase="flying")._replace(
            streams=replaced(s.streams, shard, s.streams[shard] + (n,)))

    def log(self, s, shard):
        records = s.streams[shard]
        if s.poisoned >> shard & 1:
            if records and "unknown-batch-decided" in self.broken:
                # How much of it is there, the device knows.
                for end in range(len(records) + 1):
                    yield f"log {shard} ends before record {end}", self.decide(s, shard, end)
        elif records:
            yield f"{records[0]} durable", self.durable(s._replace(
                streams=replaced(s.streams, shard, records[1:])), records[0])
            if s.faults:
                yield f"!log {shard} fails", self.fail(s, shard)

    def durable(self, s, n):
        if SCRIPTS[s.script].ops[n].kind == "write":
            return self.answer(self.put(s, n, phase="done"), n)
        s = self.put(s, n, phase="apply")
        if "released-before-apply" in self.broken:
            s = self.put(s, n, holds=())
        return self.answer(s, n) if "answered-before-applied" in self.broken else s

    def fail(self, s, shard):
        s = s._replace(poisoned=s.poisoned | 1 << shard, faults=s.faults - 1)
        is_batch = [o.kind == "batch" for o in SCRIPTS[s.script].ops]
        for n in s.streams[shard]:
            s = self.put(s, n, phase="unknown" if is_batch[n] else "failed")
        if "unknown-batch-decided" not in self.broken:
            s = s._replace(streams=replaced(s.streams, shard, ()))
        for other, waiting in enumerate(s.waiting):
            refused = [n for n in waiting if other == shard or self.is_refused(s, n, other)]
            for n in refused:
                s = self.put(s, n, phase="release" if is_batch[n] else "failed")
            s = s._replace(waiting=replaced(s.waiting, other, tuple(
                n for n in waiting if n not in refused)))
        return s

    def decide(self, s, shard, end):
        for place, n in enumerate(s.streams[shard]):
            if s.ops[n].phase == "unknown":
                s = self.put(s, n, phase="apply" if place < end else "release")
        return s._replace(streams=replaced(s.streams, shard, ()))

    # Batches.

    def batch(self, s, n):
        o, p = SCRIPTS[s.script].ops[n], s.ops[n]
        coordinator = shard_of(o.keys[0])
        if p.phase == "idle":
            yield f"{n}: batch {' '.join(o.keys)} begins", self.put(
                s, n, phase="asking", before=s.answered)
        elif p.phase == "asking":
            shard = shard_of(self.wanted(s, n)[0])
            if self.is_refused(s, n, shard):
                yield f"{n}: shard {shard} refuses the hold", self.put(s, n, phase="release")
            elif self.must_wait(s, n, s.waiting[shard]):
                yield f"{n}: waits on shard {shard}", self.wait(s, n, shard)
            else:
                yield f"{n}: hold on shard {shard}", self.hold(s, n, shard)
        elif p.phase == "held":
            if s.poisoned >> coordinator & 1:
                yield f"{n}: cannot be logged", self.put(s, n, phase="release")
            else:
                yield f"{n}: record appended", self.put(s, n, phase="flying")._replace(
                    streams=replaced(s.streams, coordinator, s.streams[coordinator] + (n,)))
        elif p.phase == "apply":
            for shard in o.shards:
                if not p.applied >> shard & 1:
                    yield f"{n}: applied on shard {shard}", self.apply(s, n, shard)
        elif p.phase == "release":
            if not p.holds:
                yield f"{n}: batch has failed", self.put(s, n, phase="failed")
            for entry in p.holds:
                yield f"{n}: {' '.join(entry[0])} released", self.put(
                    s, n, holds=tuple(e for e in p.holds if e != entry))

    def hold(self, s, n, shard):
        o, p = SCRIPTS[s.script].ops[n], s.ops[n]
        epoch = self.epoch_at(s, shard)
        proposal = (epoch, s.counters[shard] + 1)
        if "version-of-coordinator" in self.broken:
            version = proposal if shard == shard_of(o.keys[0]) else p.version
        else:
            version = max(p.version, proposal)
        holds = p.holds + ((self.wanted(s, n), epoch),)
        phase = "held" if p.asked + 1 == len(self.parts(o)) else "asking"
        return self.put(s, n, phase=phase, version=version, asked=p.asked + 1, holds=holds)

    def apply(self, s, n, shard):
        p = s.ops[n]
        applied = p.applied | 1 << shard
        is_done = applied.bit_count() == len(SCRIPTS[s.script].ops[n].shards)
        if "counters-not-raised" not in self.broken:
            s = s._replace(counters=replaced(s.counters, shard,
                                             max(s.counters[shard], p.version[1])))
        s = self.put(s, n, applied=applied, phase="done" if is_done else "apply",
                     holds=tuple(e for e in p.holds if shard_of(e[0][0]) != shard))
        return self.answer(s, n) if is_done else s

    # Reads.

    def versions(self, s, key):
        """Of a key, what is visible: (version, operation), oldest first."""
        shard = shard_of(key)
        return sorted((p.version, n) for n, (o, p) in enumerate(zip(SCRIPTS[s.script].ops, s.ops))
                      if key in o.keys and (n, key) not in s.dropped and (
                          o.kind == "write" and p.phase == "done" or p.applied >> shard & 1))

    def value(self, s, key, epoch=None):
        found = [n for version, n in self.versions(s, key) if epoch is None or version[0] <= epoch]
        return found[-1] if found else NOTHING

    def flying(self, s, shard):
        for n, (o, p) in enumerate(zip(SCRIPTS[s.script].ops, s.ops)):
            failed = p.phase == "failed" and "reads-wait-for-failed-writes" in self.broken
            if o.kind == "write" and shard_of(o.keys[0]) == shard and (
                    p.phase == "flying" or failed and p.version != (0, 0)):
                yield o.keys[0], p.version[0]

    def read_waits(self, s, key):
        now = self.epoch_at(s, shard_of(key))
        if "read-passes-older-write" not in self.broken and any(
                other == key and epoch < now for other, epoch in self.flying(s, shard_of(key))):
            return True
        return "read-passes-older-hold" not in self.broken and any(
            epoch < now for epoch in self.awaited(s, key))

    def awaited(self, s, key):
        """The epochs of the holds that reads may have to wait for."""
        unknown_too = "reads-wait-for-unknown-batch" in self.broken
        return [epoch for epoch, n in self.held(s, key)
                if unknown_too or s.ops[n].phase != "unknown"]

    def snapshot_waits(self, s, key, epoch):
        if "snapshot-passes-writes" not in self.broken and any(
                e <= epoch for other, e in self.flying(s, shard_of(key))
                if other == key or "snapshot-waits-for-its-key-only" not in self.broken):
            return True
        newer_too = "snapshot-passes-newer-holds" not in self.broken
        return "snapshot-passes-holds" not in self.broken and any(
            newer_too or e <= epoch for e in self.awaited(s, key))

    def snapshot(self, s, n):
        """Its version is (epoch, 0); as long as it only has a slot, the slot says that."""
        o, p = SCRIPTS[s.script].ops[n], s.ops[n]
        late = "slot-after-epoch" in self.broken
        if p.phase == "idle":
            if late:
                yield f"{n}: epoch raised", self.take(s, n, "slot")
            else:
                yield f"{n}: slot published", self.put(s, n, phase="slot", version=(s.epoch, 0))
        elif p.phase == "slot":
            if late:
                yield f"{n}: slot published", self.answer(self.put(s, n, phase="taken"), n)
            else:
                yield f"{n}: snapshot taken", self.answer(self.take(s, n, "taken"), n)
        else:
            epoch = p.version[0]
            for place, key in enumerate(o.keys):
                if p.seen[place] is None and not self.snapshot_waits(s, key, epoch):
                    after = s
                    if "clock-per-shard" in self.broken:  # it hears of the snapshot
                        after = s._replace(counters=replaced(
                            s.counters, shard_of(key), max(s.counters[shard_of(key)], epoch)))
                    yield f"{n}: {key} read at {epoch}", self.put(
                        after, n, seen=replaced(p.seen, place, self.value(s, key, epoch)))

    def take(self, s, n, phase):
        epoch = max(s.counters) if "clock-per-shard" in self.broken else s.epoch
        s = self.put(s, n, phase=phase, version=(epoch, 0), before=s.answered,
                     seen=(None,) * len(SCRIPTS[s.script].ops[n].keys))
        return s._replace(epoch=s.epoch + 1)

    # Compaction.

    def compact(self, s):
        slots = [p.version[0] for o, p in zip(SCRIPTS[s.script].ops, s.ops)
                 if o.kind == "snapshot" and (p.phase == "taken" or (
                     p.phase == "slot" and "slot-after-epoch" not in self.broken))]
        first, second = ("epoch", [s.epoch]), ("slots", slots)
        if "slots-before-epoch" in self.broken:
            first, second = second, first
        if not s.compaction:
            if s.compactions:
                yield f"compaction reads the {first[0]}", s._replace(
                    compaction=("once", min(first[1], default=s.epoch + 9)),
                    compactions=s.compactions - 1)
        elif s.compaction[0] == "once":
            yield f"compaction reads the {second[0]}", s._replace(
                compaction=("twice", min(second[1] + [s.compaction[1]])))
        else:
            yield "compaction drops", s._replace(compaction=(), dropped=s.dropped | self.superseded(
                s, s.compaction[1]))

    def superseded(self, s, limit):
        found = set()
        for key in self.keys[s.script]:
            versions = self.versions(s, key)
            newer = [v for v, _ in versions if v[0] <= limit]
            if "compaction-counts-writes-in-flight" in self.broken:
                newer += [p.version for o, p in zip(SCRIPTS[s.script].ops, s.ops)
                          if p.phase == "flying" and key in o.keys and p.version[0] <= limit]
            found |= {(n, key) for v, n in versions if newer and v < max(newer)}
        return found

    # What clients saw.

    def check(self, s):
        script = SCRIPTS[s.script]
        for n, (o, p) in enumerate(zip(script.ops, s.ops)):
            if o.kind == "snapshot" and p.phase == "taken":
                for key, seen in zip(o.keys, p.seen):
                    again = self.value(s, key, p.version[0])
                    if seen is not None and again != seen:
                        return Violation(f"snapshot {n} read {seen} from {key}, and now {again}")
        visible = s._replace(dropped=frozenset())
        chains = tuple((key, tuple(n for _, n in self.versions(visible, key)))
                       for key in self.keys[s.script])
        history = (s.script, chains, tuple((p.before, p.seen) for p in s.ops))
        if history not in self.checked:
            self.checked[history] = what_is_wrong(script.ops, dict(chains), history[2])
        wrong = self.checked[history]
        return Violation(wrong) if wrong else None
