"""Flush, release and replay: which records tables contain, and which the log is still needed for.

The log itself is taken as its model shows it to be: of each stream a prefix is written, a prefix of
that is durable, and a crash leaves a prefix between. A script says what is written; records are
numbered in the order of their versions, and sets of them are masks.
"""

from typing import NamedTuple

from explorer import Violation


class Record(NamedTuple):
    stream: int
    tablet: int
    key: str
    kind: str  # put or del
    level: str  # m, w, d; b: part of a batch that another shard logged: applied when durable
    after: int = 0  # mask of records that are applied before this one is appended
    restart: bool = False  # of a stream that begins after the first recovery


OTHER, OWN, NEXT = range(3)  # streams: of another shard; this shard's; this shard's after recovery

SCRIPTS = {
    # Batches of one stream, applied in any order, and a delete after the second one.
    "batches": (Record(OTHER, 0, "c", "put", "b"), Record(OTHER, 0, "b", "put", "b"),
                Record(OWN, 0, "b", "del", "d", after=0b010)),
    # A key that is put, deleted, put again.
    "one key": (Record(OWN, 0, "a", "put", "d"), Record(OWN, 0, "a", "del", "d"),
                Record(OWN, 0, "a", "put", "w")),
    # Two tablets in one stream, levels mixed.
    "two tablets": (Record(OWN, 0, "a", "put", "w"), Record(OWN, 1, "b", "put", "d"),
                    Record(OWN, 0, "a", "del", "m")),
    "levels": (Record(OWN, 0, "a", "put", "d"), Record(OWN, 0, "b", "put", "m"),
               Record(OWN, 0, "a", "put", "w")),
    # Batches that an own write overtakes, in the next incarnation too.
    "batches, then restart": (
        Record(OTHER, 0, "b", "put", "b"), Record(OTHER, 1, "c", "put", "b"),
        Record(OWN, 0, "b", "del", "d", after=0b001), Record(OWN, 1, "c", "put", "m", after=0b010),
        Record(NEXT, 0, "b", "put", "d", restart=True),
        Record(NEXT, 0, "b", "del", "d", restart=True)),
    # An old record, recovered, and a delete of it in the next incarnation.
    "recovered": (Record(OWN, 0, "a", "put", "d"), Record(NEXT, 0, "a", "del", "d", restart=True),
                  Record(NEXT, 0, "b", "put", "m", restart=True)),
}


class State(NamedTuple):
    script: str
    phase: str = "run"  # run, sync, replay
    restarted: bool = False
    appended: tuple = (0, 0, 0)  # records of each stream
    written: tuple = (0, 0, 0)
    durable: tuple = (0, 0, 0)
    poisoned: bool = False
    visible: int = 0
    kill_keeps: int = 0  # what must survive kill -9
    cut_keeps: int = 0
    memtables: tuple = (0, 0)  # of each tablet
    frozen: tuple = (0, 0)  # memtables that are being flushed
    flushed: tuple = (0, 0)  # what a durable table has of them whose edit is not durable
    tables: tuple = ((), ())  # newest first; durable with the manifest
    contained: int = 0  # what the manifest says of the log: never to be applied again
    released: tuple = (0, 0, 0)
    queue: tuple = ()  # replay: (tablet, records) that are not flushed yet
    crashes: int = 0
    faults: int = 1


def bits(mask):
    return [n for n in range(mask.bit_length()) if mask >> n & 1]


def put(items, index, value):
    return items[:index] + (value,) + items[index + 1:]


class FlushModel:
    name = "flush"
    breaks = {
        "release-before-edit": "segments are released when the table is durable, its edit is not",
        "release-by-one-tablet": "segments are released although another tablet's edit is missing",
        "largest-position": "the edit says that all up to the memtable's last record is contained",
        "careful-position": "the edit says: all below the first record that is not applied",
        "replay-by-windows": "recovery flushes what it replays window by window",
        "replay-not-recorded": "recovery's edit does not say what of the old streams it contains",
        "poisoned-flush": "a poisoned shard flushes what was never acknowledged",
        "flush-ahead-of-log": "a table becomes durable before the log is, up to its records",
        "visible-before-level": "a record is visible before it reached its own level",
    }
    redundant = {}

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.crashes = size + 1
        # The records of each stream, in its order.
        self.streams = {name: [[n for n, r in enumerate(script) if r.stream == stream]
                               for stream in range(3)] for name, script in SCRIPTS.items()}

    def initial(self):
        return [State(name, crashes=self.crashes) for name in SCRIPTS]

    def must_end(self, s):
        return s.phase != "run"

    def show(self, s):
        return (f"{s.phase} '{s.script}' log appended={s.appended} written={s.written} "
                f"durable={s.durable} released={s.released} visible={bits(s.visible)} "
                f"memtables={[bits(m) for m in s.memtables]} frozen={[bits(m) for m in s.frozen]} "
                f"tables={[[bits(t) for t in run] for run in s.tables]} "
                f"contained={bits(s.contained)}{' poisoned' if s.poisoned else ''}")

    def of_stream(self, s, stream, first, last):
        """Mask of the records number `first` (from 0) up to before `last` of a stream."""
        return sum(1 << n for n in self.streams[s.script][stream][first:last])

    def up_to(self, s, ends):
        return sum(self.of_stream(s, stream, 0, end) for stream, end in enumerate(ends))

    def steps(self, s):
        if s.phase == "run":
            wrong = self.check_reads(s)
            if wrong:
                yield "read", wrong
                return
            yield from self.write(s)
            yield from self.flush(s)
            yield from self.release(s)
        elif s.phase == "sync":
            yield from self.begin_replay(s)
        else:
            yield from self.replay(s)
        yield from self.crash(s)

    # Writes.

    def write(self, s):
        script = SCRIPTS[s.script]
        for stream, records in enumerate(self.streams[s.script]):
            count = s.appended[stream]
            if not s.poisoned and count < len(records):
                number = records[count]
                record = script[number]
                if record.restart == s.restarted and not record.after & ~s.visible:
                    yield f"append {number} ({record.kind} {record.key}, {record.level})", \
                        self.append(s, stream, number)
            if not s.poisoned and s.written[stream] < count:
                yield f"log {stream}: {count} written", self.show_reached(
                    s._replace(written=put(s.written, stream, count)))
            if not s.poisoned and s.durable[stream] < s.written[stream]:
                yield f"log {stream}: {s.written[stream]} durable", self.show_reached(
                    s._replace(durable=put(s.durable, stream, s.written[stream])))
            if not s.poisoned and s.faults and s.durable[stream] < count:
                yield "!the log's write fails", s._replace(poisoned=True, faults=0)
        for number, record in enumerate(script):
            logged = number in self.streams[s.script][OTHER][:s.appended[OTHER]]
            if logged and not (s.visible | s.contained) >> number & 1:
                yield f"apply {number} ({record.kind} {record.key})", s._replace(
                    memtables=put(s.memtables, record.tablet,
                                  s.memtables[record.tablet] | 1 << number),
                    visible=s.visible | 1 << number, kill_keeps=s.kill_keeps | 1 << number,
                    cut_keeps=s.cut_keeps | 1 << number)

    def append(self, s, stream, number):
        record = SCRIPTS[s.script][number]
        s = s._replace(appended=put(s.appended, stream, s.appended[stream] + 1))
        if record.level == "b":  # its coordinator lets it be applied only when it is durable
            return s._replace(written=put(s.written, stream, s.appended[stream]),
                              durable=put(s.durable, stream, s.appended[stream]))
        return self.show_reached(s._replace(memtables=put(
            s.memtables, record.tablet, s.memtables[record.tablet] | 1 << number)))

    def show_reached(self, s):
        """Makes visible, and acknowledges, what reached its level."""
        visible, kill, cut = s.visible, s.kill_keeps, s.cut_keeps
        for number, record in enumerate(SCRIPTS[s.script]):
            mask = 1 << number
            if record.level == "b" or not self.up_to(s, s.appended) & mask:
                continue
            is_written = self.up_to(s, s.written) & mask
            is_durable = self.up_to(s, s.durable) & mask
            if record.level == "m" or is_durable or record.level == "w" and is_written or (
                    "visible-before-level" in self.broken):
                visible |= mask
                if record.level == "d" or record.level == "w":
                    kill |= mask
                if record.level == "d":
                    cut |= mask
        return s._replace(visible=visible, kill_keeps=kill, cut_keeps=cut)

    # Reads.

    def look_up(self, s, tablet, key):
        """The newest record of the first place that has the key, as the engine looks."""
        script = SCRIPTS[s.script]
        places = (s.memtables[tablet] & s.visible, s.frozen[tablet] & s.visible) + s.tables[tablet]
        for place in places:
            found = [n for n in bits(place) if script[n].key == key]
            if found:
                return found[-1]
        return None

    def check_reads(self, s, there=None):
        there = s.visible if there is None else there
        script = SCRIPTS[s.script]
        for key, tablet in sorted({(r.key, r.tablet) for r in script}):
            newest = max((n for n in bits(there) if script[n].key == key), default=None)
            found = self.look_up(s, tablet, key)
            gone = newest is None or script[newest].kind == "del"
            if found != newest and not (gone and (found is None or script[found].kind == "del")):
                return Violation(f"a read of {key} gives record {found} instead of {newest}")
        return None

    # Flush, compaction, release.

    def flush(self, s):
        for tablet in range(2):
            if s.memtables[tablet] and not s.frozen[tablet]:
                yield f"switch memtable {tablet}", s._replace(
                    memtables=put(s.memtables, tablet, 0),
                    frozen=put(s.frozen, tablet, s.memtables[tablet]))
            content = self.to_flush(s, tablet)
            if content and not s.flushed[tablet]:
                yield f"table of {tablet} durable", s._replace(
                    flushed=put(s.flushed, tablet, content))
            if s.flushed[tablet]:
                # A memtable of which something was left out goes on being read, below nothing.
                content = s.flushed[tablet]
                rest = s.frozen[tablet] if s.frozen[tablet] != content else 0
                yield f"edit of {tablet} durable", s._replace(
                    tables=put(s.tables, tablet, (content,) + s.tables[tablet]),
                    contained=s.contained | self.said_contained(s, content),
                    frozen=put(s.frozen, tablet, rest), flushed=put(s.flushed, tablet, 0))
            if s.tables[tablet] and (len(s.tables[tablet]) > 1 or self.has_deletes(s, tablet)):
                yield f"compact {tablet}", s._replace(
                    tables=put(s.tables, tablet, self.compacted(s, tablet)))

    def to_flush(self, s, tablet):
        """A flush waits until the log is durable up to what it writes. In a poisoned shard it never
        will be: then what is durable goes, and the memtable stays."""
        content, durable = s.frozen[tablet], self.up_to(s, s.durable)
        if "flush-ahead-of-log" in self.broken:
            return content & s.visible & ~s.contained
        if s.poisoned:
            wanted = content if "poisoned-flush" in self.broken else content & durable
            return wanted & ~s.contained
        return content if not content & ~durable else 0

    def said_contained(self, s, content):
        said = content
        for records in self.streams[s.script]:
            inside = [n for n in records if content >> n & 1]
            if inside and "largest-position" in self.broken:
                said |= sum(1 << n for n in records if n <= inside[-1])
            if "careful-position" in self.broken:
                applied = s.visible | content | s.contained
                first = next((n for n in records if not applied >> n & 1), len(SCRIPTS[s.script]))
                said &= ~sum(1 << n for n in records if n >= first)
        return said

    def has_deletes(self, s, tablet):
        script = SCRIPTS[s.script]
        return any(script[n].kind == "del" for run in s.tables[tablet] for n in bits(run))

    def compacted(self, s, tablet):
        """One table at the bottom, without deletes."""
        script, kept, seen = SCRIPTS[s.script], 0, set()
        for table in s.tables[tablet]:
            for number in reversed(bits(table)):
                if script[number].key not in seen:
                    seen.add(script[number].key)
                    kept |= 1 << number if script[number].kind == "put" else 0
        return (kept,) if kept else ()

    def release(self, s):
        settled = s.contained
        for tablet in range(2):
            if s.flushed[tablet] and "release-before-edit" in self.broken:
                settled |= s.flushed[tablet]
        if "release-by-one-tablet" in self.broken:
            settled |= sum(1 << n for n, r in enumerate(SCRIPTS[s.script]) if r.tablet == 1)
        for stream in range(3):
            end = s.released[stream]
            if end < s.durable[stream] and not self.of_stream(s, stream, end, end + 1) & ~settled:
                yield f"release {end + 1} of log {stream}", s._replace(
                    released=put(s.released, stream, end + 1))

    # Crashes and recovery.

    def crash(self, s):
        if not s.crashes:
            return
        down = s._replace(phase="sync", poisoned=False, memtables=(0, 0), frozen=(0, 0),
                          flushed=(0, 0), queue=(), crashes=s.crashes - 1)
        for what, ends, keeps in (("kill -9", s.written, s.kill_keeps),
                                  ("power cut", s.durable, s.cut_keeps)):
            for stream in range(3):
                for end in range(ends[stream], s.appended[stream] + 1):
                    lasts = tuple(end if i == stream else ends[i] for i in range(3))
                    yield f"!{what} leaves log {lasts}", down._replace(
                        appended=lasts, written=lasts,
                        durable=lasts if what == "power cut" else s.durable,
                        kill_keeps=keeps, cut_keeps=s.cut_keeps)

    def begin_replay(self, s):
        """Rule 6, then what is to be replayed: of each tablet one sorted group."""
        found = self.up_to(s, s.appended)
        released = self.up_to(s, s.released)
        again = found & ~released & ~s.contained
        queue = []
        if "replay-by-windows" in self.broken:
            order = [n for stream in (OWN, NEXT, OTHER) for n in self.streams[s.script][stream]]
            queue = [(SCRIPTS[s.script][n].tablet, 1 << n) for n in order if again >> n & 1]
        else:
            for tablet in range(2):
                group = sum(1 << n for n in bits(again) if SCRIPTS[s.script][n].tablet == tablet)
                if group:
                    queue.append((tablet, group))
        yield "recovery: log read and synced", s._replace(
            phase="replay", durable=s.appended, queue=tuple(queue))

    def replay(self, s):
        if s.queue:
            tablet, group = s.queue[0]
            said = 0 if "replay-not-recorded" in self.broken else group
            yield f"recovery: group of {tablet} durable", s._replace(
                tables=put(s.tables, tablet, (group,) + s.tables[tablet]),
                contained=s.contained | said, queue=s.queue[1:])
            return
        yield "recovery: opens", self.open(s)

    def open(self, s):
        found = self.up_to(s, s.appended)
        there = found | s.contained
        if s.kill_keeps & ~there:
            return Violation(f"acknowledged, and lost: {bits(s.kill_keeps & ~there)}")
        for records in self.streams[s.script]:
            missing = [n for n in records if not there >> n & 1]
            if missing and any(there >> n & 1 for n in records if n > missing[0]):
                return Violation(f"record {missing[0]} is lost, and one behind it in its stream is "
                                 "not")
        wrong = self.check_reads(s, there)
        if wrong:
            return wrong
        return s._replace(phase="run", restarted=True, visible=there, kill_keeps=there,
                          cut_keeps=there)
