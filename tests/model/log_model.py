"""One stream of the log: levels mixed, frames in flight, syncs, idle frame, failures, recovery.

Frame n lies in block n - 1 and holds one record. Its value is (level, durable frame).
"""

from typing import NamedTuple

from device import BAD, EMPTY, cuts, read, replaced, synced, write
from explorer import Violation


class State(NamedTuple):
    phase: str  # run, scan, sync, seal, up; lost: opening failed with DataLoss
    frames: tuple = ()  # that were sealed: (level, durable frame); level m, w, d, or i: idle frame
    blocks: tuple = ()
    flight: tuple = ()  # writes under way: (frame, whether DSYNC)
    plain: int = 0  # mask of frames written without DSYNC
    done: int = 0  # mask of frames whose write completed
    durable: int = 0  # mask of those that the writer takes for power-durable
    sync: tuple | None = None  # under way: (really covered, taken for covered), masks
    poisoned: bool = False
    left: int = 0  # records still to be appended
    crashes: int = 0  # still to come
    faults: int = 0
    dead: int = 0  # mask of frames that no sync makes durable any more
    kill_floor: int = 0  # frames up to here must survive kill -9
    cut_floor: int = 0  # and these a power cut
    rot: int = 0  # the frame that was damaged
    must_find: bool = False  # and its damage must be found out
    at: int = 0  # recovery: the next frame to look at
    bad: int = 0  # recovery: the first bad one
    end: int = -1  # recovery: how far the stream goes
    seal: int = -1  # in ROOT
    served: int = -1  # how far the stream went when it was served after a recovery


def bit(frame):
    return 1 << (frame - 1)


def prefix(mask):
    """How many of the lowest bits are set without a hole."""
    return ((mask + 1) & ~mask).bit_length() - 1


class LogModel:
    name = "log"
    breaks = {
        "dsync-covers-earlier": "kDurable is acknowledged after a DSYNC write, though an earlier "
                                "plain frame is not covered by any sync",
        "no-sync-behind-plain": "a frame that was written plain, behind a plain one, gets no sync",
        "sync-begins-early": "an fdatasync counts for writes that had not completed when it began",
        "written-ack-alone": "kWritten is acknowledged while an earlier frame is under way",
        "durable-frame-is-written": "durable_frame counts frames that were only written",
        "no-proof-search": "recovery truncates at the first bad frame without looking further",
        "no-idle-frame": "an idle shard does not cover its last frame",
        "eio-is-the-end": "recovery takes a read error for the end of the log",
        "sync-retried": "a failed sync is tried again, and believed",
        "failed-write-ignored": "the log goes on after a failed write",
        "served-before-synced": "recovery serves what it read without making it durable",
        "sealed-before-synced": "the seal is durable before the frames that it speaks of",
        "no-seal": "ROOT does not say where an old stream ended",
        "sealed-at-durable-prefix": "ROOT seals a failed stream at its durable prefix while the "
                                    "shard goes on, though kWritten was acknowledged behind it",
        "dead-cache-after-failed-sync": "not a rule but what the rules assume of the disk: what a "
                                        "failed sync could not write is kept or gone, and never "
                                        "readable without being written by the next sync",
    }
    redundant = {}

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.records = min(size, 1) + 2
        self.crashes = 2
        self.in_flight = max(size, 1) + 1

    def initial(self):
        return [State("run", left=n, crashes=self.crashes, faults=1)
                for n in range(1, self.records + 1)]

    def must_end(self, s):
        return s.phase in ("scan", "sync", "seal") or self.is_awaited(s)

    def is_awaited(self, s):
        """Whether somebody waits for an acknowledgement that has to come."""
        if s.phase != "run" or s.poisoned:
            return False
        written, durable = prefix(s.done), prefix(s.durable)
        return any(number > (durable if level == "d" else written)
                   for number, (level, _) in enumerate(s.frames, 1))

    def show(self, s):
        writes = " ".join(f"{n}{'s' if dsync else ''}" for n, dsync in s.flight)
        return (f"{s.phase} frames={s.frames} disk={s.blocks} flight=[{writes}] "
                f"kept on kill<={s.kill_floor} on cut<={s.cut_floor} seal={s.seal} end={s.end}")

    def steps(self, s):
        if s.phase == "run":
            if not s.poisoned:
                yield from self.append(s)
                yield from self.idle(s)
                yield from self.begin_sync(s)
            elif s.seal < 0 and "sealed-at-durable-prefix" in self.broken:
                yield "ROOT seals the failed stream", s._replace(seal=prefix(s.durable))
            yield from self.complete(s)
        elif s.phase != "lost":
            yield from self.late_write(s)
            yield from self.recover(s)
        if s.phase != "lost":
            yield from self.rot(s)
            yield from self.crash(s)

    # The writer.

    def append(self, s):
        if not s.left or len(s.flight) >= self.in_flight:
            return
        for level in "mwd":
            yield f"append {level}", self.issue(s._replace(left=s.left - 1), level)

    def issue(self, s, level):
        number = len(s.frames) + 1
        counted = s.done if "durable-frame-is-written" in self.broken else s.durable
        # A DSYNC write covers only itself: not enough behind a plain frame that nothing covers.
        enough = not s.plain & ~s.durable or "dsync-covers-earlier" in self.broken
        dsync = level in "di" and enough
        return s._replace(frames=s.frames + ((level, prefix(counted)),),
                          blocks=s.blocks + ((EMPTY,),), flight=s.flight + ((number, dsync),),
                          plain=s.plain | (0 if dsync else bit(number)))

    def is_quiet(self, s):
        return not s.left and not s.flight and s.sync is None and not s.poisoned

    def idle(self, s):
        if not self.is_quiet(s) or s.frames[-1][0] == "i" or "no-idle-frame" in self.broken:
            return
        if prefix(s.durable) == len(s.frames):
            yield "idle frame", self.issue(s, "i")

    def begin_sync(self, s):
        if s.sync is not None or "no-sync-behind-plain" in self.broken:
            return
        uncovered = s.plain & ~s.durable
        wanted = [n for n, (level, _) in enumerate(s.frames, 1)
                  if level == "d" and uncovered & bit(n)]
        if not wanted and not (uncovered and self.is_quiet(s)):
            return
        last = wanted[-1] if wanted else len(s.frames)
        early = "sync-begins-early" in self.broken
        if prefix(s.done) >= last or early:
            yield "sync begins", s._replace(sync=(s.done, (1 << last) - 1 if early else s.done))

    def complete(self, s):
        for entry in s.flight:
            number, dsync = entry
            value = s.frames[number - 1]
            rest = s._replace(flight=tuple(e for e in s.flight if e != entry))
            block = (value,) if dsync else write(s.blocks[number - 1], value)
            landed = rest._replace(blocks=replaced(s.blocks, number - 1, block))
            ended = landed._replace(done=s.done | bit(number))
            if dsync:
                covers = ended.done if "dsync-covers-earlier" in self.broken else bit(number)
                ended = ended._replace(durable=s.durable | covers)
            yield f"write of {number} completes", self.acknowledge(ended)
            if s.faults:
                for failed in (rest, landed):
                    yield f"!write of {number} fails", self.fail(
                        failed, "failed-write-ignored", number)
        if s.sync is not None:
            covered, counted = s.sync
            ended = s._replace(blocks=self.synced(s, covered), durable=s.durable | counted,
                               sync=None)
            yield "sync completes", self.acknowledge(ended)
            if s.faults:
                # The device may have dropped what it could not write, as a power cut would: the
                # next sync then has nothing to do.
                dropped = tuple(b[:1] if covered & bit(n) else b for n, b in enumerate(s.blocks, 1))
                if "dead-cache-after-failed-sync" in self.broken:
                    cached = sum(bit(n) for n, b in enumerate(s.blocks, 1) if len(b) > 1)
                    s = s._replace(dead=cached & covered)
                for blocks, floor in ((s.blocks, s.kill_floor), (dropped, s.cut_floor)):
                    yield "!sync fails", self.fail(s._replace(
                        blocks=blocks, kill_floor=floor, sync=None), "sync-retried")

    def synced(self, s, covered):
        return tuple(synced(b) if covered & ~s.dead & bit(n) else b
                     for n, b in enumerate(s.blocks, 1))

    def fail(self, s, excuse, number=0):
        s = s._replace(faults=s.faults - 1)
        if excuse not in self.broken:
            return s._replace(poisoned=True)
        if not number:
            return s
        return s._replace(done=s.done | bit(number), durable=s.durable | bit(number) & ~s.plain)

    def acknowledge(self, s):
        """What the completions so far promise to clients, and so to readers."""
        if s.poisoned:
            return s
        kill, cut = s.kill_floor, s.cut_floor
        written, durable = prefix(s.done), prefix(s.durable)
        for number, (level, _) in enumerate(s.frames, 1):
            is_written = number <= written or ("written-ack-alone" in self.broken
                                               and s.done & bit(number))
            if level == "w" and is_written or level == "d" and number <= durable:
                kill = max(kill, number)
            if level == "d" and number <= durable:
                cut = max(cut, number)
        return s._replace(kill_floor=kill, cut_floor=cut)

    # What is done to it.

    def rot(self, s):
        if s.rot or not s.faults:
            return
        for number, block in enumerate(s.blocks, 1):
            if len(block) > 1 or block[0] in (EMPTY, BAD):
                continue
            proven = any(len(b) == 1 and b[0] not in (EMPTY, BAD) and b[0][1] >= number
                         for b in s.blocks)
            quiet = s.phase == "run" and self.is_quiet(s) and (
                "no-idle-frame" in self.broken or s.frames[-1][0] == "i")
            must = proven or number <= s.served or quiet and number <= s.cut_floor
            yield f"!rot in {number}", s._replace(
                blocks=replaced(s.blocks, number - 1, (BAD,)), rot=number, must_find=must,
                faults=s.faults - 1)

    def crash(self, s):
        if not s.crashes:
            return
        down = s._replace(phase="scan", sync=None, at=1, bad=0, end=-1, crashes=s.crashes - 1)
        yield "!kill -9", down
        flying = {number for number, _ in s.flight}
        blocks = tuple(write(b, s.frames[n - 1]) if n in flying else b
                       for n, b in enumerate(s.blocks, 1))
        for left in cuts(blocks):
            yield "!power cut", down._replace(blocks=left, flight=(), kill_floor=s.cut_floor)

    def late_write(self, s):
        for entry in s.flight:
            number = entry[0]
            block = write(s.blocks[number - 1], s.frames[number - 1])
            yield f"!late write of {number} lands", s._replace(
                flight=tuple(e for e in s.flight if e != entry),
                blocks=replaced(s.blocks, number - 1, block))

    # Recovery, one block at a time.

    def recover(self, s):
        if s.phase == "scan":
            if s.flight or s.faults:
                yield from self.scan(s)
                return
            # Nothing can come between: reading is one step, and a crash in it is one before it.
            while not isinstance(s, Violation) and s.phase == "scan":
                _, s = next(self.scan(s))
            yield "recovery: stream read", s
        elif s.phase == "sync":
            ended = s._replace(blocks=self.synced(s, ~0))
            yield "recovery: synced", self.next_phase(ended, "sync")
        elif s.phase == "seal":
            seal = -1 if "no-seal" in self.broken else s.end
            yield "recovery: seal durable", self.next_phase(s._replace(seal=seal), "seal")

    def next_phase(self, s, ended):
        order = ["scan", "sync", "seal", "up"]
        if "sealed-before-synced" in self.broken:
            order = ["scan", "seal", "sync", "up"]
        if "served-before-synced" in self.broken:
            order = ["scan", "seal", "up"]
        phase = order[order.index(ended) + 1]
        return self.serve(s) if phase == "up" else s._replace(phase=phase)

    def serve(self, s):
        if s.served >= 0 and s.end != s.served:
            return Violation(f"the stream went to {s.served} when it was served, now to {s.end}")
        if s.end < s.kill_floor and s.rot != s.end + 1:
            return Violation(f"acknowledged up to {s.kill_floor}, recovered up to {s.end}")
        if s.end < s.kill_floor and s.must_find:
            return Violation(f"rot in {s.rot} was silently truncated")
        # It is durable now (rule 6), for good.
        return s._replace(phase="up", served=s.end, kill_floor=s.end, cut_floor=s.end)

    def scan(self, s):
        last = s.seal if s.seal >= 0 else len(s.blocks)
        if s.at > last or (s.bad and "no-proof-search" in self.broken):
            end = s.bad - 1 if s.bad else last
            yield "recovery: end found", self.next_phase(s._replace(end=end), "scan")
            return
        value = read(s.blocks[s.at - 1])
        good = value not in (EMPTY, BAD)
        if good and (not s.bad or value[1] < s.bad):
            after = s._replace(at=s.at + 1)
        elif good or s.seal >= 0:
            after = self.lose(s)  # a proof, or less than the seal says
        else:
            after = s._replace(at=s.at + 1, bad=s.bad or s.at)
        yield f"recovery: reads {s.at}", after
        if s.faults:
            end = s._replace(at=s.at + 1, bad=s.bad or s.at)
            again = s._replace(at=1, bad=0)  # opening fails, and can be tried again
            yield f"!EIO at {s.at}", (end if "eio-is-the-end" in self.broken else again)._replace(
                faults=s.faults - 1)

    def lose(self, s):
        if not s.rot:
            return Violation("DataLoss is reported, and nothing was damaged")
        return s._replace(phase="lost")
