"""Manifests, tables, orphans: what ROOT refers to is there, and nothing that was dropped is back.

ROOT itself changes at once, as its own model shows. A table holds facts, a mask; a flush adds a
table with a new fact, a compaction makes one table of all. The file names are a block of device.py,
and so are a table's data, a manifest's snapshot, and each of its frames: the edits, each followed
by an empty frame, which proves the one before it.
"""

from typing import NamedTuple

from device import BAD, EMPTY, after_cut, cuts, read, replaced, synced, write
from explorer import Violation

COVER = "cover"  # the empty frame


class State(NamedTuple):
    phase: str = "run"  # run, read, snapshot, rename, root, orphans; lost
    root: int = 0  # the manifest in force
    manifests: tuple = ()  # of each: (snapshot block, frame blocks)
    tables: tuple = ()  # of each: its data, a block
    names: tuple = ()  # block: those of all files
    files: tuple = ()  # tables of the version, as the process knows it
    manifest: int = 0  # that it writes to
    job: tuple | None = None  # (step, table, tables that it replaces)
    roll: int = 0  # step of a change of manifests
    writing: tuple | None = None  # (manifest, frame, value)
    late: tuple = ()
    facts: int = 0  # facts that were made up
    promised: int = 0  # that must be there
    dropped: int = 0  # that an opening did not find: they must not be there
    rot: bool = False
    poisoned: bool = False
    faults: int = 1
    flushes: int = 0  # still to come
    compactions: int = 0
    rolls: int = 0
    crashes: int = 0


def name_of(kind, number):
    return f"{kind}{number}"


def facts_of(tables):
    facts = 0
    for _, of_table in tables:
        facts |= of_table
    return facts


class ManifestModel:
    name = "manifest"
    breaks = {
        "table-not-synced": "the edit is written before the table's data are durable",
        "table-name-not-synced": "the edit is written before the table's name is durable",
        "installed-before-edit": "the inputs are retired before the edit is durable",
        "no-empty-frame": "no empty frame follows an edit",
        "snapshot-not-synced": "ROOT names a manifest whose snapshot is not durable",
        "manifest-name-not-synced": "ROOT names a manifest whose name is not durable",
        "old-manifest-deleted-first": "the old manifest is deleted before ROOT names the new one",
        "edits-during-roll": "edits go on to the old manifest while a snapshot is written",
        "orphans-before-root": "recovery deletes orphans before its new ROOT is durable",
        "old-manifest-continued": "recovery goes on with the manifest of the killed process",
        "failed-edit-undone": "the table of an edit whose write failed is deleted",
    }
    redundant = {
        "ids-reused": "a table gets an id that was used before: no old edit is read any more, once "
                      "recovery has begun a manifest of its own",
        "manifest-served-from-cache": "recovery's own snapshot and ROOT are durable before it "
                                      "serves",
    }

    def __init__(self, breaks=frozenset(), size=1):
        self.broken = breaks
        self.size = size

    def initial(self):
        yield State(manifests=((((),), ()),), names=(("M0",),), flushes=max(self.size, 1) + 1,
                    compactions=1, rolls=1, crashes=self.size + 1)

    def must_end(self, s):
        return s.phase not in ("run", "lost")

    def show(self, s):
        return (f"{s.phase} ROOT->M{s.root} manifests={s.manifests} tables={s.tables} "
                f"names={s.names} files={s.files} job={s.job} late={s.late} "
                f"promised={s.promised:b} dropped={s.dropped:b}")

    def steps(self, s):
        if s.phase == "lost":
            return
        if s.phase == "run" and not s.poisoned:
            yield from self.begin(s)
            yield from self.work(s)
            yield from self.change_manifest(s)
        elif s.phase != "run":
            yield from self.recover(s)
        yield from self.harm(s)

    # Flush and compaction: data, name, edit, empty frame, and only then the inputs go.

    def begin(self, s):
        if s.job is not None or (s.roll and "edits-during-roll" not in self.broken):
            return
        if s.flushes:
            new = (self.new_id(s), 1 << s.facts)
            yield "flush: table written", self.create(s, new, ())._replace(
                facts=s.facts + 1, flushes=s.flushes - 1)
        if s.compactions and len(s.files) > 1:
            new = (self.new_id(s), facts_of(s.files))
            yield "compaction: table written", self.create(s, new, s.files)._replace(
                compactions=s.compactions - 1)

    def new_id(self, s):
        return len(s.files) if "ids-reused" in self.broken else len(s.tables)

    def create(self, s, table, inputs):
        number, facts = table
        tables = s.tables + ((EMPTY,),) if number == len(s.tables) else s.tables
        names = tuple(sorted(set(read(s.names)) | {name_of("T", number)}))
        return s._replace(tables=replaced(tables, number, write(tables[number], facts)),
                          names=write(s.names, names), job=("data", table, inputs))

    def work(self, s):
        if s.job is None:
            return
        step, table, inputs = s.job
        if step == "data":
            if "table-not-synced" not in self.broken:
                data = synced(s.tables[table[0]])
                s = s._replace(tables=replaced(s.tables, table[0], data))
            yield "table synced", s._replace(job=("name", table, inputs))
        elif step == "name":
            if "table-name-not-synced" not in self.broken:
                s = s._replace(names=synced(s.names))
            value = (table, inputs)
            s = self.issue(s._replace(job=("edit", table, inputs)), value)
            if "installed-before-edit" in self.broken:
                s = self.install(s)
            yield "directory synced, edit under way", s
        elif step == "edit":
            if s.faults:
                yield from self.fail_edit(s, table)
            s = self.finish_write(s)
            after = self.install(s)._replace(job=None)
            if "no-empty-frame" not in self.broken:
                after = self.issue(after._replace(job=("cover", table, inputs)), COVER)
            yield "edit durable, inputs retired", after
        else:
            yield "empty frame durable", self.finish_write(s)._replace(job=None)

    def fail_edit(self, s, table):
        """Nobody knows whether it was written: nothing goes on until the next opening."""
        failed = s._replace(writing=None, job=None, poisoned=True, faults=0)
        if "failed-edit-undone" in self.broken:
            gone = name_of("T", table[0])
            failed = failed._replace(names=write(s.names, tuple(
                n for n in read(s.names) if n != gone)))
        yield "!edit fails, not written", failed
        yield "!edit fails, written", self.land(failed, s.writing, False)

    def issue(self, s, value):
        snapshot, frames = s.manifests[s.manifest]
        # Behind what it knows of: an old manifest that is continued may hold more.
        return s._replace(writing=(s.manifest, len(frames), value), manifests=replaced(
            s.manifests, s.manifest, (snapshot, frames + ((EMPTY,),))))

    def land(self, s, entry, durable):
        manifest, frame, value = entry
        snapshot, frames = s.manifests[manifest]
        block = (value,) if durable else write(frames[frame], value)
        return s._replace(manifests=replaced(
            s.manifests, manifest, (snapshot, replaced(frames, frame, block))))

    def finish_write(self, s):
        return self.land(s, s.writing, True)._replace(writing=None)

    def install(self, s):
        _, table, inputs = s.job
        gone = {name_of("T", number) for number, _ in inputs}
        names = tuple(n for n in read(s.names) if n not in gone)
        files = tuple(f for f in s.files if f not in inputs and f != table) + (table,)
        return s._replace(files=files, names=write(s.names, names), promised=s.promised | table[1])

    # A new manifest: snapshot, its name, ROOT, and then the old one goes. Edits pause.

    def change_manifest(self, s):
        if not s.roll:
            may = s.job is None or "edits-during-roll" in self.broken
            if s.rolls and may:
                yield "roll: snapshot written", self.write_snapshot(s)._replace(
                    roll=1, rolls=s.rolls - 1)
            return
        new = len(s.manifests) - 1
        if s.roll == 1:
            yield "roll: snapshot synced", self.sync_snapshot(s)._replace(roll=2)
        elif s.roll == 2:
            yield "roll: directory synced", self.sync_name(s)._replace(roll=3)
        elif s.roll == 3 and (s.job is None or s.writing is None):
            yield "roll: ROOT durable", s._replace(root=new, manifest=new, roll=4)
        elif s.roll == 4:
            yield "roll: old manifest deleted", self.delete_others(s, True)._replace(roll=0)

    def write_snapshot(self, s):
        name = name_of("M", len(s.manifests))
        names = tuple(sorted(set(read(s.names)) | {name}))
        s = s._replace(manifests=s.manifests + (((EMPTY, s.files), ()),),
                       names=write(s.names, names))
        if "old-manifest-deleted-first" in self.broken:
            old = name_of("M", s.root)
            s = s._replace(names=write(s.names, tuple(n for n in names if n != old)))
        return s

    def sync_snapshot(self, s):
        if "snapshot-not-synced" in self.broken:
            return s
        new = len(s.manifests) - 1
        snapshot, frames = s.manifests[new]
        return s._replace(manifests=replaced(s.manifests, new, (synced(snapshot), frames)))

    def sync_name(self, s):
        if "manifest-name-not-synced" in self.broken:
            return s
        return s._replace(names=synced(s.names))

    def delete_others(self, s, keep_tables):
        keep = {name_of("M", s.root)} | {name_of("T", number) for number, _ in s.files}
        names = tuple(n for n in read(s.names) if n in keep or keep_tables and n[0] == "T")
        return s._replace(names=write(s.names, names))

    # Recovery.

    def recover(self, s):
        if s.phase == "read":
            yield "recovery: manifest read", self.read_manifest(s)
        elif s.phase == "snapshot":
            if "old-manifest-continued" in self.broken:
                yield "recovery: goes on with it", self.open(s)
                return
            if "orphans-before-root" in self.broken:
                s = self.delete_others(s, keep_tables=False)
            yield "recovery: snapshot durable", self.sync_snapshot(self.write_snapshot(s))._replace(
                phase="rename")
        elif s.phase == "rename":
            yield "recovery: directory synced", self.sync_name(s)._replace(phase="root")
        elif s.phase == "root":
            new = len(s.manifests) - 1
            yield "recovery: ROOT durable", s._replace(root=new, manifest=new, phase="orphans")
        else:
            yield "recovery: orphans deleted", self.open(self.delete_others(s, keep_tables=False))

    def read_manifest(self, s):
        names, (snapshot, frames) = read(s.names), s.manifests[s.root]
        files = read(snapshot)
        if name_of("M", s.root) not in names or files in (EMPTY, BAD):
            return self.lose(s, "the manifest that ROOT names is not there")
        end = next((i for i, b in enumerate(frames) if read(b) in (EMPTY, BAD)), len(frames))
        if any(read(b) not in (EMPTY, BAD) for b in frames[end:]):
            return self.lose(s, "DataLoss is reported, and nothing was damaged")
        for block in frames[:end]:
            if read(block) == COVER:
                continue
            table, inputs = read(block)
            files = tuple(f for f in files if f not in inputs and f != table) + (table,)
        for number, facts in files:
            if name_of("T", number) not in names:
                return self.lose(s, f"table {number} is not there")
            if read(s.tables[number]) != facts:
                return self.lose(s, f"table {number} holds something else")
        there = facts_of(files)
        if s.promised & ~there:
            return Violation(f"facts {s.promised & ~there:b} were promised, and are lost")
        if s.dropped & there:
            return Violation(f"facts {s.dropped & there:b} were not found before, and are back")
        if "manifest-served-from-cache" not in self.broken:
            kept = (synced(snapshot), tuple(map(synced, frames)))
            s = s._replace(manifests=replaced(s.manifests, s.root, kept), names=synced(s.names))
        return s._replace(phase="snapshot", files=files, manifest=s.root)

    def lose(self, s, what):
        return s._replace(phase="lost") if s.rot else Violation(what)

    def open(self, s):
        there = facts_of(s.files)
        manifests = s.manifests
        if "old-manifest-continued" in self.broken:  # at its first frame that is not good
            snapshot, frames = manifests[s.root]
            frames = tuple(b for b in frames if read(b) not in (EMPTY, BAD))
            manifests = replaced(manifests, s.root, (snapshot, frames))
        return s._replace(phase="run", manifests=manifests, promised=there,
                          dropped=((1 << s.facts) - 1) & ~there)

    # What is done to it.

    def harm(self, s):
        for entry in s.late:
            manifest, frame, _ = entry
            rest = s._replace(late=tuple(e for e in s.late if e != entry))
            if frame < len(s.manifests[manifest][1]):
                yield f"!late write to M{manifest} lands", self.land(rest, entry, False)
            elif frame == len(s.manifests[manifest][1]):
                snapshot, frames = s.manifests[manifest]
                yield f"!late write to M{manifest} lands", self.land(rest._replace(
                    manifests=replaced(s.manifests, manifest, (snapshot, frames + ((EMPTY,),)))),
                    entry, False)
        if s.crashes:
            late = s.late + ((s.writing,) if s.writing else ())
            down = s._replace(phase="read", job=None, roll=0, writing=None, files=(),
                              poisoned=False, crashes=s.crashes - 1)
            yield "!kill -9", down._replace(late=tuple(dict.fromkeys(late)))
            yield from self.cut(s, down._replace(late=()), late)
        if not s.rot and s.phase == "run" and s.job is None and not s.roll:
            snapshot, frames = s.manifests[s.root]
            for number, block in enumerate(frames):
                if len(block) == 1 and block[0] not in (EMPTY, BAD, COVER):
                    yield f"!rot in frame {number}", s._replace(rot=True, manifests=replaced(
                        s.manifests, s.root, (snapshot, replaced(frames, number, (BAD,)))))

    def cut(self, s, down, late):
        for manifest, frame, value in late:
            if frame < len(down.manifests[manifest][1]):
                down = self.land(down, (manifest, frame, value), False)
        states = [down._replace(names=(names,)) for names in down.names]
        states = [d._replace(tables=tables) for d in states for tables in cuts(d.tables)]
        for number in range(len(down.manifests)):
            states = [d._replace(manifests=replaced(d.manifests, number, (snapshot, frames)))
                      for d in states
                      for snapshot in after_cut(d.manifests[number][0])
                      for frames in cuts(d.manifests[number][1])]
        for state in states:
            yield "!power cut", state
