"""A network that writes a sentence about a picture, and the scores that tell explainers what to explain (blog, 3-1).

The sentence is a row of numbers, `tokens` int32 [LENGTH]: start, the words, end, padding (see `vocabulary`).
Derived in notebook 06.
"""

from functools import partial

import keras
import numpy as np
import sacrebleu
import tensorflow as tf
from keras import layers

from helpers.language import encoder, sentences
from helpers.language.vocabulary import END, PAD, START, Vocabulary, words_of
from helpers.training import batches as feed
from helpers.training import shipped

LENGTH = 18  # of the longest caption, start and end included
VOCABULARY = Vocabulary(sentences.all_words())
NAME = "captioning"


def build_captioner(vision=None):
    """Picture and the words so far to the log-probabilities of the next word, untrained.

    vision: a CNN in place of `encoder.build_vision()`; the LSTM has as many units.
    Inputs: picture float32 [B, 96, 96, 3] in [0, 1], tokens int32 [B, LENGTH - 1]; output: log-probabilities float32
    [B, LENGTH - 1, words of VOCABULARY], at place t those of token t + 1 given the tokens 0 to t (teacher forcing).
    Two sub-models: `vision`, the CNN, gives the picture's vector; `language`, an LSTM, sees it beside every word.
    """
    vision = vision or encoder.build_vision()
    picture, units = keras.Input(vision.input_shape[1:], name="picture"), vision.output_shape[-1]
    tokens, vector = keras.Input((LENGTH - 1,), dtype="int32", name="tokens"), keras.Input((units,), name="vector")
    words = layers.Embedding(len(VOCABULARY), 64, name="word_vectors")(tokens)
    seen = layers.RepeatVector(LENGTH - 1, name="picture_beside_each_word")(vector)
    states = layers.LSTM(units, return_sequences=True, name="lstm")(layers.Concatenate()([words, seen]))
    logits = layers.Dense(len(VOCABULARY), name="logits")(states)
    log_probs = layers.Activation("log_softmax", dtype="float32", name="log_probs")(logits)
    language = keras.Model([vector, tokens], log_probs, name="language")
    return keras.Model([picture, tokens], language([vision(picture), tokens]), name="captioner")


def load():
    """The shipped captioner, trained by `scripts/train_small.py captioning`. Errors as in `shipped.restore`."""
    return shipped.restore(build_captioner(), NAME, "python scripts/train_small.py captioning")


class RealWords(keras.Layer):
    """Log-probabilities [B, T, V] at the places of tokens [B, T] that are no padding: [places, V]."""

    def call(self, log_probs, tokens):
        return tf.boolean_mask(log_probs, tokens != PAD)


def train(captioner, run, images, captions, epochs=encoder.EPOCHS, progress=True):
    """Train on pictures uint8 [N, 96, 96, 3] and their captions in the folder `run`; returns the history.

    Teacher forcing: each next word is learned given the true ones before it; the history's accuracy is that of the
    next words. Pictures are mirrored at random; see `encoder.fit`.
    """
    words = keras.Model(captioner.inputs, RealWords(name="real_words")(captioner.output, captioner.inputs[1]))
    data = images, VOCABULARY.encode(captions, LENGTH, marks=True)
    return encoder.fit(words, "captioner", data, run, partial(batches, *data), epochs, progress)


def batches(images, tokens, epoch=None):
    """tf.data of ((pictures, tokens without the end), the next words [places]); shuffled and mirrored for an epoch."""

    def example(pictures, tokens):
        before = tf.where(tokens[:, :-1] == END, PAD, tokens[:, :-1])
        return (pictures, before), tf.boolean_mask(tokens[:, 1:], before != PAD)

    return feed.scenes((images, tokens), encoder.BATCH_SIZE, example, epoch=epoch)


def greedy(next_words, count, length=LENGTH):
    """Captions of `count` pictures, always the likeliest next word: tokens int [count, at most length].

    next_words: f(tokens int [N, t], pictures int [N]) -> log-probabilities [N, V] of token t; pictures says which
    picture each row is about.
    """
    tokens = np.full((count, 1), START)
    while tokens.shape[1] < length and not (tokens == END).any(axis=1).all():
        following = next_words(tokens, np.arange(count)).argmax(axis=-1)
        following = np.where((tokens == END).any(axis=1), PAD, following)
        tokens = np.concatenate([tokens, following[:, None]], axis=1)
    return tokens


def beam(next_words, picture=0, width=3, length=LENGTH):
    """The `width` best captions of one picture found by beam search: [(tokens, log-probability)], best first.

    next_words as for `greedy`. At every step the `width` likeliest beginnings stay. Scores include the end token and
    are not divided by the length, as in NeuralTalk2.
    """
    beginnings, ended = [((START,), 0.0)], []
    while beginnings and len(beginnings[0][0]) < length and (len(ended) < width or beginnings[0][1] > ended[-1][1]):
        rows = np.array([tokens for tokens, _ in beginnings])
        log_probs = next_words(rows, np.full(len(rows), picture))
        longer = []
        for (tokens, score), row in zip(beginnings, log_probs, strict=True):
            longer += [((*tokens, word), score + float(log_prob)) for word, log_prob in enumerate(row)]
        best = sorted(longer, key=lambda one: -one[1])[:width]
        ended = sorted(ended + [one for one in best if one[0][-1] == END], key=lambda one: -one[1])[:width]
        beginnings = [one for one in best if one[0][-1] != END]
    return ended or beginnings


def write(captioner, images, width=1):
    """Captions (str) of pictures float32 [B, H, W, 3] in [0, 1]: greedy, or by beam search where width is over 1."""
    next_words = next_words_of(captioner, images)
    if width == 1:
        return [VOCABULARY.decode(tokens) for tokens in greedy(next_words, len(images))]
    return [VOCABULARY.decode(beam(next_words, index, width)[0][0]) for index in range(len(images))]


def next_words_of(captioner, images):
    """The function `next_words` that `greedy` and `beam` ask; the CNN looks at each picture once."""
    language = captioner.get_layer("language")
    vectors = captioner.get_layer("vision").predict(np.asarray(images), verbose=0)
    signature = tf.TensorSpec([None, vectors.shape[1]]), tf.TensorSpec([None, LENGTH - 1], tf.int32)
    log_probs = tf.function(lambda *inputs: language(inputs, training=False), input_signature=signature)

    def next_words(tokens, pictures):
        padded = np.pad(tokens, ((0, 0), (0, LENGTH - 1 - tokens.shape[1])), constant_values=PAD)
        return log_probs(vectors[pictures], padded.astype(np.int32)).numpy()[:, tokens.shape[1] - 1]

    return next_words


def scorer(captioner):
    """A Keras model that gives the score of chosen words, for explainers: `GradCAM(scorer(captioner), score=total)`.

    Inputs: picture [B, H, W, 3], tokens int32 [B, LENGTH] with start and end, chosen float32 [B, LENGTH], 1 at the
    tokens that count. Output: the sum of their log-probabilities, each given the true tokens before it, float32 [B].
    """
    picture = keras.Input(captioner.inputs[0].shape[1:], name="picture")
    tokens = keras.Input((LENGTH,), dtype="int32", name="tokens")
    chosen = keras.Input((LENGTH,), name="chosen")
    log_probs = captioner([picture, tokens[:, :-1]])
    of_tokens = keras.ops.take_along_axis(log_probs, tokens[:, 1:, None], axis=-1)[..., 0]
    return keras.Model([picture, tokens, chosen], keras.ops.sum(of_tokens * chosen[:, 1:], axis=-1), name="scorer")


def total(outputs):
    """The score an explainer of a `scorer` explains: its output [B] as it is."""
    return outputs


def caption_words(tokens):
    """1 at the words of tokens [B, T], 0 at start, end and padding: what counts for a whole caption. float32."""
    return (np.asarray(tokens) > END).astype(np.float32)


def phrase_words(tokens, phrase):
    """1 at the words of `phrase`, such as "red ginger", 0 elsewhere: float32 [B, T].

    Raises ValueError for a caption that lacks it, and for an unknown word.
    """
    tokens, numbers = np.asarray(tokens), [VOCABULARY.number(word) for word in words_of(phrase)]
    starts = (np.lib.stride_tricks.sliding_window_view(tokens, len(numbers), axis=1) == numbers).all(axis=-1)
    if not starts.any(axis=1).all():
        lacking = VOCABULARY.decode(tokens[starts.any(axis=1).argmin()])
        raise ValueError(f"{phrase!r} is not in the caption {lacking!r}")
    places = np.arange(tokens.shape[1]) - starts.argmax(axis=1)[:, None]
    return ((places >= 0) & (places < len(numbers))).astype(np.float32)


def phrase_examples(scenes, captions):
    """Every ingredient that the captions name and that is there to see, ready for a `scorer`'s explainer.

    scenes: [dishes.Dish]; captions: a sentence about each, the network's own or the true one. Returns (which scene int
    [M], the ingredients' names [M], inputs [pictures, tokens, chosen], masks bool [M, H, W]). ValueError where none is.
    """
    spoken = [
        [part for part in sentences.visible(scene.masks) if sentences.PHRASES[part] in text]
        for scene, text in zip(scenes, captions, strict=True)
    ]
    if not any(spoken):
        raise ValueError("captions: none names an ingredient that is there to see")
    which = np.repeat(np.arange(len(scenes)), [len(parts) for parts in spoken])
    parts = [part for parts in spoken for part in parts]
    tokens = VOCABULARY.encode([captions[index] for index in which], LENGTH, marks=True)
    chosen = [phrase_words(row, sentences.PHRASES[part]) for row, part in zip(tokens[:, None], parts, strict=True)]
    pictures = np.stack([scenes[index].image for index in which]) / np.float32(255)
    masks = np.stack([scenes[index].masks[part] for index, part in zip(which, parts, strict=True)])
    return which, np.array(parts), [pictures, tokens, np.concatenate(chosen)], masks


def measure(captioner, images, captions, written=None):
    """How good the captions are: {"exact": share written word for word, "words": share of the next words guessed
    rightly given the true ones before, "bleu": corpus BLEU of 0 to 100 by sacrebleu}.

    images: float32 [B, H, W, 3] in [0, 1]; captions: the true ones; written: default greedily.
    """
    written = written or write(captioner, images)
    data = batches((255 * images).round().astype(np.uint8), VOCABULARY.encode(captions, LENGTH, marks=True))
    asked = [(captioner(inputs, training=False)[inputs[1] != PAD], following) for inputs, following in data]
    words = np.concatenate([log_probs.numpy().argmax(-1) == following for log_probs, following in asked])
    exact = np.mean([ours == true for ours, true in zip(written, captions, strict=True)])
    bleu = sacrebleu.corpus_bleu(written, [captions]).score
    return {"exact": float(exact), "words": float(words.mean()), "bleu": bleu}
