"""The calls of a layer that is called more than once, in the order in which they were written."""

import itertools


def as_written(traced, layer):
    """The recorded calls of a layer; those in functional models, run in an order of Keras' own, as they were made."""
    calls = [call for call in traced.calls if call.layer is layer]
    return sorted(calls, key=lambda call: _number(traced, call))


def _number(traced, call):
    """A call's place in the order: for each call around it, from the model's own on, which of its layer's calls it is
    there, and at last its own."""
    around = [
        other for other in traced.calls if call.path.startswith(f"{other.path}/".lstrip("/")) and _in(call, other)
    ]
    chain = [*sorted(around, key=lambda other: len(other.path)), call]
    return [_place(traced, outer, inner) for outer, inner in itertools.pairwise(chain)]


def _place(traced, outer, inner):
    calls = [call for call in traced.calls if call.layer is inner.layer and _in(call, outer)]
    number = next(index for index, call in enumerate(calls) if call is inner)
    by_depth = getattr(outer.layer, "_nodes_by_depth", {})
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    nodes = [node for node in nodes if node.operation is inner.layer]
    return inner.layer._inbound_nodes.index(nodes[number]) if len(nodes) == len(calls) else number


def _in(call, outer):
    return outer.operations.start <= call.operations.start and call.operations.stop <= outer.operations.stop
