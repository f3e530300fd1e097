"""What a classifier's outputs are made of: logits and probabilities, whatever its last activation is."""

import keras
import tensorflow as tf

FINAL_ACTIVATIONS = ("Softmax", "LogSoftmax", "Sigmoid")


def logits(outputs):
    """The classifier's scores [B, N] before the softmax (or sigmoid) that made `outputs`, float32.

    Only the activation that gives the output itself is left out: softmax layer, `activation="softmax"` or a function.
    A single unit is a binary classifier: [B, 2] with minus its logit for class 0 and its logit for class 1.
    Raises ValueError if the outputs are not one tensor [B, N].
    """
    flat = keras.tree.flatten(outputs)
    if len(flat) != 1 or flat[0].shape.rank != 2:
        raise ValueError(f"model: its output {shapes(flat)} is no classifier's [B, N]; pass score=f(outputs) -> [B]")
    scores = tf.cast(tf.reshape(before_activation(flat[0]), tf.shape(flat[0])), tf.float32)
    return both_classes(tf.ensure_shape(scores, flat[0].shape))


def both_classes(values):
    """`values` [..., N] of N units as they are; of a single unit as [..., 2]: minus them for class 0, and them."""
    return tf.concat([-values, values], axis=-1) if values.shape[-1] == 1 else values


def probabilities(outputs):
    """The classifier's class probabilities [B, N], float32, whatever its `outputs` are: logits, softmax or sigmoid.

    Outputs that end in a sigmoid, and a single unit's, are taken each by itself; all others share one softmax. A
    single unit gives [B, 2]. Raises ValueError as `logits` does.
    """
    scores, output = logits(outputs), keras.tree.flatten(outputs)[0]
    each_by_itself = output.shape[-1] == 1 or source(output).op.type == "Sigmoid"
    return tf.sigmoid(scores) if each_by_itself else tf.nn.softmax(scores)


def before_activation(tensor):
    """The input of the softmax or sigmoid that made the symbolic `tensor`; `tensor` itself if none did."""
    made_by = source(tensor).op
    return made_by.inputs[0] if made_by.type in FINAL_ACTIVATIONS else tensor


def source(tensor):
    """The symbolic tensor that `tensor` is another form of: cast, reshaped or passed on."""
    while tensor.op.type in ("Identity", "Cast", "Reshape", "Squeeze"):
        tensor = tensor.op.inputs[0]
    return tensor


def shapes(values):
    """The shapes of symbolic tensors, in any structure, for a message: ["B", ...], ..."""
    flat = keras.tree.flatten(values)
    return ", ".join(str(["B", *tensor.shape[1:]] if tensor.shape.rank else []) for tensor in flat)
