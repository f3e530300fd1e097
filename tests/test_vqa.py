import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers import faithfulness
from helpers.gradcam import GradCAM
from helpers.guided import GuidedBackprop
from helpers.language import questions, vqa
from helpers.language.encoder import build_vision
from helpers.language.questions import Question
from helpers.training import shipped as trained

NOWHERE = np.zeros((4, 4), bool)


@pytest.fixture(scope="module")
def small():
    """(answerer with random weights, pictures [3, 16, 16, 3])"""
    keras.utils.set_random_seed(2)
    answerer = vqa.build_answerer(units=12, vision=build_vision(16, 12, (4, 6, 6, 6, 8)))
    return answerer, np.random.default_rng(0).random((3, 16, 16, 3), np.float32)


def test_the_score_is_the_product_of_picture_and_question(small):
    answerer, pictures = small
    asked = vqa.encode(["is there basil?", "how many dishes are there?", "what is on the pan?"])
    reasoning = answerer.get_layer("reasoning")
    words = reasoning.get_layer("word_vectors")(asked)
    question = reasoning.get_layer("question_vector")(reasoning.get_layer("lstm")(words, mask=tf.constant(asked != 0)))
    picture = answerer.get_layer("vision").predict(pictures, verbose=0)
    kernel, bias = reasoning.get_layer("scores").get_weights()
    np.testing.assert_allclose(
        answerer.predict([pictures, asked], verbose=0),
        (picture * question.numpy()) @ kernel + bias,
        rtol=1e-4,
        atol=1e-5,
    )


def test_padding_says_nothing(small):
    """The same question among longer ones: the LSTM stops at its last word."""
    answerer, pictures = small
    long = vqa.build_answerer(units=12, length=vqa.LENGTH + 5, vision=answerer.get_layer("vision"))
    long.get_layer("reasoning").set_weights(answerer.get_layer("reasoning").get_weights())
    asked = vqa.encode(["is there basil?"] * 3)
    np.testing.assert_allclose(
        long.predict([pictures, np.pad(asked, ((0, 0), (0, 5)))], verbose=0),
        answerer.predict([pictures, asked], verbose=0),
        rtol=1e-4,
        atol=1e-6,
    )


def test_an_answer_is_explained_whether_chosen_or_not(small):
    answerer, pictures = small
    asked = vqa.encode(["what colour is the plate?"] * 3)
    explain = GradCAM(answerer)
    for answer in ("red", "yellow", "red and yellow"):
        number = vqa.answer_number(answer)
        by_class = explain([pictures, asked], number)
        by_score = GradCAM(answerer, score=lambda scores, n=number: scores[:, n])([pictures, asked])
        assert by_class.shape == (3, 4, 4)
        np.testing.assert_allclose(by_class, by_score, rtol=1e-5, atol=1e-9)
    assert explain.traces == 1


def test_only_the_relus_of_the_cnn_are_swapped(small):
    answerer, pictures = small
    asked, vision = vqa.encode(["is there basil?"] * 3), answerer.get_layer("vision")
    guided = GuidedBackprop(answerer, relus_in="vision")([pictures, asked], 0)
    vectors = tf.convert_to_tensor(vision(pictures))
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        scores = answerer.get_layer("reasoning")([vectors, tf.constant(asked)])[:, 0]
    from_above = tape.gradient(scores, vectors).numpy()
    alone = np.concatenate(
        [
            GuidedBackprop(vision, score=lambda v, g=g: tf.reduce_sum(v * g, -1))(pictures[i : i + 1])
            for i, g in enumerate(from_above)
        ]
    )
    assert np.abs(alone).max() > 0
    np.testing.assert_allclose(guided, alone, atol=1e-5 * np.abs(alone).max())


@pytest.mark.parametrize(
    "text, problem",
    [
        ("is there sushi?", "unknown word 'sushi'"),
        ("", "0 words"),
        ("?", "0 words"),
        ("what colour is the plate what colour is the plate", "10 words; 1 to 8 are wanted"),
        ("皿は何色", "unknown word"),
    ],
)
def test_questions_that_cannot_be_read_are_refused(small, text, problem):
    answerer, pictures = small
    with pytest.raises(ValueError, match=problem):
        vqa.answer(answerer, pictures[:1], [text])


def test_answers_outside_the_vocabulary_are_refused():
    assert vqa.ANSWERS[vqa.answer_number("red and yellow")] == "red and yellow"
    with pytest.raises(ValueError, match=r"answer 'purple': the network chooses among 20: yes, no, "):
        vqa.answer_number("purple")


def test_questions_are_read_whatever_their_case_and_marks():
    np.testing.assert_array_equal(vqa.encode(["What colour, is the PLATE"]), vqa.encode(["what colour is the plate?"]))


def test_many_questions_a_picture_are_the_same_as_one_by_one(small):
    answerer, pictures = small
    images = (pictures * 255).astype(np.uint8)
    texts = ["is there basil?", "is there cheese?"], ["do you see salami?", "is there basil?"], ["is there cheese?"] * 2
    asked = [[Question(text, "yes", "presence", NOWHERE) for text in row] for row in texts]
    numbers, answers = vqa.answers_for(asked)
    together = vqa.many_questions(answerer, 2).predict(vqa.batches(images, numbers, answers), verbose=0)
    single = answerer.predict([np.repeat(images / np.float32(255), 2, axis=0), numbers.reshape(6, -1)], verbose=0)
    np.testing.assert_allclose(together, single, rtol=1e-4, atol=1e-6)


def test_accuracy_by_kind_by_hand(small):
    answerer, pictures = small
    texts = {
        "colour": "what colour is the plate?",
        "count": "how many dishes are there?",
        "place": "what is on the pan?",
        "presence": "is there basil?",
    }
    said = {kind: vqa.answer(answerer, pictures, [text] * 3) for kind, text in texts.items()}
    wrong = {"colour": 0, "count": 1, "place": 2, "presence": 3}
    asked = [
        [
            Question(texts[kind], other(said[kind][i]) if i < wrong[kind] else said[kind][i], kind, NOWHERE)
            for kind in texts
        ]
        for i in range(3)
    ]
    by_kind = vqa.accuracy_by_kind(answerer, pictures * 255, asked)  # floats: to the network the very same pictures
    assert by_kind == pytest.approx({"colour": 1, "count": 2 / 3, "place": 1 / 3, "presence": 0})


def other(answer):
    return "no" if answer == "yes" else "yes"


def test_the_blind_answer_the_commonest():
    def about_basil(answer):
        return Question("is there basil?", answer, "presence", NOWHERE)

    rest = [
        Question(ASK, answer, kind, NOWHERE)
        for ASK, answer, kind in (
            ("what colour is the plate?", "red", "colour"),
            ("how many dishes are there?", "one", "count"),
            ("what is on the pan?", "pizza", "place"),
        )
    ]
    learned = [[about_basil(answer), *rest] for answer in ("yes", "no", "no")]
    asked = [[about_basil(answer), *rest] for answer in ("yes", "no", "yes", "yes")]
    blind = vqa.blind_accuracy_by_kind(asked, learned)
    assert blind == {"colour": 1, "count": 1, "place": 1, "presence": 0.25}


def test_training_learns_answers_by_heart(tmp_path):
    keras.utils.set_random_seed(0)
    answerer = vqa.build_answerer(units=32, vision=build_vision(16, 32, (4, 6, 6, 6, 8)))
    colours = {"red": (200, 20, 20), "yellow": (220, 200, 20), "blue": (20, 20, 200)}
    images = np.stack([np.full((16, 16, 3), colour, np.uint8) for colour in colours.values()])
    asked = [
        [
            Question("what colour is the plate?", name, "colour", NOWHERE),
            Question("how many dishes are there?", "two" if name == "blue" else "one", "count", NOWHERE),
        ]
        for name in colours
    ]
    numbers, answers = vqa.answers_for(asked)
    many = [np.concatenate([array] * 256) for array in (images, numbers, answers)]
    history = vqa.train(answerer, tmp_path / "run", *many, epochs=6, progress=False)
    assert history[-1]["accuracy"] > 0.95 > history[0]["accuracy"]
    assert vqa.answer(answerer, images / np.float32(255), ["what colour is the plate?"] * 3) == list(colours)
    assert vqa.answer(answerer, images / np.float32(255), ["how many dishes are there?"] * 3) == ["one", "one", "two"]


@pytest.fixture(scope="module")
def shipped():
    """(the shipped answerer, its 200 test tables, the questions about each)"""
    if not trained.weights_file(vqa.NAME).exists():
        pytest.skip("weights/vqa.weights.h5 is not there: python scripts/train_small.py vqa")
    tables = [questions.draw(seed) for seed in questions.TEST_SEEDS]
    asked = [questions.ask(table, seed) for table, seed in zip(tables, questions.TEST_SEEDS, strict=True)]
    return vqa.load(), tables, asked


def test_shipped_answers_are_as_good_as_stated(shipped):
    answerer, tables, asked = shipped
    by_kind = vqa.accuracy_by_kind(answerer, np.stack([table.image for table in tables]), asked)
    stated = trained.known(vqa.NAME)
    assert by_kind == pytest.approx({kind: stated[kind] for kind in questions.KINDS}, abs=0.02)
    assert all(
        by_kind[kind] > least for kind, least in {"colour": 0.95, "count": 0.97, "place": 0.85, "presence": 0.8}.items()
    ), by_kind
    assert trained.weights_file(vqa.NAME).stat().st_size < 3e6


def test_shipped_answers_are_looked_at_where_they_are(shipped):
    answerer, tables, asked = shipped
    _, inputs, masks = vqa.presence_examples(tables, asked)
    times = faithfulness.times_chance(GradCAM(answerer, score=vqa.rather("yes", "no"))(inputs), masks)
    assert times["hits"] > 3 and times["energy"] > 2.5, times
    raw = faithfulness.times_chance(GradCAM(answerer)(inputs, vqa.answer_number("yes")), masks)
    assert 1.2 < raw["hits"] < times["hits"] and 1.2 < raw["energy"] < times["energy"], raw  # as notebook 06 tells


def test_shipped_colours_are_looked_at_on_their_own_plates(shipped):
    """Two plates: the peak of either colour's map, chosen or not, lies on the half where its plate stands."""
    answerer, _, _ = shipped
    tables = [questions.two_plates(40_001 + index, pair.split(" and ")) for index, pair in enumerate(questions.PAIRS)]
    pictures = np.stack([table.image for table in tables for _ in range(2)]) / np.float32(255)
    halves = np.zeros((2, 96, 96), bool)
    halves[0, :, :48] = halves[1, :, 48:] = True
    colours = [vqa.answer_number(colour) for pair in questions.PAIRS for colour in pair.split(" and ")]
    maps = GradCAM(answerer)([pictures, vqa.encode(["what colour is the plate?"] * len(colours))], colours)
    assert faithfulness.pointing_game(maps, np.tile(halves, (len(tables), 1, 1))).mean() > 0.9


def test_rather_is_the_difference_of_two_answers(small):
    answerer, pictures = small
    scores = vqa.answer_scores(answerer, pictures, ["is there basil?"] * 3)
    np.testing.assert_allclose(vqa.rather("no", "red")(scores), scores[:, 1] - scores[:, vqa.answer_number("red")])
    with pytest.raises(ValueError, match="answer 'perhaps'"):
        vqa.rather("yes", "perhaps")


def test_examples_of_presence_are_what_is_there():
    there, absent = np.ones((4, 4), bool), NOWHERE
    images = [np.full((4, 4, 3), shade, np.uint8) for shade in (0, 255)]
    tables = [questions.Table(image, "table_cloth", ("pizza",), (), (None,)) for image in images]
    asked = [
        [
            Question("is there basil?", "no", "presence", absent),
            Question("what is on the cloth?", "pizza", "place", there),
        ],
        [Question("is there cheese?", "yes", "presence", there)],
    ]
    which, (pictures, texts), masks = vqa.presence_examples(tables, asked)
    assert list(which) == [1] and masks.all() and (pictures == 1).all()
    np.testing.assert_array_equal(texts, vqa.encode(["is there cheese?"]))
