"""Segments: created, recycled, released; stale frames in them; writes that land late.

A segment has two blocks, each for one frame. A frame's value is (stream, segment, frame, durable
frame): the first two stand for its salt. All frames are written with DSYNC, since the levels have a
model of their own. The directory is a block of device.py whose value is all names: (stream,
segment, inode).
"""

from typing import NamedTuple

from device import BAD, EMPTY, cuts, read, replaced, write
from explorer import Violation

FRESH = ((EMPTY,), (EMPTY,))
# First and last frame of each record: the second one spans two frames, and two segments.
RECORDS = ((1, 1), (2, 3), (4, 4), (5, 5), (6, 6))
FOREIGN = 9  # stream of another shard, whose released segment is in the pool at the start


class State(NamedTuple):
    phase: str = "run"  # run, down, lost
    stream: int = 1  # this shard's; a new one after each recovery
    inodes: tuple = ()
    names: tuple = ()  # block
    ready: int = -1  # the last segment that may be written to
    preparing: int = -1  # the one whose name is not durable yet
    segment: int = -1
    offset: int = 2
    frames: int = 0
    places: tuple = ()  # segment of each frame
    flight: tuple = ()  # (frame, inode, offset, value), oldest first
    done: int = 0  # mask
    acked: int = 0  # frames: all up to here were acknowledged as durable
    contained: int = 0  # records: the manifest says so
    late: tuple = ()
    pool: tuple = ()  # names that may be reused
    rot: int = 0
    crashes: int = 0
    faults: int = 0


def prefix(mask):
    return ((mask + 1) & ~mask).bit_length() - 1


class SegmentModel:
    name = "segments"
    breaks = {
        "created-before-directory-synced": "a new segment is used before its name is durable",
        "recycled-before-directory-synced": "a recycled segment is used before its new name is "
                                            "durable",
        "recycled-from-killed-process": "a segment of another incarnation is recycled",
        "salt-without-stream": "the salt is the same for all streams",
        "front-without-number": "the front of the next segment is taken for the next frame, "
                                "whatever its number",
        "search-in-one-segment": "the search for a proof ends with the segment",
        "large-record-pins-its-last-segment": "a record over two segments holds only the last",
    }
    redundant = {
        "salt-without-segment": "a stale frame of the same stream has a number below all that is "
                                "looked for, and proves nothing",
    }

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.records = len(RECORDS) - 2 + size
        self.crashes = max(size, 1) + 1
        self.frames = RECORDS[self.records - 1][1]

    def initial(self):
        stale = tuple(((FOREIGN, 0, n, n - 1),) for n in (7, 8))
        name = (FOREIGN, 0, 0)
        for pool, inodes, names in (((), (), ()), ((name,), (stale,), (name,))):
            yield State(inodes=inodes, names=(names,), pool=pool, crashes=self.crashes, faults=1)

    def must_end(self, s):
        return s.phase == "down"

    def show(self, s):
        return (f"{s.phase} stream {s.stream} names={s.names} inodes={s.inodes} "
                f"flight={[f[0] for f in s.flight]} late={[(f[1], f[3]) for f in s.late]} "
                f"acked={s.acked} contained={s.contained} pool={s.pool}")

    def steps(self, s):
        if s.phase == "lost":
            return
        if s.phase == "run":
            yield from self.prepare(s)
            yield from self.append(s)
            yield from self.complete(s)
            yield from self.release(s)
        else:
            yield "recovery", self.recover(s)
        yield from self.harm(s)

    # The writer.

    def names_of(self, s, stream=None):
        return {segment: inode for owner, segment, inode in read(s.names)
                if owner == (stream or s.stream)}

    def prepare(self, s):
        if s.preparing >= 0:
            yield "directory synced", s._replace(names=(read(s.names),), ready=s.preparing,
                                                 preparing=-1)
        elif s.ready == s.segment and s.ready < 2:
            new = s.ready + 1
            if s.pool:
                old, names = s.pool[0], read(s.names)
                renamed = tuple(sorted((s.stream, new, old[2]) if n == old else n for n in names))
                yield f"recycle {old[:2]} as {s.stream, new}", self.use(
                    s._replace(names=write(s.names, renamed), pool=s.pool[1:]), new, "recycled")
            else:
                named = tuple(sorted(read(s.names) + ((s.stream, new, len(s.inodes)),)))
                yield f"create {s.stream, new}", self.use(
                    s._replace(names=write(s.names, named), inodes=s.inodes + (FRESH,)), new,
                    "created")

    def use(self, s, new, how):
        if f"{how}-before-directory-synced" in self.broken:
            return s._replace(ready=new)
        return s._replace(preparing=new)

    def append(self, s):
        if s.frames >= (self.frames if s.stream == 1 else 2) or len(s.flight) >= 2:
            return
        places = [(s.segment, s.offset)] if s.offset < 2 else []
        # The next segment: this one is full, or what is left is too short for the frame.
        if s.segment < s.ready and s.offset > 0:
            places.append((s.segment + 1, 0))
        for segment, offset in places:
            number, inode = s.frames + 1, self.names_of(s)[segment]
            value = (s.stream, segment, number, prefix(s.done))
            yield f"frame {number} to segment {segment}, block {offset}", s._replace(
                segment=segment, offset=offset + 1, frames=number, places=s.places + (segment,),
                flight=s.flight + ((number, inode, offset, value),))

    def land(self, s, entry, durable):
        _, inode, offset, value = entry
        if durable:
            block = (value,)
        else:
            block = write(s.inodes[inode][offset], value)
        return s._replace(inodes=replaced(
            s.inodes, inode, replaced(s.inodes[inode], offset, block)))

    def complete(self, s):
        for entry in s.flight:
            done = s.done | 1 << (entry[0] - 1)
            yield f"write of {entry[0]} completes", self.land(s, entry, True)._replace(
                flight=tuple(e for e in s.flight if e != entry), done=done, acked=prefix(done))

    def release(self, s):
        if s.contained < self.records and RECORDS[s.contained][1] <= s.acked:
            yield f"edit: contains record {s.contained + 1}", s._replace(contained=s.contained + 1)
        for segment, inode in self.names_of(s).items():
            name = (s.stream, segment, inode)
            if segment < s.segment and name not in s.pool and self.is_free(s, segment):
                yield f"release segment {segment}", s._replace(pool=s.pool + (name,))

    def first_needed(self, s):
        """The first frame that replay needs."""
        return RECORDS[s.contained][0] if s.contained < len(RECORDS) else s.frames + 1

    def is_free(self, s, segment):
        """Whether replay, from the first record that is not contained, does without it."""
        if "large-record-pins-its-last-segment" in self.broken:
            last = [n for n, (_, end) in enumerate(RECORDS) if end <= s.frames
                    and s.places[end - 1] <= segment]
            return not last or last[-1] < s.contained
        first = self.first_needed(s)
        return all(n < first for n, place in enumerate(s.places, 1) if place <= segment)

    # Recovery, at once: its steps have a model of their own.

    def is_good(self, s, value, segment):
        if value in (EMPTY, BAD):
            return False
        salt, expected = value[:2], (s.stream, segment)
        if "salt-without-stream" in self.broken:
            return True
        loose = "salt-without-segment" in self.broken
        return salt == expected or loose and salt[0] == expected[0]

    def recover(self, s):
        # What the manifest says: the segment that replay begins with, and its first frame.
        names = self.names_of(s)
        first = self.first_needed(s)
        if first <= s.frames:
            first = s.places.index(s.places[first - 1]) + 1
        places = [(segment, offset) for segment in sorted(names) for offset in range(2)
                  if first <= s.frames and segment >= s.places[first - 1]]
        number, at = first, 0
        while at < len(places):
            if self.matches(s, names, places[at], number):
                number, at = number + 1, at + 1
                continue
            front = next((i for i in range(at + 1, len(places)) if places[i][1] == 0), None)
            loose = "front-without-number" in self.broken
            if front is not None and places[front][0] == places[at][0] + 1 and self.matches(
                    s, names, places[front], None if loose else number):
                number, at = self.value_at(s, names, places[front])[2] + 1, front + 1
                continue
            break
        search = places[at:]
        if "search-in-one-segment" in self.broken and search:
            search = [place for place in search if place[0] == search[0][0]]
        for place in search:
            value = self.value_at(s, names, place)
            if self.is_good(s, value, place[0]) and value[3] >= number:
                if not s.rot:
                    return Violation("DataLoss is reported, and nothing was damaged")
                return s._replace(phase="lost")
        return self.check(s, first, number - 1, names, places)

    def value_at(self, s, names, place):
        return read(s.inodes[names[place[0]]][place[1]])

    def matches(self, s, names, place, number):
        value = self.value_at(s, names, place)
        return self.is_good(s, value, place[0]) and number in (None, value[2])

    def check(self, s, first, last, names, places):
        for number in range(first, last + 1):
            if not any(self.value_at(s, names, place) not in (EMPTY, BAD)
                       and self.value_at(s, names, place)[2] == number for place in places):
                return Violation(f"frame {number} is missing below {last}")
        lost = [n for n, (_, end) in enumerate(RECORDS, 1)
                if s.contained < n and last < end <= s.acked]
        if lost and s.rot:
            return Violation(f"rot in {s.rot} was silently truncated")
        if lost:
            return Violation(f"record {lost[0]} was acknowledged, recovery ends at frame {last}")
        # What was found goes to a table, and the old files go: late writes to them meet nobody.
        after = State(stream=s.stream + 1, names=((),), crashes=s.crashes)
        if "recycled-from-killed-process" not in self.broken:
            return after
        pool = tuple(n for n in read(s.names) if n[0] == s.stream)
        return after._replace(inodes=s.inodes, names=(pool,), pool=pool, late=s.late)

    # What is done to it.

    def harm(self, s):
        for entry in s.late:
            yield f"!late write of {entry[3]} lands", self.land(s, entry, False)._replace(
                late=tuple(e for e in s.late if e != entry))
        if s.crashes:
            down = s._replace(phase="down", preparing=-1, flight=(), crashes=s.crashes - 1)
            yield "!kill -9", down._replace(late=s.late + s.flight)
            yield from self.cut(s, down._replace(late=()))
        if s.faults and s.phase == "run" and s.stream == 1:
            yield from self.damage(s)

    def cut(self, s, down):
        for entry in s.flight + s.late:
            down = self.land(down, entry, False)
        states = [down._replace(names=(names,)) for names in s.names]
        for inode in range(len(s.inodes)):
            states = [each._replace(inodes=replaced(each.inodes, inode, blocks))
                      for each in states for blocks in cuts(each.inodes[inode])]
        for state in states:
            yield "!power cut", state

    def damage(self, s):
        """Of a frame that a later durable one proves to have been durable."""
        first = self.first_needed(s)
        durable = {block[0][2]: block[0][3] for inode in s.inodes for block in inode
                   if len(block) == 1 and block[0] not in (EMPTY, BAD) and block[0][0] == s.stream}
        for segment, inode in self.names_of(s).items():
            for offset, block in enumerate(s.inodes[inode]):
                value = read(block)
                if value in (EMPTY, BAD) or value[0] != s.stream or value[2] < first:
                    continue
                if any(proof >= value[2] for proof in durable.values()):
                    yield f"!rot in {value[2]}", s._replace(
                        inodes=replaced(s.inodes, inode, replaced(
                            s.inodes[inode], offset, (BAD,))), rot=value[2], faults=0)
