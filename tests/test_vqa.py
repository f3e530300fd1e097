import keras
import numpy as np
import pytest

from helpers import faithfulness
from helpers.gradcam import GradCAM
from helpers.language import encoder, questions, vqa
from helpers.language.questions import Question
from helpers.training import shipped as trained

TEXTS = {"colour": "what colour is the plate?", "count": "how many dishes are there?"}
TEXTS |= {"place": "what is on the pan?", "presence": "is there basil?"}


def about(kind, answer, there=False):
    return Question(TEXTS[kind], answer, kind, np.full((4, 4), there))


@pytest.fixture(scope="module")
def small():
    """(answerer with random weights, pictures [3, 16, 16, 3])"""
    keras.utils.set_random_seed(2)
    answerer = vqa.build_answerer(encoder.build_vision(16, 12, (4, 6, 6, 6, 8), rare=0))
    return answerer, np.random.default_rng(0).random((3, 16, 16, 3), np.float32)


def test_the_score_is_the_product_of_picture_and_question(small):
    answerer, pictures = small
    asked = vqa.encode(["is there basil?", "how many dishes are there?", "what is on the pan?"])
    layer = answerer.get_layer("reasoning").get_layer
    words = [layer("word_vectors")(row[None, row > 0]) for row in asked]  # padding says nothing
    question = np.concatenate([layer("question_vector")(layer("lstm")(word)) for word in words])
    kernel, bias = layer("scores").get_weights()
    by_hand = (answerer.get_layer("vision").predict(pictures, verbose=0) * question) @ kernel + bias
    np.testing.assert_allclose(answerer.predict([pictures, asked], verbose=0), by_hand, rtol=1e-4, atol=1e-6)


def test_questions_are_read_whatever_their_case_and_marks_or_refused(small):
    np.testing.assert_array_equal(vqa.encode(["What colour, is the PLATE"]), vqa.encode([TEXTS["colour"]]))
    problems = {"is there sushi?": "unknown word 'sushi'", "皿は何色": "unknown word", "": "0 words", "?": "0 words"}
    problems |= {"what colour is the plate " * 2: "10 words; expected 1 to 8"}
    for text, problem in problems.items():
        with pytest.raises(ValueError, match=problem):
            vqa.answer(*small, [text] * 3)


def test_many_questions_a_picture_are_the_same_as_one_by_one(small):
    answerer, pictures = small
    images = (pictures * 255).astype(np.uint8)
    rows = ("presence", "count"), ("place", "presence"), ("count", "count")
    numbers, answers = vqa.answers_for([[about(kind, "yes") for kind in row] for row in rows])
    together = vqa.many_questions(answerer, 2).predict(vqa.batches(images, numbers, answers), verbose=0)
    single = answerer.predict([np.repeat(images / np.float32(255), 2, axis=0), numbers.reshape(6, -1)], verbose=0)
    np.testing.assert_allclose(together, single, rtol=1e-4, atol=1e-6)


def test_accuracy_by_kind_by_hand(small):
    answerer, pictures = small
    asked = [[], [], []]
    for wrong, kind in enumerate(TEXTS):  # of three answers, 0 about a colour, 1 about a number, ...
        said = vqa.answer(answerer, pictures, [TEXTS[kind]] * 3)
        for index, row in enumerate(asked):
            other = "no" if said[index] == "yes" else "yes"
            row.append(about(kind, other if index < wrong else said[index]))
    by_kind = vqa.accuracy_by_kind(answerer, pictures * 255, asked)  # floats: to the network the very same pictures
    assert by_kind == pytest.approx({"colour": 1, "count": 2 / 3, "place": 1 / 3, "presence": 0})


def test_the_blind_answer_the_commonest():
    rest = [about("colour", "red"), about("count", "one"), about("place", "pizza")]
    learned = [[about("presence", answer), *rest] for answer in ("yes", "no", "no")]
    asked = [[about("presence", answer), *rest] for answer in ("yes", "no", "yes", "yes")]
    blind = vqa.blind_accuracy_by_kind(asked, learned)
    assert blind == {"colour": 1, "count": 1, "place": 1, "presence": 0.25}


def test_training_learns_answers_by_heart(tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "LEARNING_RATE", 0.01)  # five times the usual, for fewer steps
    keras.utils.set_random_seed(0)
    answerer = vqa.build_answerer(encoder.build_vision(16, 32, (4, 6, 6, 6, 8), rare=0))
    colours, counts = ["red", "yellow", "blue"], ["one", "one", "two"]
    shades = (200, 20, 20), (220, 200, 20), (20, 20, 200)
    images = np.stack([np.full((16, 16, 3), shade, np.uint8) for shade in shades])
    asked = [[about("colour", colour), about("count", count)] for colour, count in zip(colours, counts, strict=True)]
    many = [np.concatenate([array] * 128) for array in (images, *vqa.answers_for(asked))]
    history = vqa.train(answerer, tmp_path / "run", *many, epochs=5, progress=False)
    assert history[-1]["accuracy"] > 0.95 > history[0]["accuracy"]
    for kind, answers in (("colour", colours), ("count", counts)):
        assert vqa.answer(answerer, images / np.float32(255), [TEXTS[kind]] * 3) == answers


@pytest.fixture(scope="module")
def shipped():
    """(the shipped answerer, its 200 test tables, the questions about each)"""
    tables = [questions.draw(seed) for seed in questions.TEST_SEEDS]
    asked = [questions.ask(table, seed) for table, seed in zip(tables, questions.TEST_SEEDS, strict=True)]
    return vqa.load(), tables, asked


def test_shipped_answers_are_as_good_as_stated(shipped):
    answerer, tables, asked = shipped
    by_kind = vqa.accuracy_by_kind(answerer, np.stack([table.image for table in tables]), asked)
    stated = trained.known(vqa.NAME)
    assert by_kind == pytest.approx({kind: stated[kind] for kind in questions.KINDS}, abs=0.02)
    least = {"colour": 0.95, "count": 0.97, "place": 0.95, "presence": 0.87}
    assert all(by_kind[kind] > least[kind] for kind in questions.KINDS), by_kind
    assert trained.weights_file(vqa.NAME).stat().st_size < 3e6


def test_shipped_answers_are_looked_at_where_they_are(shipped):
    answerer, tables, asked = shipped
    _, inputs, masks = vqa.presence_examples(tables, asked)
    times = faithfulness.times_chance(GradCAM(answerer, score=vqa.rather("yes", "no"))(inputs), masks)
    assert times == pytest.approx(trained.known(vqa.NAME)["times_chance"], rel=0.03)
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
    maps = GradCAM(answerer)([pictures, vqa.encode([TEXTS["colour"]] * len(colours))], colours)
    assert faithfulness.pointing_game(maps, np.tile(halves, (len(tables), 1, 1))).mean() > 0.9


def test_rather_is_the_difference_of_two_answers(small):
    answerer, pictures = small
    scores = vqa.answer_scores(answerer, pictures, ["is there basil?"] * 3)
    np.testing.assert_allclose(vqa.rather("no", "red")(scores), scores[:, 1] - scores[:, vqa.answer_number("red")])
    assert vqa.ANSWERS[vqa.answer_number("red and yellow")] == "red and yellow"
    with pytest.raises(ValueError, match=r"answer 'purple': the network chooses among 20: yes, no, "):
        vqa.rather("yes", "purple")


def test_examples_of_presence_are_what_is_there():
    images = [np.full((4, 4, 3), shade, np.uint8) for shade in (0, 255)]
    tables = [questions.Table(image, "table_cloth", ("pizza",), (), (None,)) for image in images]
    asked = [[about("presence", "no"), about("place", "pizza", True)], [about("presence", "yes", True)]]
    which, (pictures, texts), masks = vqa.presence_examples(tables, asked)
    assert list(which) == [1] and masks.all() and (pictures == 1).all()
    np.testing.assert_array_equal(texts, vqa.encode([TEXTS["presence"]]))
