"""The file ROOT: four slots in two pairs, damage to one, late writes of a killed process.

A slot is a block of device.py. It holds (epoch, incarnation, number): the number stands for all
that the state says, and grows with each state that anybody tried to put in force. So "never back"
is: once a state was acknowledged, or found by an opening, no opening finds a smaller number.
"""

from typing import NamedTuple

from device import BAD, cuts, read, replaced, write
from explorer import Violation


class State(NamedTuple):
    slots: tuple
    phase: str = "up"  # first, second: committing, its first or second slot is not durable;
    # failed: a write failed, and there are no more commits; read, complete, sync: opening;
    # lost: opening failed with DataLoss
    state: tuple = (1, 0, 1)  # in force, as the process knows it
    next: tuple | None = None  # being committed
    writing: tuple | None = None  # (slot, value) under way
    late: tuple = ()  # writes of killed processes that are still on their way
    seen: tuple = ()  # slots as the opening read them
    incarnation: int = 0
    numbers: int = 1
    floor: int = 1  # the state that must not be gone back from
    rotten: bool = False
    failures: int = 1  # still to come
    commits: int = 0  # still to come
    crashes: int = 0


def pair_of(value):
    return (0, 1) if value[0] % 2 == 0 else (2, 3)


class RootModel:
    name = "root"
    breaks = {
        "newest-slot-wins": "the newest good slot counts, whatever became of its copy",
        "root-one-copy": "a change is in force after its first slot",
        "root-pair-not-completed": "opening does not complete the pair",
        "root-without-sync": "slots are written without DSYNC",
        "root-served-from-cache": "opening does not make durable what it read",
        "root-completed-before-synced": "opening makes durable what it read only after it has "
                                        "completed the pair",
        "root-failure-ignored": "a change counts although a write of its slots failed",
        "root-no-fence": "opening does not wait for the killed process's write to end",
    }
    redundant = {
        "root-both-copies-bad-falls-back": "a pair without a good slot does not stop an opening: "
                                           "takes two damaged slots to matter",
    }

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.one_copy = bool(breaks & {"root-one-copy", "newest-slot-wins"})
        self.commits = size + 2
        self.crashes = size + 2

    def initial(self):
        old, new = (0, 0, 0), (1, 0, 1)
        return [State(((old,), (old,), (new,), (new,)), commits=self.commits, crashes=self.crashes)]

    def must_end(self, s):
        return s.phase in ("read", "complete", "sync")

    def show(self, s):
        return (f"{s.phase} slots={s.slots} in force={s.state} floor={s.floor} "
                f"writing={s.writing} late={s.late}")

    def steps(self, s):
        if s.phase == "lost":
            return
        if s.phase == "up" and s.commits:
            number = s.numbers + 1
            value = (s.state[0] + 1, s.incarnation, number)
            yield f"commit {number}", s._replace(
                phase="first", next=value, writing=(pair_of(value)[0], value), numbers=number,
                commits=s.commits - 1)
        if s.phase in ("first", "second", "complete") and s.writing is not None:
            yield from self.finish_write(s)
        if s.phase == "read":
            yield from self.read_slot(s)
        if s.phase == "complete" and s.writing is None:
            yield from self.complete(s)
        if s.phase == "sync":
            synced = s._replace(slots=tuple((read(b),) for b in s.slots))
            yield "open: synced", self.next_phase(synced, "sync")
        yield from self.harm(s)

    def finish_write(self, s):
        slot, value = s.writing
        if s.phase != "complete" and s.failures:
            landed = write(s.slots[slot], value)
            for slots in (s.slots, replaced(s.slots, slot, landed)):
                after = s._replace(slots=slots, writing=None, failures=0)
                if "root-failure-ignored" in self.broken:
                    after = self.after_write(after, slot, value)
                else:
                    after = after._replace(phase="failed", next=None)
                yield f"!write of slot {slot} fails", after
        durable = "root-without-sync" not in self.broken
        block = (value,) if durable else write(s.slots[slot], value)
        s = s._replace(slots=replaced(s.slots, slot, block), writing=None)
        yield f"write of slot {slot} completes", self.after_write(s, slot, value)

    def after_write(self, s, slot, value):
        if s.phase == "complete":
            return s
        if s.phase == "first" and not self.one_copy:
            return s._replace(phase="second", writing=(slot + 1, value))
        return s._replace(phase="up", state=value, next=None, floor=value[2])

    # Opening.

    def read_slot(self, s):
        slot = len(s.seen)
        if slot == 0 and s.late and "root-no-fence" not in self.broken:
            # Whoever killed it has to wait: the lock goes with the last write's file.
            for fenced in self.land(s):
                yield fenced
            yield "the device drops the write under way", s._replace(late=())
            return
        seen = s.seen + (read(s.slots[slot]),)
        if slot < 3:
            yield f"open: reads slot {slot}", s._replace(seen=seen)
            return
        pairs = [[v for v in pair if v != BAD] for pair in (seen[:2], seen[2:])]
        if self.broken & {"newest-slot-wins", "root-both-copies-bad-falls-back"}:
            pairs = [pair for pair in pairs if pair]
        if all(pairs):
            found = max((v for pair in pairs for v in pair), key=lambda v: v[:2])
            after = self.found(s._replace(seen=seen), found)
        else:
            after = s._replace(phase="lost")
            if not s.rotten:
                after = Violation("DataLoss is reported, and nothing was damaged")
        yield "open: reads slot 3", after

    def found(self, s, value):
        if value[2] < s.floor:
            return Violation(f"ROOT goes back from state {s.floor} to {value[2]}")
        return self.next_phase(s._replace(state=value), "read")

    def next_phase(self, s, ended):
        order = ["read", "sync", "complete", "up"]
        if "root-completed-before-synced" in self.broken:
            order = ["read", "complete", "sync", "up"]
        if "root-served-from-cache" in self.broken:
            order.remove("sync")
        if self.broken & {"root-pair-not-completed", "newest-slot-wins"}:
            order.remove("complete")
        phase = order[order.index(ended) + 1]
        if phase == "up":
            s = s._replace(seen=(), floor=s.state[2], incarnation=s.incarnation + 1)
        return s._replace(phase=phase)

    def complete(self, s):
        for slot in pair_of(s.state):
            if s.seen[slot] != s.state:
                seen = replaced(s.seen, slot, s.state)
                yield f"open: completes slot {slot}", s._replace(seen=seen, writing=(slot, s.state))
                return
        yield "open: pair complete", self.next_phase(s, "complete")

    # What is done to it.

    def land(self, s):
        for entry in s.late:
            yield f"!late write of slot {entry[0]} lands", s._replace(
                slots=replaced(s.slots, entry[0], write(s.slots[entry[0]], entry[1])),
                late=tuple(e for e in s.late if e != entry))

    def harm(self, s):
        if s.crashes:
            late = s.late + ((s.writing,) if s.writing else ())
            down = s._replace(phase="read", next=None, writing=None, seen=(), crashes=s.crashes - 1)
            yield "!kill -9", down._replace(late=tuple(sorted(set(late))))
            slots = s.slots
            for slot, value in late:
                slots = replaced(slots, slot, write(slots[slot], value))
            for left in cuts(slots):
                yield "!power cut", down._replace(slots=left, late=())
        if "root-no-fence" in self.broken and s.phase != "read":
            yield from self.land(s)
        if not s.rotten and s.phase in ("up", "read") and not s.seen:
            for slot, block in enumerate(s.slots):
                if len(block) == 1 and block[0] != BAD:
                    yield f"!rot in slot {slot}", s._replace(
                        slots=replaced(s.slots, slot, (BAD,)), rotten=True)
