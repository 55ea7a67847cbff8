"""Whether what clients saw fits one order in time.

Each operation takes place at one instant between its begin and its answer. In which order writes of
a key supersede each other is known from their versions, so it is enough to look for a cycle among
what has to come before what. A snapshot is one instant for all its keys, and so is a batch; only
current reads may see one part of a batch before another. So there are two looks: one at whole
batches, which leaves out what a current read did not see, and one at each part by itself.
"""

NOTHING = -1  # a read found no value


def is_ordered(edges):
    """Whether there is an order that all edges {node: set of later nodes} keep to."""
    left = {node: set(later) for node, later in edges.items()}
    while left:
        last = [node for node, later in left.items() if not later & left.keys()]
        if not last:
            return False
        for node in last:
            del left[node]
    return True


def what_is_wrong(ops, chains, done):
    """`chains`: of each key the operations whose values were visible, oldest first. `done`: of each
    operation (mask of those answered before it began, what it read of each of its keys: an
    operation, NOTHING, or None)."""
    for by_part in (False, True):
        edges = {}

        def node(n, key):
            return (n, key) if by_part and ops[n].kind == "batch" else (n, None)

        def add(before, after):
            if before != after:
                edges.setdefault(before, set()).add(after)

        nodes = [{node(n, key) for key in o.keys} for n, o in enumerate(ops)]
        for n, (before, _) in enumerate(done):
            for m in range(len(ops)):
                if before >> m & 1:
                    for first in nodes[m]:
                        for second in nodes[n]:
                            add(first, second)
        for key, chain in chains.items():
            for first, second in zip(chain, chain[1:]):
                add(node(first, key), node(second, key))
            for n, (_, seen) in enumerate(done):
                for value in (v for k, v in zip(ops[n].keys, seen) if k == key and v is not None):
                    if value != NOTHING:
                        add(node(value, key), node(n, key))
                    newer = chain[chain.index(value) + 1:] if value in chain else chain
                    if newer and (by_part or ops[n].kind == "snapshot"):
                        add(node(n, key), node(newer[0], key))
        if not is_ordered(edges):
            return "what was seen fits no order" + ("" if by_part else ", snapshots alone")
    return None
