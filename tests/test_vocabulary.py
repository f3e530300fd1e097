import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.language.vocabulary import END, PAD, START, Vocabulary, words_of

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


REFUSED = {"": "0 words", "?!": "0 words", "a a a a": "4 words; 1 to 3 are wanted"}
REFUSED |= {"a pizza with sushi": "unknown word 'sushi'", "ピザ": "unknown word 'ピザ'"}


@pytest.mark.parametrize("sentence, problem", REFUSED.items())
def test_what_cannot_be_said_is_refused(sentence, problem):
    with pytest.raises(ValueError, match=problem):
        TOY.encode([sentence], 5, marks=True)
