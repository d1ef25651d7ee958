import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ser_core import linear

CORPUS = np.repeat(["a", "b", "c"], [60, 60, 30])


def applied(function, values):
    return values @ function[:-1] + function[-1]


@pytest.mark.parametrize("there", [(0, 1), (0, 2, 3)])
def test_a_linear_function_answers_as_scikit_learn_does(there):
    rng = np.random.default_rng(0)
    truth = np.resize(there, 90)
    values = rng.normal(truth[:, None] + 3, [1, 5, 0.1], (90, 3))
    weights = rng.uniform(0.5, 2, 90)
    logits = applied(linear.fit(values, truth, 4, 0.3, weights, absent=-7), values)
    scaled = StandardScaler().fit_transform(values)
    model = LogisticRegression(C=0.3, max_iter=1000).fit(scaled, truth, weights)
    expected = model.predict_log_proba(scaled)
    found = logits[:, there] - np.logaddexp.reduce(logits[:, there], axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    absent = np.setdiff1d(np.arange(4), there)
    np.testing.assert_allclose(logits[:, absent], -7)


def test_what_corpora_add_is_half_of_what_they_say_otherwise():
    rng = np.random.default_rng(0)
    truth = np.concatenate([np.resize([0, 1, 2], 60), np.resize([0, 1], 60), np.zeros(30, int)])
    values = rng.normal(truth[:, None], 1, (150, 2))
    weights, names = linear.class_weights(truth, CORPUS), ["a", "b", "c", "nowhere"]
    shared, *added = linear.fit_by_corpus(values, truth, 4, 0.3, weights, CORPUS, names)
    np.testing.assert_array_equal(shared, linear.fit(values, truth, 4, 0.3, weights))
    for name, part in zip("ab", added, strict=False):
        of = CORPUS == name
        alone = linear.fit(values[of], truth[of], 4, 0.3, weights[of], absent=0)
        np.testing.assert_allclose((shared + part)[:, :3], ((shared + alone) / 2)[:, :3])
        assert not part[:, 3].any(), "nobody has that class"
    assert not np.any(added[2]) and not np.any(added[3]), "one class alone, and nothing at all"
    of = CORPUS == "a"
    chosen = values[of], truth[of], 4, 0.3, weights[of], CORPUS[of]
    assert not np.any(linear.fit_by_corpus(*chosen, ["a"])[1]), "alone, it is what is shared"
