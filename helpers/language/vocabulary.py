"""Words as numbers and back: what the caption and the question network share."""

import re

import numpy as np

PAD, START, END = 0, 1, 2
MARKS = ("", "<start>", "<end>")


def words_of(sentence):
    """The words of a sentence in lower case, commas as words of their own, other punctuation left out."""
    return re.findall(r"\w+|,", sentence.lower())


class Vocabulary:
    """The known words; `words[id]` is the word of a number, 0 to 2 are padding, start and end."""

    def __init__(self, sentences):
        self.words = (*MARKS, *sorted({word for sentence in sentences for word in words_of(sentence)}))
        self._number = {word: number for number, word in enumerate(self.words)}

    def __len__(self):
        return len(self.words)

    def number(self, word):
        """The number of one word. Raises ValueError for an unknown one."""
        if word not in self._number:
            raise ValueError(f"unknown word {word!r}; the network knows: {' '.join(self.words[len(MARKS) :])}")
        return self._number[word]

    def encode(self, sentences, length, marks=False):
        """Sentences as int32 [B, length], padded with 0 at the end; marks: with start and end around each.

        Raises ValueError for an unknown word, a sentence without words, and one too long for `length`.
        """
        rows = [[self.number(word) for word in words_of(sentence)] for sentence in sentences]
        for sentence, row in zip(sentences, rows, strict=True):
            if not 0 < len(row) <= length - 2 * marks:
                raise ValueError(f"{sentence!r}: {len(row)} words; expected 1 to {length - 2 * marks}")
        rows = [[START, *row, END] if marks else row for row in rows]
        return np.array([row + [PAD] * (length - len(row)) for row in rows], np.int32).reshape(-1, length)

    def decode(self, numbers):
        """The sentence of a row of numbers: up to its end, without start and padding."""
        numbers = [int(number) for number in numbers]
        numbers = numbers[: numbers.index(END)] if END in numbers else numbers
        words = [self.words[number] for number in numbers if number not in (PAD, START)]
        return " ".join(words).replace(" ,", ",")
