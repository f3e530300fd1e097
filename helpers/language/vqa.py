"""A network that answers questions about a picture; its raw answer scores are what explainers explain (blog, 3-2).

Derived in notebook 06.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from helpers.language import encoder, questions
from helpers.language.vocabulary import Vocabulary
from helpers.training import batches as feed
from helpers.training import shipped

LENGTH = 8  # words of the longest question
VOCABULARY = Vocabulary(questions.all_texts())
ANSWERS = questions.ANSWERS
NAME = "vqa"


def build_answerer(vision=None):
    """Picture and question to a score for each answer, untrained.

    vision: a CNN in place of `encoder.build_vision()`; the question's vector is as long as its own.
    Inputs: picture float32 [B, 96, 96, 3] in [0, 1], question int32 [B, LENGTH]; output: raw scores (logits) float32
    [B, len(ANSWERS)]. So it is a classifier to explainers: `GradCAM(model)([pictures, questions], answer numbers)`.
    Sub-models: `vision`, the CNN, gives the picture's vector; `reasoning` reads the question with an LSTM, multiplies
    both vectors element by element and scores the answers.
    """
    vision = vision or encoder.build_vision()
    picture, units = keras.Input(vision.input_shape[1:], name="picture"), vision.output_shape[-1]
    question, vector = keras.Input((LENGTH,), dtype="int32", name="question"), keras.Input((units,), name="vector")
    words = layers.Embedding(len(VOCABULARY), 32, mask_zero=True, name="word_vectors")(question)
    asked = layers.Dense(units, "tanh", name="question_vector")(layers.LSTM(units // 2, name="lstm")(words))
    product = layers.Multiply(name="product")([asked, vector])
    scores = layers.Dense(len(ANSWERS), dtype="float32", name="scores")(product)
    reasoning = keras.Model([vector, question], scores, name="reasoning")
    return keras.Model([picture, question], reasoning([vision(picture), question]), name="answerer")


def load():
    """The shipped answerer, trained by `scripts/train_small.py vqa`. Errors as in `shipped.restore`."""
    return shipped.restore(build_answerer(), NAME, "python scripts/train_small.py vqa")


def train(answerer, run, images, asked, answers, epochs=encoder.EPOCHS, progress=True):
    """Train on pictures uint8 [N, 96, 96, 3] in the folder `run`; returns the history.

    asked: int32 [N, K, LENGTH], K questions about each picture; answers: int [N, K]. The CNN looks at a picture
    once for all its questions. Pictures are mirrored at random; see `encoder.fit`.
    """
    many, data = many_questions(answerer, asked.shape[1]), (images, asked, answers)
    return encoder.fit(many, "answerer", data, run, partial(batches, *data), epochs, progress)


def many_questions(answerer, count):
    """The answerer for `count` questions a picture, in a row: pictures [B, ...], questions [B * count, length]."""
    picture = keras.Input(answerer.inputs[0].shape[1:], name="picture")
    question = keras.Input(answerer.inputs[1].shape[1:], dtype="int32", name="question")
    vectors = keras.ops.repeat(answerer.get_layer("vision")(picture), count, axis=0)
    return keras.Model([picture, question], answerer.get_layer("reasoning")([vectors, question]))


def batches(images, asked, answers, epoch=None):
    """tf.data of ((pictures, questions [B * K, LENGTH]), answers [B * K]); shuffled and mirrored for an epoch."""

    def example(pictures, asked, answers):
        return (pictures, tf.reshape(asked, [-1, asked.shape[-1]])), tf.reshape(answers, [-1])

    return feed.scenes((images, asked, answers), encoder.BATCH_SIZE, example, epoch=epoch)


def encode(texts):
    """Questions (str) as int32 [B, LENGTH]. Raises ValueError for unknown words, none at all, or too many."""
    return VOCABULARY.encode([text.replace(",", " ") for text in texts], LENGTH)


def answer_number(answer):
    """The number of an answer. Raises ValueError for one outside the vocabulary."""
    if answer not in ANSWERS:
        raise ValueError(f"answer {answer!r}: the network chooses among {len(ANSWERS)}: {', '.join(ANSWERS)}")
    return ANSWERS.index(answer)


def answer_scores(answerer, images, texts):
    """Raw scores float32 [B, answers]; images float32 [B, H, W, 3] in [0, 1]; texts: a question for each picture."""
    return answerer.predict([np.asarray(images), encode(texts)], verbose=0)


def answer(answerer, images, texts):
    """The best answers (str) to a question for each picture; arguments and errors as for `answer_scores`, `encode`."""
    return [ANSWERS[number] for number in answer_scores(answerer, images, texts).argmax(axis=-1)]


def rather(answer, other):
    """Evidence for an answer and against another: a `score`, the difference of their raw scores, float32 [B].

    What the two have in common, such as that the question wants a yes or a no, cancels out. Raises ValueError for
    answers outside the vocabulary.
    """
    first, second = answer_number(answer), answer_number(other)
    return lambda scores: scores[:, first] - scores[:, second]


def presence_examples(tables, asked):
    """Every question of `asked` whether a topping is there that has to be answered with yes, ready for explainers.

    tables: [questions.Table]; asked: for each a list of `questions.Question`. Returns (which table int [M], inputs
    [pictures, questions], masks bool [M, H, W], where the toppings are).
    """
    pairs = [(at, one) for at, row in enumerate(asked) for one in row if (one.kind, one.answer) == ("presence", "yes")]
    which = np.array([at for at, _ in pairs])
    pictures = np.stack([tables[index].image for index in which]) / np.float32(255)
    return which, [pictures, encode([one.text for _, one in pairs])], np.stack([one.about for _, one in pairs])


def answers_for(asked):
    """Lists of `questions.Question`, one a picture, as arrays: int32 [N, K, LENGTH] and answers int32 [N, K]."""
    answers = [[answer_number(one.answer) for one in row] for row in asked]
    return np.stack([encode([one.text for one in row]) for row in asked]), np.array(answers, np.int32)


def accuracy_by_kind(answerer, images, asked):
    """{kind: share of right answers} for lists of questions, one list a picture (uint8 [N, H, W, 3])."""
    numbers, true = answers_for(asked)
    scores = many_questions(answerer, numbers.shape[1]).predict(batches(images, numbers, true), verbose=0)
    return _by_kind(asked, scores.argmax(axis=-1) == true.reshape(-1))


def blind_accuracy_by_kind(asked, learned_from):
    """The same for the best answer that can be given without the picture: for each text the commonest answer in
    `learned_from`, lists of questions too."""
    _, true = answers_for(learned_from)
    texts = np.array([one.text for row in learned_from for one in row])
    commonest = {text: ANSWERS[np.bincount(true.reshape(-1)[texts == text]).argmax()] for text in set(texts)}
    return _by_kind(asked, np.array([commonest[one.text] == one.answer for row in asked for one in row]))


def _by_kind(asked, right):
    kinds = np.array([one.kind for row in asked for one in row])
    return {kind: float(right[kinds == kind].mean()) for kind in questions.KINDS}
