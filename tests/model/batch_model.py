"""Batches over several shards, failures and crashes: a commit record, copies, and watermarks.

Every shard has one tablet, one log, and recovers from that log. A batch takes its holds at once
here (snapshot_model.py takes them one by one); its commit record, with the operations of all
participants, goes to the coordinator's log, and when it is durable each other participant appends a
copy of its own part to its own log. A participant's watermark is the id of the last batch of a
coordinator that its tables and its log have; after a crash each coordinator offers what lies above
it. A crash leaves of each log what is known to be durable and any number of the records behind it.

That a record is durable, and that it is known to be, are one here, on the coordinator too: less
knowledge lets a coordinator do less. A sync is that a log's records become durable one by one.
"""

import itertools

from batch_state import ITEMS, NONE, Record, SCRIPTS
from batch_state import bits, commits, coordinator, initial, is_batch, is_copied
from batch_state import is_durable_on, is_there, newest, others
from batch_state import resolved, show, union, version, watermark
from device import replaced
from explorer import Violation
from scripts import shard_of


class BatchModel:
    name = "batch"
    breaks = {
        "applied-before-durable": "participants apply a batch whose commit record is written, not "
                                  "yet durable",
        "published-at-append": "the coordinator's part is visible when its commit record is "
                               "appended",
        "staged-when-durable": "the coordinator's part comes to the memtable when the commit "
                               "record is durable, not when it is appended",
        "copy-staged-later": "a participant appends its copy in one step, and stages it in another",
        "released-before-copy": "the holds go when the commit record is durable",
        "applied-out-of-order": "a participant applies batches of a coordinator in any order",
        "id-of-the-version": "a batch's id has the epoch of its version, not of its append",
        "room-waited-for": "a part waits until its participant's flush has made room for it",
        "watermark-not-in-edit": "a flush's edit says nothing of coordinators",
        "watermark-of-the-edit": "it has the watermarks of when it is written, not those of the "
                                 "last record that its table covers",
        "edit-before-copies": "a coordinator's flush does not wait for the copies",
        "synced-before-applied": "it takes a participant's sync for an answer that was over before "
                                 "the copy was appended",
        "poisoned-not-carried": "nor does it wait for those of a poisoned participant, or carry "
                                "the batch",
        "carried-not-durable": "the edit does not wait for the carried record",
        "carried-once": "a carried record is not carried again by the next flush",
        "carried-with-own-part": "recovery takes the coordinator's part from a carried record, too",
        "commits-not-offered": "recovery gives each shard what its own log has, and no more",
        "offered-again": "what is offered is taken without a look at the watermark",
        "offered-while-served": "it is offered when reads and writes are served already",
        "offered-before-durable": "it is offered before the log with its commit record was synced",
        "offered-out-of-order": "it is offered in any order",
        "offered-below": "what the participant has recovered counts as newer",
        "offered-by-position": "what is offered last counts as newest",
        "recovered-by-position": "of what is recovered the last record in the log counts as newest",
        "flushed-while-offered": "a memtable is flushed before all has been offered",
        "old-log-forgotten": "a coordinator's flush does not wait for copies that it has offered",
        "resolved-one-too-far": "a commit record says of one batch too much that it is durable",
        "unknown-batch-released": "the holds of a batch whose commit record failed go at once",
        "poisoned-writes-watermark": "what a poisoned participant applies in memory alone raises "
                                     "its watermark",
        "poisoned-shard-flushes": "a poisoned shard flushes what is visible; the edit says how far "
                                  "its log is durable",
        "epoch-not-raised-at-open": "an opening goes on with the epoch of the crashed process",
        "epoch-without-ids": "an opening raises the epoch above that of all versions, not above "
                             "those of ids in logs",
        "epoch-without-watermarks": "nor above those of watermarks",
    }
    redundant = {
        "resolved-ignored": "all may be offered: watermarks tell what is there",
    }

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.size = size

    def initial(self):
        return [initial(name) for name, each in SCRIPTS.items() if each.size <= self.size]

    def must_end(self, s):
        return s.phase != "run" or any(p in ("held", "flying", "apply") for p in s.ops) or any(
            frozen and not s.poisoned >> shard & 1 for shard, (frozen, _) in enumerate(s.frozen))

    def show(self, s):
        return show(s)

    def steps(self, s):
        if s.phase == "run":
            wrong = self.check_reads(s)
            if wrong:
                yield "read", wrong
                return
            for n, p in enumerate(s.ops):
                if p == "idle":
                    yield from self.begin(s, n)
                elif p == "held" and s.poisoned >> coordinator(s, n) & 1:
                    yield f"{n}: cannot be logged", self.release(
                        s._replace(ops=replaced(s.ops, n, "failed")), n, range(len(s.logs)))
                elif p == "held":
                    yield f"{n}: appended", self.commit(s, n)
                elif p == "apply" or p == "flying" and "applied-before-durable" in self.broken:
                    yield from self.apply(s, n)
        if s.phase == "run" or s.phase == "offer" and "flushed-while-offered" in self.broken:
            for shard in range(len(s.logs)):
                yield from self.log(s, shard)
                yield from self.flush(s, shard)
        if s.phase == "read":
            yield "recovery: logs read", self.read_logs(s)
        if s.phase == "offer" and not s.offers:
            yield "recovery: served", self.open(s)
        for c in bits(s.offers):
            yield from self.offer(s, c)
        yield from self.crash(s)

    # Writes and batches.

    def begin(self, s, n):
        o = SCRIPTS[s.script].ops[n]
        if o.kind == "snapshot":
            if "held" in s.ops:  # else it makes no difference
                yield f"{n}: epoch raised", s._replace(epoch=s.epoch + 1,
                                                       ops=replaced(s.ops, n, "done"))
            return
        # Any other that is poisoned might as well have given its hold before.
        if s.poisoned >> coordinator(s, n) & 1:
            return
        for holds in s.holds:
            if any(set(o.keys) & set(SCRIPTS[s.script].ops[h].keys) for h in bits(holds)):
                return
        count = max(s.counters[shard] for shard in o.shards) + 1
        s = s._replace(versions=replaced(s.versions, n, (s.epoch, count)))
        label = f"{n}: {o.kind} {' '.join(o.keys)}"
        if is_batch(s, n):
            yield label + " held", s._replace(ops=replaced(s.ops, n, "held"), holds=tuple(
                h | 1 << n if shard in o.shards else h for shard, h in enumerate(s.holds)))
        else:
            [shard], items = o.shards, ITEMS[s.script].of_op[n]
            s = s._replace(counters=replaced(s.counters, shard, count),
                           ops=replaced(s.ops, n, "flying"),
                           visible=s.visible | (items if o.kind == "memory" else 0))
            yield label + " appended", self.stage(
                self.append(s, shard, Record("write", n)), shard, items)

    def commit(self, s, n):
        c = coordinator(s, n)
        own, (epoch, count) = ITEMS[s.script].of_part[n][c], s.versions[n]
        if "id-of-the-version" not in self.broken:
            epoch = s.epoch
        until = NONE if "resolved-ignored" in self.broken else resolved(
            s, c, "resolved-one-too-far" in self.broken)
        count = max(s.counters[c], count) + 1
        s = self.append(s, c, Record("commit", n, until))._replace(
            ids=replaced(s.ids, n, (epoch, count)), counters=replaced(s.counters, c, count),
            ops=replaced(s.ops, n, "flying"))
        if "published-at-append" in self.broken:
            s = s._replace(visible=s.visible | own)
        return s if "staged-when-durable" in self.broken else self.stage(s, c, own)

    def append(self, s, shard, record):
        log = s.logs[shard]
        return s._replace(logs=replaced(s.logs, shard,
                                        log._replace(records=log.records + (record,))))

    def stage(self, s, shard, items):
        return s._replace(memtables=replaced(s.memtables, shard, s.memtables[shard] | items))

    def stage_on_top(self, s, shard, items):
        """As if a memtable were ordered by positions, not by versions."""
        below = s.memtables[shard] & ~ITEMS[s.script].same_keys(items)
        return self.stage(s._replace(memtables=replaced(s.memtables, shard, below)), shard, items)

    def release(self, s, n, shards):
        return s._replace(holds=tuple(h & ~(1 << n) if shard in shards else h
                                      for shard, h in enumerate(s.holds)))

    def log(self, s, shard):
        log = s.logs[shard]
        rest = log.records[log.durable:]
        if rest and not s.poisoned >> shard & 1:
            after = s._replace(logs=replaced(s.logs, shard, log._replace(durable=log.durable + 1)))
            yield f"log {shard}: {rest[0].kind} {rest[0].op} durable", self.durable(after, rest[0])
            if s.faults:
                yield f"!log {shard} fails", self.fail(s, shard, rest)

    def durable(self, s, record):
        n, items = record.op, ITEMS[s.script]
        if record.kind == "write":
            return s._replace(visible=s.visible | items.of_op[n], kept=s.kept | items.of_op[n],
                              ops=replaced(s.ops, n, "done"))
        if record.kind != "commit":
            return s
        c, own = coordinator(s, n), items.of_part[n][coordinator(s, n)]
        if "staged-when-durable" in self.broken:
            s = self.stage(s, c, own)
        s = s._replace(visible=s.visible | own, kept=s.kept | items.of_op[n],
                       ops=replaced(s.ops, n, "apply"))
        everywhere = "released-before-copy" in self.broken
        return self.settle(self.release(s, n, range(len(s.logs)) if everywhere else [c]), n)

    def settle(self, s, n):
        """The caller is answered when all have applied."""
        is_done = s.ops[n] == "apply" and not ITEMS[s.script].of_op[n] & ~s.visible
        return s._replace(ops=replaced(s.ops, n, "done")) if is_done else s

    def fail(self, s, shard, records):
        s = s._replace(poisoned=s.poisoned | 1 << shard, faults=s.faults - 1)
        for kind, n, _ in records:
            if kind == "write":
                phase = "done" if SCRIPTS[s.script].ops[n].kind == "memory" else "failed"
                s = s._replace(ops=replaced(s.ops, n, phase))
            elif kind == "commit":
                s = s._replace(ops=replaced(s.ops, n, "unknown"))
                if "unknown-batch-released" in self.broken:
                    s = self.raise_counters(self.release(s, n, range(len(s.logs))), n)
        return s

    def raise_counters(self, s, n, shard=None):
        """To the batch's version."""
        return s._replace(counters=tuple(
            max(count, s.versions[n][1]) if shard in (None, each) else count
            for each, count in enumerate(s.counters)))

    def apply(self, s, n):
        items, c = ITEMS[s.script], coordinator(s, n)
        for p in others(s, n):
            part = items.of_part[n][p]
            waits = "applied-out-of-order" not in self.broken and any(
                m != n and s.ops[m] == "apply" and coordinator(s, m) == c and s.ids[m] < s.ids[n]
                and items.of_part[m][p] & ~s.visible for m in range(len(s.ops)))
            if s.frozen[p][0] and "room-waited-for" in self.broken:
                waits = True
            if part & s.visible or waits:
                continue
            label, after = f"{n}: applied on shard {p}", s
            if s.poisoned >> p & 1:
                label += " in memory"
                if "poisoned-writes-watermark" in self.broken:
                    after = s._replace(marks=replaced(s.marks, p, replaced(
                        s.marks[p], c, s.ids[n])))
            elif not is_copied(s, n, p):
                after = self.append(s, p, Record("copy", n))
                if "copy-staged-later" in self.broken:
                    yield f"{n}: appended on shard {p}", after
                    continue
            after = self.raise_counters(self.stage(after, p, part), n, p)
            after = after._replace(visible=s.visible | part)
            yield label, self.settle(self.release(after, n, [p]), n)

    # Reads.

    def look_up(self, s, key):
        """What the first place gives that has the key, as the engine looks."""
        shard = shard_of(key)
        memory = (s.memtables[shard] & s.visible, s.frozen[shard][0] & s.visible)
        for place in (*memory, *s.tables[shard]):
            found = newest(s, place & ITEMS[s.script].of_key[key])
            if found is not None:
                return found
        return None

    def check_reads(self, s):
        items = ITEMS[s.script]
        for key in items.keys:
            right = newest(s, s.visible & items.of_key[key])
            found = self.look_up(s, key)
            gone = all(i is None or items.deletes >> i & 1 for i in (found, right))
            if found != right and not gone:
                ops = [None if i is None else items.all[i][0] for i in (found, right)]
                return Violation(f"a read of {key} gives operation {ops[0]} instead of {ops[1]}")
        for n, phase in enumerate(s.ops):
            if not is_batch(s, n) or not items.of_op[n] & s.visible:
                continue
            if phase == "unknown":
                return Violation(f"a read sees operation {n}, whose outcome is unknown")
            for shard, part in enumerate(items.of_part[n]):
                if not s.holds[shard] >> n & 1 and not is_there(s, s.visible, part):
                    return Violation(f"a snapshot sees operation {n}, but not on shard {shard}")
        return None

    # Flush, compaction.

    def flush(self, s, shard):
        run, log, (content, end) = s.tables[shard], s.logs[shard], s.frozen[shard]
        begins = not s.poisoned >> shard & 1
        if "poisoned-shard-flushes" in self.broken and not begins:
            begins, content, end = True, content & s.visible, min(end, log.durable)
        if s.memtables[shard] and not s.frozen[shard][0] and begins:
            yield f"switch memtable {shard}", s._replace(
                memtables=replaced(s.memtables, shard, 0),
                frozen=replaced(s.frozen, shard, (s.memtables[shard], len(log.records))))
        if len(run) > 1 or union(run) & ITEMS[s.script].deletes:
            yield f"compact {shard}", self.compact(s, shard)
        if content and log.durable >= end:  # it may have begun before the shard was poisoned
            if all(self.may_forget(s, shard, n, end) for n in self.awaited(s, shard, end)):
                yield f"edit of {shard} durable", self.edit(s, shard, content, end)
            if not s.poisoned >> shard & 1:
                yield from self.carry(s, shard, end)

    def awaited(self, s, c, end):
        """The batches that the coordinator's log must not lose with its first records."""
        if "edit-before-copies" in self.broken:
            return []
        if "carried-once" in self.broken:
            return [r.op for r in s.logs[c].records[:end] if r.kind == "commit"]
        found = commits(s, c, 0, end)
        if "old-log-forgotten" in self.broken:
            found = [n for n in found if s.ids[n][0] == s.epoch]
        return found

    def may_forget(self, s, c, n, end):
        log = s.logs[c]
        last = None if "carried-not-durable" in self.broken else log.durable
        return n in commits(s, c, end, last) or all(self.is_settled(s, n, p) for p in others(s, n))

    def is_settled(self, s, n, p):
        if s.poisoned >> p & 1 and "poisoned-not-carried" in self.broken:
            return True
        log = s.logs[p]
        if "synced-before-applied" in self.broken and not is_copied(s, n, p):
            return log.durable == len(log.records)
        return is_durable_on(s, n, p)

    def carry(self, s, c, end):
        for n in self.awaited(s, c, end):
            lacks = [p for p in others(s, n) if s.poisoned >> p & 1 and not is_durable_on(s, n, p)]
            if lacks and n not in commits(s, c, end, None):
                yield f"{n} carried in log {c}", self.append(s, c, Record("carried", n))

    def edit(self, s, shard, content, end):
        log = s.logs[shard]
        until = None if "watermark-of-the-edit" in self.broken else end
        marks = tuple(watermark(s, shard, c, until) for c in range(len(s.logs)))
        if "watermark-not-in-edit" in self.broken:
            marks = s.marks[shard]
        return s._replace(
            tables=replaced(s.tables, shard, (content,) + s.tables[shard]),
            marks=replaced(s.marks, shard, marks), frozen=replaced(s.frozen, shard, (0, 0)),
            logs=replaced(s.logs, shard, log._replace(records=log.records[end:],
                                                      durable=log.durable - end)))

    def compact(self, s, shard):
        """One table at the bottom, without deletes."""
        items, run, left = ITEMS[s.script], s.tables[shard], 0
        for key in items.keys:
            places = [t & items.of_key[key] for t in run if t & items.of_key[key]]
            if places:
                left |= 1 << newest(s, places[0]) & ~items.deletes
        return s._replace(tables=replaced(s.tables, shard, (left,) if left else ()),
                          dropped=s.dropped | union(run) & ~left)

    # Crashes and recovery.

    def crash(self, s):
        if not s.crashes:
            return
        zeros = (0,) * len(s.logs)
        ops = tuple("idle" if p == "idle" else "begun" for p in s.ops)
        down = s._replace(phase="read", ops=ops, counters=zeros, poisoned=0, memtables=zeros,
                          frozen=((0, 0),) * len(s.logs), holds=zeros, visible=0, offers=0,
                          crashes=s.crashes - 1)
        for left in itertools.product(*(range(log.durable, len(log.records) + 1)
                                        for log in s.logs)):
            yield f"!crash leaves logs {left}", down._replace(logs=tuple(
                log._replace(records=log.records[:end]) for log, end in zip(s.logs, left)))

    def read_logs(self, s):
        items = ITEMS[s.script]
        put = self.stage_on_top if "recovered-by-position" in self.broken else self.stage
        for shard, log in enumerate(s.logs):
            for kind, n, _ in log.records:
                if kind != "carried" or "carried-with-own-part" in self.broken:
                    s = put(s, shard, items.of_part[n][shard])
        if "offered-before-durable" not in self.broken:
            s = self.sync(s)
        s = s._replace(phase="offer", offers=sum(
            1 << c for c in range(len(s.logs)) if self.offered_by(s, c)))
        return self.open(s) if "offered-while-served" in self.broken else s

    def sync(self, s):
        return s._replace(logs=tuple(log._replace(durable=len(log.records)) for log in s.logs))

    def offered_by(self, s, c):
        """What a coordinator offers, and to whom."""
        if "commits-not-offered" in self.broken:
            return []
        until = max([r.resolved for r in s.logs[c].records], default=NONE)
        return [(n, p) for n in commits(s, c, 0, None) for p in others(s, n) if s.ids[n] > until
                and ("offered-again" in self.broken or s.ids[n] > watermark(s, p, c))]

    def offer(self, s, c):
        offered = self.offered_by(s, c)
        orders = [offered]
        if "offered-out-of-order" in self.broken:
            orders = itertools.permutations(offered)
        for order in orders:
            after = s._replace(offers=s.offers & ~(1 << c))
            for n, p in order:
                after = self.take_offered(after, n, p)
            yield f"recovery: shard {c} offers {order}", after

    def take_offered(self, s, n, p):
        s = self.append(s, p, Record("copy", n))
        part = ITEMS[s.script].of_part[n][p]
        if s.phase == "run":
            s = s._replace(visible=s.visible | part)
        if "offered-by-position" in self.broken:
            return self.stage_on_top(s, p, part)
        if "offered-below" in self.broken:
            part &= ~ITEMS[s.script].same_keys(s.memtables[p])
        return self.stage(s, p, part)

    def open(self, s):
        items = ITEMS[s.script]
        there = union(map(union, s.tables)) | union(s.memtables) | union(f for f, _ in s.frozen)
        epoch = self.largest_epoch(s, there) + 1
        there |= s.dropped
        wrong = self.check_found(s, there)
        if wrong:
            return wrong
        for n, phase in enumerate(s.ops):
            if phase == "begun":
                is_there = items.of_op[n] & there
                s = s._replace(ops=replaced(s.ops, n, "done" if is_there else "lost"))
                if not is_there:
                    s = s._replace(gone=s.gone | items.of_op[n], ids=replaced(s.ids, n, NONE),
                                   versions=replaced(s.versions, n, NONE))
        if "offered-before-durable" in self.broken:
            s = self.sync(s)
        if "epoch-not-raised-at-open" in self.broken:
            epoch = s.epoch
        return s._replace(phase="run", visible=there, kept=s.kept | there, epoch=epoch)

    def largest_epoch(self, s, there):
        found = [version(s, i) for i in bits(there)]
        if "epoch-without-ids" not in self.broken:
            found += [s.ids[r.op] for log in s.logs for r in log.records]
        if "epoch-without-watermarks" not in self.broken:
            found += [mark for marks in s.marks for mark in marks]
        return max(found, default=NONE)[0]

    def check_found(self, s, there):
        items = ITEMS[s.script]
        for item, (n, key) in enumerate(items.all):
            if s.kept >> item & 1 and not is_there(s, there, 1 << item):
                return Violation(f"operation {n} was acknowledged, and is lost on {key}")
            if (s.gone & there) >> item & 1:
                return Violation(f"operation {n} had failed, and is there on {key}")
            if there >> item & 1 and not is_there(s, there, items.of_op[n]):
                return Violation(f"of operation {n} there is only a part, on {key}")
        return None
