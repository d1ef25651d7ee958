"""What of a `deep` network scikit-learn fits: the regression, and what a recording is like."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from ser_core import networks, recipe, regressions

FRAMES, CHANNELS = 74, 512


def build(labels, corpora=1):
    settings = [f"labels={json.dumps(labels)}", "network.blocks=1", f"network.corpora={corpora}"]
    loaded = recipe.load("deep", [*settings, "data.corpus=ravdess+tess"])
    scale = networks.Scale(np.full(CHANNELS, 0.5), np.full(CHANNELS, 2.0))
    return loaded, networks.build(loaded, scale)


def batches_of(windows, truth, labels, corpus):
    speaker = [str(index // 10) for index in range(len(truth))]
    return SimpleNamespace(
        in_order=lambda: np.array_split(windows, 3),
        targets=np.eye(len(labels))[truth],
        weights=np.ones(len(truth)),
        utterances=pd.DataFrame({"corpus": corpus, "speaker": speaker}),
    )


@pytest.mark.parametrize(("labels", "absent"), [(2, ()), (3, ()), (4, (1,))])
def test_a_regression_is_added_to_the_logits(labels, absent):
    names = ["neutral", "happy", "sad", "angry"][:labels]
    loaded, network = build(names)
    rng = np.random.default_rng(0)

    def frames(truth):
        found = rng.normal(truth[:, None, None], 1 + truth[:, None, None], (len(truth), 74, 512))
        for clip, length in zip(found, rng.integers(10, 74, len(truth)), strict=True):
            clip[length:] = 0
        return found.astype(np.float32)

    truth = np.setdiff1d(np.arange(labels), absent).repeat(8)
    batches = batches_of(frames(truth), truth, names, np.array(["ravdess"] * len(truth)))
    head, unseen = networks.head(network), frames(truth)
    before = head.predict(unseen, verbose=0)
    regressions.fit_emotions(loaded, network, batches)
    after = head.predict(unseen, verbose=0)
    added = after["logits"] - before["logits"]
    assert list(added.argmax(axis=1)) == list(truth)
    np.testing.assert_allclose(after["embedding"][:, -labels:], added, atol=1e-3)
    np.testing.assert_allclose(
        after["embedding"][:, :-labels], before["embedding"][:, :-labels], atol=1e-5
    )
    kernel, bias = network.get_layer("logits").get_weights()
    np.testing.assert_allclose(after["embedding"] @ kernel + bias, after["logits"], atol=1e-3)


CLIPS = 120


def of(network, layer, windows):
    output = network.get_layer(layer).output
    part = keras.Model(network.get_layer(networks.HEARD).output, output)
    return part.predict(windows, verbose=0)


def conflicting(rng, corpus):
    """Frames in which what is happy in one corpus is sad in the other."""
    truth = rng.integers(0, 2, CLIPS)
    lively = truth if corpus == "tess" else 1 - truth
    # Each microphone has a mean of its own, and each voice differs from it, some more than others.
    microphone = np.random.default_rng(len(corpus)).normal(0, 2, CHANNELS)
    voice = rng.lognormal(-1.2, 0.4, (CLIPS, 1, 1)) * rng.normal(0, 1, (CLIPS, 1, CHANNELS))
    mean, noise = microphone + voice, rng.normal(0, 1, (CLIPS, FRAMES, CHANNELS))
    return (mean + noise * (1 + 0.3 * lively[:, None, None])).astype(np.float32), truth


def test_corpora_that_contradict_each_other_are_both_learned():
    labels, rng = ["happy", "sad"], np.random.default_rng(0)
    known = {corpus: conflicting(rng, corpus) for corpus in ("ravdess", "tess")}
    windows, truth = (np.concatenate(each) for each in zip(*known.values(), strict=True))
    batches = batches_of(windows, truth, labels, np.repeat(list(known), CLIPS))
    unseen = {corpus: conflicting(rng, corpus) for corpus in known}

    def heard(corpora):
        loaded, network = build(labels, corpora)
        regressions.fit_likeness(loaded, network, batches)
        regressions.fit_emotions(loaded, network, batches)
        return network, [
            of(network, "embedding", windows)[:, -2:].argmax(axis=1) == truth
            for windows, truth in unseen.values()
        ]

    _, right = heard(corpora=1)
    assert np.mean(right) < 0.7, "one regression cannot have both"
    network, right = heard(corpora=2)
    for index, (windows, _) in enumerate(unseen.values()):
        assert (of(network, networks.LIKENESS, windows).argmax(axis=1) == index).all()
        assert np.median(of(network, networks.FAMILIAR, windows)) > 0.8
        assert right[index].mean() > 0.95
    elsewhere, _ = conflicting(rng, "another microphone")
    assert np.max(of(network, networks.FAMILIAR, elsewhere)) < 0.05, (
        "what nobody taught it is shared alone"
    )


def test_with_one_corpus_to_learn_from_the_parts_of_others_add_nothing():
    labels, rng = ["happy", "sad"], np.random.default_rng(0)
    windows, truth = conflicting(rng, "tess")
    batches = batches_of(windows, truth, labels, np.array(["tess"] * CLIPS))
    answers = []
    for corpora in (1, 2):
        loaded, network = build(labels, corpora)
        regressions.fit_likeness(loaded, network, batches)
        regressions.fit_emotions(loaded, network, batches)
        answers.append(networks.head(network).predict(windows, verbose=0)["embedding"][:, -2:])
    np.testing.assert_allclose(*answers, atol=1e-3)


def test_a_few_recordings_of_two_corpora_are_enough_to_go_on():
    labels, rng = ["happy", "sad"], np.random.default_rng(0)
    known = [conflicting(rng, corpus) for corpus in ("ravdess", "tess")]
    windows = np.concatenate([values[:20] for values, _ in known])
    truth = np.concatenate([said[:20] for _, said in known])
    batches = batches_of(windows, truth, labels, np.repeat(["ravdess", "tess"], 20))
    loaded, network = build(labels, corpora=2)
    regressions.fit_likeness(loaded, network, batches)
    regressions.fit_emotions(loaded, network, batches)
    heard = networks.head(network).predict(windows, verbose=0)
    assert np.isfinite(heard["logits"]).all()
    assert np.mean(heard["embedding"][:, -2:].argmax(axis=1) == truth) > 0.9


def test_a_recipe_has_room_for_its_corpora():
    with pytest.raises(recipe.RecipeError, match="network.corpora must be 1, or 4"):
        recipe.load("deep", ["network.corpora=3"])
