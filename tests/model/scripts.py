"""What clients do to several shards, for snapshot_model.py and batch_model.py."""

from typing import NamedTuple


class Op(NamedTuple):
    kind: str  # write, memory: a write of kMemory, delete, batch, read, snapshot
    keys: tuple  # a0: key a of shard 0; the first one's shard coordinates a batch
    shards: tuple  # ascending


class Script(NamedTuple):
    size: int  # from which size of the model on it is run
    shards: int
    ops: tuple
    compactions: int = 0
    crashes: int = 0
    faults: int = 0  # writes of a log that fail


def shard_of(key):
    return int(key[1])


def op(text):
    kind, *keys = text.split()
    return Op(kind, tuple(keys), tuple(sorted({shard_of(key) for key in keys})))


def script(size, shards, *ops, **more):
    return Script(size, shards, tuple(map(op, ops)), **more)


SNAPSHOT_SCRIPTS = {
    "writes": script(0, 2, "write a0", "write b1", "snapshot a0 b1"),
    "reads": script(0, 2, "write a0", "snapshot a0", "read a0", faults=1),
    "batch": script(0, 2, "batch b1 a0", "snapshot a0 b1", "read b1"),
    "batch, write": script(0, 2, "batch a0 b1", "write b1", "read a0"),
    "two batches": script(0, 2, "batch a0 b1", "batch b1 a0"),
    "two keys": script(0, 2, "batch a0 c0 b1", "batch c0 a0 b1"),
    "retention": script(0, 1, "write a0", "write a0", "snapshot a0", compactions=1, faults=1),
    "failed batch": script(0, 2, "batch a0 b1", "snapshot a0", "read a0", faults=1),
    "failed batch, write": script(0, 2, "batch a0 b1", "write b1", faults=1),
    "chain": script(1, 2, "write a0", "read a0", "write b1", "snapshot a0 b1", "read b1"),
    "two snapshots": script(1, 2, "write a0", "write b1", "snapshot a0 b1", "snapshot b1 a0"),
    "batch in a chain": script(1, 2, "batch a0 b1", "write b1", "read a0", "snapshot a0 b1"),
    "overlapping": script(1, 2, "batch a0 b1", "batch b1 a0", "snapshot a0 b1", faults=1),
    "ring": script(1, 3, "batch a0 b1", "batch b1 c2", "batch c2 a0"),
    "three shards": script(1, 3, "batch b1 a0 c2", "snapshot a0 b1 c2", "read c2", faults=1),
    "two keys, writes": script(1, 2, "batch a0 c0 b1", "write c0", "write a0", faults=1),
    "two keys of a shard": script(1, 1, "write a0", "write c0", "read a0", "snapshot a0 c0",
                                  faults=1),
    "behind a hold": script(1, 2, "batch a0 b1", "write a0", "write a0", "snapshot a0 b1"),
    "retention, batch": script(1, 2, "write a0", "batch a0 b1", "snapshot a0 b1", compactions=1),
    "chain over batches": script(2, 3, "batch a0 b1", "read b1", "write c2", "snapshot a0 c2",
                                 "read a0"),
    "overlapping, read": script(2, 3, "batch a0 b1", "batch c2 b1", "snapshot a0 b1 c2", "read b1",
                                faults=1),
    "three batches": script(2, 2, "batch a0 b1", "batch b1 a0", "write b1", "batch b1 a0",
                            faults=1),
    "chain of reads": script(2, 2, "write a0", "read a0", "write b1", "read b1", "snapshot a0 b1",
                             faults=1),
    "retention, two snapshots": script(2, 2, "write a0", "batch a0 b1", "snapshot a0",
                                       "snapshot a0 b1", compactions=1),
}

BATCH_SCRIPTS = {
    "batch": script(0, 2, "batch a0 b1", crashes=2),
    "batch fails": script(0, 2, "batch a0 b1", crashes=1, faults=1),
    "write, batch": script(0, 2, "write b1", "batch a0 b1", crashes=1, faults=1),
    "in memory": script(0, 2, "memory b1", "batch a0 b1", crashes=1, faults=1),
    "write, in memory": script(0, 1, "write a0", "memory a0", crashes=1, faults=1),
    "delete": script(0, 2, "write b1", "delete a0 b1", crashes=1, faults=1),
    "write of the coordinator": script(0, 2, "batch a0 b1", "write a0", crashes=1, faults=1),
    "same coordinator": script(0, 2, "batch a0 b1", "batch c0 d1", crashes=2),
    "both coordinate": script(0, 2, "batch a0 b1", "batch c1 d0", crashes=1),
    "two coordinators": script(0, 3, "batch a0 b1", "batch c2 b1", crashes=1),
    "epochs": script(1, 2, "batch a0 b1", "batch c0 d1", "snapshot", crashes=2),
    "write, batch, twice": script(1, 2, "write b1", "batch a0 b1", crashes=2, faults=1),
    "in memory, twice": script(1, 2, "memory b1 c1", "batch a0 b1", crashes=2, faults=1),
    "delete, write": script(1, 2, "delete b1 a0", "write b1", crashes=2, faults=1),
    "overlapping": script(1, 2, "batch a0 b1", "batch b1 a0", crashes=2, faults=1),
    "write between": script(1, 2, "batch a0 b1", "write b1", "batch b1 a0", crashes=1, faults=1),
    "three shards": script(1, 3, "batch b1 a0 c2", "write c2", crashes=1, faults=1),
    "same coordinator fails": script(1, 2, "batch a0 b1", "batch c0 d1", crashes=1, faults=1),
    "two coordinators, twice": script(1, 3, "batch a0 b1", "batch c2 b1", crashes=2),
    "same coordinator, twice": script(2, 2, "batch a0 b1", "batch c0 d1", crashes=2, faults=2),
    "write between, twice": script(2, 2, "batch a0 b1", "write b1", "batch b1 a0", crashes=2,
                                   faults=2),
    "ring": script(2, 3, "batch a0 b1", "batch b1 c2", "batch c2 a0", crashes=1, faults=1),
}
