import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from helpers import faithfulness
from helpers.gradcam import GradCAM
from helpers.guided import Gradient, GuidedGradCAM
from helpers.language import captioning, encoder, sentences
from helpers.language.vocabulary import END, START
from helpers.training import shipped as trained

A, B, C = 3, 4, 5
SHARES = {START: {A: 0.6, B: 0.4}, A: {END: 0.3, B: 0.34, C: 0.36}, B: {END: 0.9, A: 0.1}, C: {END: 0.5, A: 0.5}}


def toy_words(tokens, pictures):
    """The next word depends on the last one alone; picture 1 begins with B whatever else."""
    log_probs = np.full((len(tokens), 6), -30.0)
    for row, sentence, picture in zip(log_probs, tokens, pictures, strict=True):
        shares = {B: 1.0} if picture == 1 and len(sentence) == 1 else SHARES.get(int(sentence[-1]), {END: 1.0})
        for word, share in shares.items():
            row[word] = np.log(share)
    return log_probs


def test_decoding_by_hand():
    tokens = captioning.greedy(toy_words, 2, length=6)
    np.testing.assert_array_equal(tokens, [[START, A, C, END], [START, B, END, 0]])
    assert captioning.beam(toy_words, 0, width=1, length=6)[0][0] == (START, A, C, END)  # a beam of one is greedy
    # kept after the first word: A 0.6, B 0.4; after the second: B END 0.36, A C 0.216 (not A B 0.204, A END 0.18)
    best, second = captioning.beam(toy_words, 0, width=2, length=6)
    assert best[0] == (START, B, END) and best[1] == pytest.approx(np.log(0.4 * 0.9))
    assert second[0] == (START, A, C, END) and second[1] == pytest.approx(np.log(0.6 * 0.36 * 0.5))
    assert captioning.beam(toy_words, 1, width=2, length=6)[0][0] == (START, B, END)


def test_the_second_best_caption_may_end_after_a_better_one_has():
    """START A 0.55, START END 0.30; A C 0.5, A END 0.2; C END 0.9: second is A C END (0.2475), not A END (0.11)."""
    following = {START: {A: 0.55, END: 0.3}, A: {C: 0.5, END: 0.2}, C: {END: 0.9}}

    def next_words(tokens, pictures):
        return np.log([[following.get(last, {}).get(word, 0.01) for word in range(6)] for last in tokens[:, -1]])

    found = captioning.beam(next_words, 0, width=2, length=6)
    assert [tokens for tokens, _ in found] == [(START, END), (START, A, C, END)]


def test_what_never_ends_stops_at_the_length():
    def endless(tokens, pictures):
        return np.log(np.tile([1e-9, 1e-9, 1e-9, 0.7, 0.3, 1e-9], (len(tokens), 1)))

    np.testing.assert_array_equal(captioning.greedy(endless, 1, length=4), [[START, A, A, A]])
    assert captioning.beam(endless, 0, width=2, length=4)[0][0] == (START, A, A, A)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_wide_beam_finds_the_best_of_all_sentences(seed):
    table = np.log(np.random.default_rng(seed).dirichlet(np.ones(6), size=(4, 6)) + 1e-12)

    def score(words):
        sentence = (START, *words, END)
        return sum(table[at, sentence[at], sentence[at + 1]] for at in range(len(sentence) - 1))

    brute = max(score(words) for count in range(4) for words in itertools.product([0, START, A, B, C], repeat=count))
    found = captioning.beam(lambda tokens, _: table[tokens.shape[1] - 1, tokens[:, -1]], 0, width=6**4, length=5)
    assert found[0][1] == pytest.approx(brute, rel=1e-5)


@pytest.fixture(scope="module")
def small():
    """(captioner with random weights and batch statistics, pictures [3, 16, 16, 3], tokens of three captions)"""
    keras.utils.set_random_seed(1)
    vision, rng = encoder.build_vision(16, 12, (4, 6, 6, 6, 8), rare=-1), np.random.default_rng(1)
    for layer in vision.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    texts = "a pizza with basil, cheese and red ginger on a red plate", "an okonomiyaki with okonomiyaki sauce"
    texts = *texts, "a pizza with red ginger in a dark pan"
    pictures = np.random.default_rng(0).random((3, 16, 16, 3), np.float32)
    tokens = captioning.VOCABULARY.encode(texts, captioning.LENGTH, marks=True)
    return captioning.build_captioner(vision), pictures, tokens


def word_log_probs(captioner, pictures, tokens):
    """Log-probability of each token but the first, given the true ones before it, by hand: [B, T - 1]."""
    log_probs = captioner.predict([pictures, tokens[:, :-1]], verbose=0)
    return np.take_along_axis(log_probs, tokens[:, 1:, None], axis=-1)[..., 0]


def test_a_word_sees_the_words_before_it_and_no_other(small):
    captioner, pictures, tokens = small
    before = captioner.predict([pictures, tokens[:, :-1]], verbose=0)
    changed = tokens.copy()
    changed[:, 6:] = 7
    after = captioner.predict([pictures, changed[:, :-1]], verbose=0)
    np.testing.assert_allclose(after[:, :6], before[:, :6], atol=1e-6)
    assert np.abs(after[:, 6] - before[:, 6]).max() > 1e-4
    np.testing.assert_allclose(np.exp(before).sum(-1), 1, rtol=1e-5)


def test_decoding_asks_the_network(small):
    captioner, pictures, _ = small
    next_words = captioning.next_words_of(captioner, pictures)
    tokens = captioning.greedy(next_words, 3, length=6)
    full = np.pad(tokens, ((0, 0), (0, captioning.LENGTH - tokens.shape[1])))
    log_probs = captioner.predict([pictures, full[:, :-1]], verbose=0)
    np.testing.assert_array_equal(log_probs.argmax(-1)[:, :5], tokens[:, 1:6])
    for sentence, score in captioning.beam(next_words, 1, width=4, length=4):
        row = np.pad(sentence, (0, captioning.LENGTH - len(sentence)))[None]
        words = word_log_probs(captioner, pictures[1:2], row)[0, : len(sentence) - 1]
        assert score == pytest.approx(words.sum(), rel=1e-4)


def test_a_caption_scores_the_sum_of_its_words(small):
    captioner, pictures, tokens = small
    scorer, log_probs = captioning.scorer(captioner), word_log_probs(captioner, pictures, tokens)
    count, places = captioning.LENGTH - 1, np.eye(captioning.LENGTH, dtype=np.float32)[1:]
    rows = [np.repeat(pictures, count, axis=0), np.repeat(tokens, count, axis=0), np.tile(places, (3, 1))]
    np.testing.assert_allclose(scorer.predict(rows, 3 * count, verbose=0).reshape(3, count), log_probs, rtol=1e-5)
    whole = scorer.predict([pictures, tokens, captioning.caption_words(tokens)], verbose=0)
    words = tokens[:, 1:] > END  # neither end nor padding
    np.testing.assert_allclose(whole, np.where(words, log_probs, 0).sum(1), rtol=1e-5)


def test_explaining_a_caption_adds_up_what_explains_its_words(small):
    captioner, pictures, tokens = small
    explain = Gradient(captioning.scorer(captioner), score=captioning.total)
    chosen, places = captioning.caption_words(tokens), np.arange(captioning.LENGTH)
    whole = explain([pictures, tokens, chosen])
    single = sum(explain([pictures, tokens, chosen * (places == at)]) for at in places[1:])
    np.testing.assert_allclose(single, whole, atol=1e-5 * np.abs(whole).max())
    assert explain.traces == 1


def test_scorer_and_picking_the_word_from_the_output_are_the_same(small):
    captioner, pictures, tokens = small
    scored_by, highest = GradCAM(captioning.scorer(captioner), score=captioning.total), []
    for place in (2, 4, 6):
        pick = GradCAM(captioner, score=lambda log_probs, at=place: log_probs[:, at - 1, int(tokens[0, at])])
        picked = pick([pictures[:1], tokens[:1, :-1]])
        chosen = np.eye(captioning.LENGTH, dtype=np.float32)[[place]]
        np.testing.assert_allclose(scored_by([pictures[:1], tokens[:1], chosen]), picked, rtol=1e-4, atol=1e-7)
        highest.append(picked.max())
    assert max(highest) > 0


def test_next_words_are_learned_from_the_true_words_before(small):
    _, _, tokens = small
    images = np.zeros((3, 16, 16, 3), np.uint8)
    (pictures, before), following = next(iter(captioning.batches(images, tokens)))
    rows = [row[row > 0] for row in tokens]
    np.testing.assert_array_equal(following, np.concatenate([row[1:] for row in rows]))
    np.testing.assert_array_equal(before.numpy()[before.numpy() > 0], np.concatenate([row[:-1] for row in rows]))
    assert pictures.shape == (3, 16, 16, 3) and not (before.numpy() == END).any()


def test_training_learns_captions_by_heart(tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "LEARNING_RATE", 0.01)  # five times the usual, for fewer steps
    keras.utils.set_random_seed(0)
    captioner = captioning.build_captioner(encoder.build_vision(16, 48, (4, 6, 6, 6, 8), rare=0))
    texts = ["a pizza with basil", "an okonomiyaki on a red plate", "a pizza with cheese and basil in a dark pan"]
    images = np.stack([np.full((16, 16, 3), shade, np.uint8) for shade in (10, 120, 240)] * 128)
    history = captioning.train(captioner, tmp_path / "run", images, texts * 128, epochs=7, progress=False)
    assert history[0]["accuracy"] < 0.6 and history[-1]["accuracy"] > 0.9
    pictures = images[:3] / np.float32(255)
    assert captioning.write(captioner, pictures) == captioning.write(captioner, pictures, width=3) == texts
    figures = captioning.measure(captioner, pictures, texts)
    assert figures["exact"] == figures["words"] == 1 and figures["bleu"] == pytest.approx(100)
    figures = captioning.measure(captioner, pictures, texts, written=[texts[0], "a pizza", texts[2]])
    assert figures["exact"] == pytest.approx(2 / 3) and figures["bleu"] == pytest.approx(75.115, abs=0.01)


def test_phrases_are_found_in_captions(small):
    _, _, tokens = small
    chosen = captioning.phrase_words(tokens[[0, 2]], "red ginger")
    numbers = [captioning.VOCABULARY.number(word) for word in ("red", "ginger")]
    assert [list(row[marks == 1]) for row, marks in zip(tokens[[0, 2]], chosen, strict=True)] == [numbers, numbers]
    with pytest.raises(ValueError, match="'red ginger' is not in the caption 'an okonomiyaki with okonomiyaki sauce'"):
        captioning.phrase_words(tokens[1:2], "red ginger")
    with pytest.raises(ValueError, match="unknown word 'sushi'"):
        captioning.phrase_words(tokens, "sushi")


@pytest.fixture(scope="module")
def shipped():
    """(the shipped captioner, its 200 test scenes)"""
    return captioning.load(), [sentences.draw(seed) for seed in sentences.TEST_SEEDS]


def test_shipped_captions_are_as_good_as_stated(shipped):
    captioner, scenes = shipped
    images = np.stack([scene.image for scene in scenes]) / np.float32(255)
    figures = captioning.measure(captioner, images, [sentences.caption(scene) for scene in scenes])
    stated = trained.known(captioning.NAME)
    assert figures == pytest.approx({name: stated[name] for name in figures}, abs=0.02, rel=0.02)
    assert figures["exact"] > 0.79 and figures["words"] > 0.975 and figures["bleu"] > 91, figures
    assert trained.weights_file(captioning.NAME).stat().st_size < 3e6


def test_shipped_words_are_looked_at_where_they_are(shipped):
    captioner, scenes = shipped
    written = captioning.write(captioner, np.stack([scene.image for scene in scenes]) / np.float32(255))
    _, _, inputs, masks = captioning.phrase_examples(scenes, written)
    scored, total = captioning.scorer(captioner), captioning.total
    for explain in GradCAM(scored, score=total), GuidedGradCAM(scored, score=total, relus_in="vision"):
        times = faithfulness.times_chance(explain(inputs), masks)
        assert times["hits"] > 3.4 and times["energy"] > 2.2, times
        if isinstance(explain, GradCAM) and not isinstance(explain, GuidedGradCAM):
            assert times == pytest.approx(trained.known(captioning.NAME)["times_chance"], rel=0.03)


def test_captions_that_name_nothing_that_is_there_are_refused():
    with pytest.raises(ValueError, match="none names an ingredient"):
        captioning.phrase_examples([sentences.draw(1)], ["a pizza"])


def test_examples_are_what_a_caption_names_and_the_picture_shows():
    scenes = [sentences.draw(seed) for seed in sentences.TEST_SEEDS[:12]]
    true = [sentences.caption(scene) for scene in scenes]
    which, parts, (_, tokens, chosen), masks = captioning.phrase_examples(scenes, true)
    assert [list(parts[which == i]) for i in range(12)] == [list(sentences.visible(scene.masks)) for scene in scenes]
    spoken = [captioning.VOCABULARY.decode(row[marks == 1]) for row, marks in zip(tokens, chosen, strict=True)]
    assert spoken == [sentences.PHRASES[part] for part in parts]
    for index, part, mask in zip(which, parts, masks, strict=True):
        np.testing.assert_array_equal(mask, scenes[index].masks[part])
    silent, *_ = captioning.phrase_examples(scenes, ["a pizza with basil"] * 12)
    assert list(silent) == [i for i, scene in enumerate(scenes) if "basil" in sentences.visible(scene.masks)]
