"""The disk, as far as the models need it.

A block is a tuple: first what is durable, then what was written over it and is only in the device's
cache, oldest first. A read gives the last one. A DSYNC write, with FUA, makes its own block durable
and no other; a flush does so for what was in the cache when it began. After a power cut a block
holds any one of these, or, if something was in the cache, a torn mixture.
"""

import itertools

EMPTY = None  # zeros
BAD = "bad"  # does not pass its checksum: torn, or rotten


def read(block):
    return block[-1]


def write(block, value):
    return block if block[-1] == value else block + (value,)


def synced(block):
    return (block[-1],)


def after_cut(block):
    """What may be left of it. A torn write counts as one bad block."""
    if len(block) == 1:
        return (block,)
    return tuple((value,) for value in dict.fromkeys(block + (BAD,)))


def cuts(blocks):
    """Every outcome of a power cut."""
    return itertools.product(*map(after_cut, blocks))


def replaced(items, index, value):
    return items[:index] + (value,) + items[index + 1:]
