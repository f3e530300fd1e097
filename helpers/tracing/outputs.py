"""What a classifier's outputs are made of: logits and probabilities, whatever its last activation is."""

import keras
import numpy as np
import tensorflow as tf

from helpers.tracing.recording import ancestors

FINAL_ACTIVATIONS = ("Softmax", "LogSoftmax", "Sigmoid")
WEIGHTING = ("MatMul", "BatchMatMulV2", "Conv2D", "DepthwiseConv2dNative", "Einsum")  # unbounded, with weights
SCALING = ("BiasAdd", "Mul", "RealDiv", "Neg", "Mean", "Sum", "AvgPool", "StridedSlice", "GatherV2", "Transpose")
SCALING += ("ReverseV2", "Roll", "Tile", "Slice", "Split", "SplitV", "Unpack", "Pad", "PadV2", "BroadcastTo")
EXTREMES = ("Max", "Min", "MaxPool", "MaxPoolV2")  # SCALING: linear in one operand; these: as unbounded as it
ADDING = ("Add", "AddV2", "AddN", "Sub", "ConcatV2", "Pack", "SelectV2")  # and in each of several


def logits(outputs, examples=None):
    """The classifier's scores [B, N] before the softmax (or sigmoid) that made `outputs`, float32.

    Only the activation that gives the output itself is left out: softmax layer, `activation="softmax"` or a function.
    A single unit is a binary classifier: [B, 2] with minus its logit for class 0 and its logit for class 1.
    Outputs that are probabilities in another way stay what they are, a single unit's p as 1 - p and p. Where the graph
    does not tell, the values of examples() do, some outputs [n, N]; without `examples` they count as logits.
    Raises ValueError if the outputs are not one tensor [B, N], or one unit that is neither probability nor logit.
    """
    output = _of_classifier(outputs)
    if _are_probabilities(output, examples):
        return _both_probabilities(tf.cast(output, tf.float32))
    scores = tf.cast(tf.reshape(before_activation(output), tf.shape(output)), tf.float32)
    return both_classes(tf.ensure_shape(scores, output.shape))


def both_classes(values):
    """`values` [..., N] of N units as they are; of a single unit as [..., 2]: minus them for class 0, and them."""
    return tf.concat([-values, values], axis=-1) if values.shape[-1] == 1 else values


def probabilities(outputs, examples=None):
    """The classifier's class probabilities [B, N], float32, whatever its `outputs` are: logits, softmax or sigmoid.

    Outputs that end in a sigmoid, and a single unit's, are taken each by itself, all others share one softmax; those
    that are probabilities already stay. A single unit gives [B, 2]. examples, errors: as for `logits`.
    """
    output = _of_classifier(outputs)
    if _are_probabilities(output, examples):
        return _both_probabilities(tf.cast(output, tf.float32))
    scores, each_by_itself = logits(output), output.shape[-1] == 1 or source(output).op.type == "Sigmoid"
    return tf.sigmoid(scores) if each_by_itself else tf.nn.softmax(scores)


def before_activation(tensor):
    """The input of the softmax or sigmoid that made the symbolic `tensor`; `tensor` itself if none did."""
    made_by = source(tensor).op
    of_its_classes = made_by.type == "Sigmoid" or made_by.outputs[0].shape[-1] == tensor.shape[-1]
    return made_by.inputs[0] if made_by.type in FINAL_ACTIVATIONS and of_its_classes else tensor


def _of_classifier(outputs):
    flat = keras.tree.flatten(outputs)
    if len(flat) != 1 or flat[0].shape.rank != 2:
        raise ValueError(f"model: its output {shapes(flat)} is no classifier's [B, N]; pass score=f(outputs) -> [B]")
    return flat[0]


def _both_probabilities(values):
    return tf.concat([1 - values, values], axis=-1) if values.shape[-1] == 1 else values


def _are_probabilities(output, examples):
    """Whether `output` [B, N] holds probabilities though no softmax or sigmoid is its last step: average, clip, ..."""
    if examples is None or before_activation(output) is not output or _is_linear(output):
        return False
    values = np.asarray(keras.ops.cast(keras.tree.flatten(examples())[0], "float32"))
    values = values[np.isfinite(values).all(axis=-1)]
    if ((values > -1e-3) & (values < 1 + 1e-3)).all():
        return True
    if output.shape[-1] > 1:
        _check_sums(values)
        return bool((values[0] > -1e-3).all() and abs(values[0].sum() - 1) < 0.02)  # far away x / sum(x) leaves [0, 1]
    if values.min() * values.max() >= 0:
        found = f"its one output, {values.min():.3g} to {values.max():.3g}, is no probability and has always one sign"
        raise ValueError(f"model: {found}, so its class cannot be known; pass score=lambda outputs: outputs[:, 0]")
    return False


def _check_sums(values):
    """ValueError for percentages and other shares [n, N] of a whole that is not 1."""
    whole, least = values.sum(axis=-1).max(), values.sum(axis=-1).min()
    if values.min() >= 0 and whole > 1.02 and whole - least < 1e-3 * whole:
        advice = "let the network give them divided by it, or pass score=f(outputs) -> [B]"
        raise ValueError(
            f"model: its outputs are shares that sum to {whole:.4g}, neither logits nor 1 in all; {advice}"
        )


def _is_linear(tensor):
    """Whether `tensor` is weighted sums with nothing behind them that bounds them: logits, whatever their values."""
    made_by = source(tensor).op
    operands = [operand for operand in made_by.inputs if not is_constant(operand)]
    if made_by.type in WEIGHTING:
        return len(operands) < len(made_by.inputs)
    linear = made_by.type in ADDING or (made_by.type in (*SCALING, *EXTREMES) and len(operands) == 1)
    return linear and any(_is_linear(operand) for operand in operands)


def is_constant(tensor):
    """Whether only numbers, weights and shapes go into `tensor`, no data."""
    before = ancestors(tensor, lambda operation: operation.type == "Shape")
    sources = [operation.outputs[0] for operation in before if operation.type == "Placeholder"]
    return all(source.dtype == tf.resource for source in sources)


def source(tensor):
    """The symbolic tensor that `tensor` is another form of: cast, reshaped or passed on."""
    while tensor.op.type in ("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims"):
        tensor = tensor.op.inputs[0]
    return tensor


def shapes(values):
    """The shapes of symbolic tensors, in any structure, for a message: ["B", ...], ..."""
    flat = keras.tree.flatten(values)
    return ", ".join(str(["B", *tensor.shape[1:]] if tensor.shape.rank else []) for tensor in flat)
