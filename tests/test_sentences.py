import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import dishes
from helpers.language import captioning, questions, sentences, vqa
from helpers.language.vocabulary import END, PAD, START, Vocabulary, words_of


@pytest.fixture(scope="module")
def scenes():
    return [sentences.draw(seed, size=64) for seed in range(400)]


def test_sentences_say_what_the_masks_show(scenes):
    for scene in scenes:
        text = sentences.caption(scene)
        assert re.match(r"an? (\w+)", text)[1] == scene.label
        for part in sentences.NAMED:
            said = re.search(rf"\b{sentences.PHRASES[part]}\b", text) is not None
            assert said == (np.count_nonzero(scene.masks[part]) >= 0.005 * 64 * 64), (text, part)
        place = re.search(r"(?:on|in) an? (.*)$", text)
        assert (place is None) == (np.count_nonzero(~scene.masks["dish"]) < 0.15 * 64 * 64), text
        if place:
            shown = scene.background.replace("_", " ").replace("coloured", str(scene.plate_colour))
            assert place[1] == shown


def test_every_sentence_can_be_learned(scenes):
    texts = [sentences.caption(scene) for scene in scenes]
    numbers = captioning.VOCABULARY.encode(texts, captioning.LENGTH, marks=True)
    assert [captioning.VOCABULARY.decode(row) for row in numbers] == texts
    unused = set(captioning.VOCABULARY.words[3:]) - {word for text in texts for word in re.findall(r"\w+|,", text)}
    assert not unused


def test_no_topping_can_be_guessed_from_another(scenes):
    made = {part: np.array([part in scene.toppings for scene in scenes]) for part in dishes.TOPPINGS}
    for label, menu in sentences.MENU.items():
        here = np.array([scene.label == label for scene in scenes])
        assert 160 < here.sum() < 240
        np.testing.assert_allclose([made[part][here].mean() for part in menu], 2 / 5, atol=0.1)


def test_grammar_by_hand():
    masks = {part: np.zeros((100, 100), bool) for part in (*dishes.ALL_PARTS, "dish")}
    masks["dish"][:80] = masks["cheese"][:10] = masks["basil"][10:20] = masks["tomato_sauce"][20:30] = True
    masks["salami"][50, :49] = masks["olives"][60:70] = True  # 0.49 % of the picture, and not on the menu: not named
    dish = dishes.Dish(None, masks, "pizza", "dark_pan", frozenset(), None, False)
    assert sentences.caption(dish) == "a pizza with tomato sauce, cheese and basil in a dark pan"
    masks["salami"][50, 49] = True
    masks["dish"][:86] = True
    assert sentences.caption(dish) == "a pizza with tomato sauce, cheese, basil and salami"


@pytest.fixture(scope="module")
def asked():
    """[(table, the questions about it)]"""
    tables = [questions.draw(seed, size=64) for seed in range(100)]
    return [(table, questions.ask(table, seed)) for seed, table in enumerate(tables)]


def true_answer(table, question):
    """The answer read off the table a second way, from the question's words alone."""
    if "colour" in question.text:
        named = [colour for colour in ("red", "yellow", "blue", "green", "white") if colour in table.plate_colours]
        return " and ".join(named) if named else "no plate"
    if "how many" in question.text:
        return {1: "one", 2: "two"}[len(table.masks)]
    thing = re.search(r"(?:on the|there|see) (.*)\?", question.text)[1]
    if thing in ("cloth", "plate", "griddle", "pan", "board"):
        if thing not in table.background:
            return "nothing"
        return " and ".join(label for label in ("okonomiyaki", "pizza") if label in table.labels)
    called = {"bonito flakes": "bonito", "okonomiyaki sauce": "okonomiyaki_sauce"}
    part = called.get(thing, thing.replace(" ", "_"))
    return "yes" if any(masks[part].sum() > 0 for masks in table.masks) else "no"


def test_every_question_can_be_learned(asked):
    rows = [row for _, row in asked]
    numbers, answers = vqa.answers_for(rows)
    assert numbers.shape == (100, 8, vqa.LENGTH) and answers.shape == (100, 8)
    assert {vqa.ANSWERS[number] for number in answers.reshape(-1)} == set(vqa.ANSWERS)
    presence = [one.answer for row in rows for one in row if one.kind == "presence"]
    assert 0.4 < presence.count("yes") / len(presence) < 0.6


def test_answers_say_what_the_tables_show_and_where(asked):
    for seed, (table, row) in enumerate(asked):
        dish = np.any([masks["dish"] for masks in table.masks], axis=0)
        for question in row:
            assert question.answer == true_answer(table, question), (seed, question.text, question.answer)
            if question.answer in ("no", "nothing", "no plate"):
                assert not question.about.any()
            elif question.kind == "presence":
                assert question.about.mean() >= 0.005 and not (question.about & ~dish).any()
            else:
                np.testing.assert_array_equal(question.about, ~dish if question.kind == "colour" else dish)
        assert [one.kind for one in row] == ["colour", "count", "place", "place", *["presence"] * 4]
        assert row[2].answer != "nothing" == row[3].answer


def test_the_same_seed_draws_and_asks_the_same():
    first, second = questions.draw(7, size=64), questions.draw(7, size=64)
    np.testing.assert_array_equal(first.image, second.image)
    assert [one.text for one in questions.ask(first, 3)] == [one.text for one in questions.ask(second, 3)]
    assert questions.two_plates(5, ("red", "yellow")).plate_colours == ("red", "yellow")


# --- Words as numbers and back ---------------------------------------------------------------------------------------

TOY = Vocabulary(["a pizza with basil, olives and cheese"])


def test_numbers_follow_the_alphabet_after_the_three_marks():
    assert TOY.words == ("", "<start>", "<end>", ",", "a", "and", "basil", "cheese", "olives", "pizza", "with")
    marked = TOY.encode(["A pizza, with basil!"], 8, marks=True)
    np.testing.assert_array_equal(marked, [[START, 4, 9, 3, 10, 6, END, PAD]])
    np.testing.assert_array_equal(TOY.encode(["pizza", "a pizza"], 3), [[9, 0, 0], [4, 9, 0]])
    assert TOY.decode([START, 9, 3, 6, END, 7, 7]) == "pizza, basil"  # nothing after the end is read
    assert words_of("Is there basil, or not?") == ["is", "there", "basil", ",", "or", "not"]


@given(st.lists(st.sampled_from(TOY.words[4:]), min_size=1, max_size=10))
def test_decoding_undoes_encoding(words):
    sentence = " ".join(words)
    assert TOY.decode(TOY.encode([sentence], 12, marks=True)[0]) == sentence


REFUSED = {"": "0 words", "?!": "0 words", "a a a a": "4 words; expected 1 to 3"}
REFUSED |= {"a pizza with sushi": "unknown word 'sushi'", "ピザ": "unknown word 'ピザ'"}


@pytest.mark.parametrize("sentence, problem", REFUSED.items())
def test_what_cannot_be_said_is_refused(sentence, problem):
    with pytest.raises(ValueError, match=problem):
        TOY.encode([sentence], 5, marks=True)
