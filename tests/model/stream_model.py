"""The streams that ROOT names: each opening seals the old ones and begins one of its own.

A frame holds one record, and counts when it is durable; levels and crashes within a stream have
their own model. Record r belongs to tablet r mod 2, whose manifest says which records its tables contain.
ROOT holds the incarnation and the streams: (number, seal), seal -1 while it is being written.
"""

from typing import NamedTuple

from device import replaced
from explorer import Violation


class State(NamedTuple):
    phase: str = "read"  # read, root, start: opening; run
    incarnation: int = 0  # in ROOT
    streams: tuple = ()  # in ROOT
    files: tuple = ((), (), (), (), ())  # frames of stream 1, 2, ...
    current: int = 0  # stream that is written to
    place: int = 0  # its next frame
    flight: tuple | None = None  # (stream, frame, record)
    late: tuple = ()
    found: tuple = ()  # where the streams end: what the next ROOT will say
    contained: tuple = (0, 0)  # masks, as the manifest of each tablet says
    there: int = 0  # records that reads show
    records: int = 0
    acked: int = 0
    dropped: int = 0  # that an opening did not find
    left: int = 0
    crashes: int = 0


def of_tablet(mask, tablet):
    return mask & (0x5555 << tablet)


class StreamModel:
    name = "streams"
    breaks = {
        "stream-before-root": "a stream is written to before ROOT names it",
        "stream-continued": "a new process goes on with the old stream",
        "old-streams-forgotten": "the new ROOT names only the new stream",
        "seal-renewed": "each opening seals all streams anew, where they end now",
        "stream-dropped-after-one-manifest": "an old stream goes when one manifest of several "
                                             "contains its records",
        "stream-deleted-before-root": "an old stream is deleted before ROOT leaves it out",
    }
    redundant = {}

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.records = size + 2
        self.crashes = min(size, 1) + 2

    def initial(self):
        return [State(left=self.records, crashes=self.crashes)]

    def must_end(self, s):
        return s.phase != "run"

    def show(self, s):
        return (f"{s.phase} ROOT={s.incarnation, s.streams} files={s.files} late={s.late} "
                f"contained={[f'{m:b}' for m in s.contained]} acked={s.acked:b} there={s.there:b} "
                f"dropped={s.dropped:b}")

    def steps(self, s):
        if s.phase == "read":
            yield "open: streams read", self.read_streams(s)
        elif s.phase == "root":
            yield "open: ROOT durable", self.commit(s)
        elif s.phase == "start":
            yield "open: stream begun", s._replace(phase="run")
        early = s.phase == "root" and "stream-before-root" in self.broken
        if s.phase == "run" or early:
            yield from self.write(s)
        if s.phase == "run":
            yield from self.flush(s)
        yield from self.harm(s)

    # Opening.

    def read_streams(self, s):
        there, found = s.contained[0] | s.contained[1], ()
        for stream, seal in s.streams:
            frames = s.files[stream - 1]
            if "seal-renewed" in self.broken:
                seal = -1
            if seal > len(frames):
                return Violation(f"stream {stream} has {len(frames)} frames, its seal says {seal}")
            end = len(frames) if seal < 0 else seal
            for record in frames[:end]:
                there |= 1 << record
            found += ((stream, end),)
        if s.acked & ~there:
            return Violation(f"records {s.acked & ~there:b} were acknowledged, and are lost")
        if s.dropped & there:
            return Violation(f"records {s.dropped & there:b} were not found before, and are back")
        new = s.incarnation + 1
        return s._replace(phase="root", found=found, there=there, current=new, place=0)

    def commit(self, s):
        new = s.incarnation + 1
        streams = s.found + ((new, -1),)
        if "old-streams-forgotten" in self.broken:
            streams = ((new, -1),)
        if "stream-continued" in self.broken and s.found:
            last, end = s.found[-1]
            streams = s.found[:-1] + ((last, -1),)
            s = s._replace(current=last, place=end)
        # It is served from here on.
        issued = (1 << s.records) - 1
        return s._replace(phase="start", incarnation=new, streams=streams, found=(), acked=s.there,
                          dropped=issued & ~s.there)

    # The process.

    def write(self, s):
        if s.flight is None and s.left:
            yield f"append {s.records}", s._replace(
                flight=(s.current, s.place, s.records), place=s.place + 1, records=s.records + 1,
                left=s.left - 1)
        if s.flight is not None:
            mask = 1 << s.flight[2]
            yield f"{s.flight[2]} durable", self.land(s, s.flight)._replace(
                flight=None, acked=s.acked | mask, there=s.there | mask)

    def land(self, s, entry):
        stream, place, record = entry
        frames = s.files[stream - 1]
        if place > len(frames):
            return s  # nothing leads to it
        # What stood behind an overwritten frame does not follow from the new one.
        return s._replace(files=replaced(s.files, stream - 1, frames[:place] + (record,)))

    def flush(self, s):
        for tablet in range(2):
            new = s.contained[tablet] | of_tablet(s.there, tablet)
            if new != s.contained[tablet]:
                yield f"edit of tablet {tablet} durable", s._replace(
                    contained=replaced(s.contained, tablet, new))
        for entry in s.streams:
            stream, seal = entry
            if seal < 0:
                continue
            needed = sum(1 << r for r in s.files[stream - 1][:seal])
            if "stream-dropped-after-one-manifest" in self.broken:
                needed = of_tablet(needed, 0)
            if needed & ~(s.contained[0] | s.contained[1]):
                continue
            deleted = s._replace(files=replaced(s.files, stream - 1, ()))
            if "stream-deleted-before-root" in self.broken and seal and s.files[stream - 1]:
                yield f"stream {stream} deleted", deleted
            else:
                yield f"ROOT leaves out stream {stream}", deleted._replace(
                    streams=tuple(e for e in s.streams if e != entry))

    # What is done to it. The power cut is a kill whose late writes land at once or never.

    def harm(self, s):
        for entry in s.late:
            yield f"!late write of {entry[2]} lands", self.land(s, entry)._replace(
                late=tuple(e for e in s.late if e != entry))
        if s.crashes:
            late = s.late + ((s.flight,) if s.flight else ())
            yield "!crash", s._replace(phase="read", flight=None, late=late, found=(), there=0,
                                       crashes=s.crashes - 1)
