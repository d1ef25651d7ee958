import numpy as np
import pytest

from ser_core import dtdnn, fbank
from tests.helpers import ROOT, speech_like


@pytest.fixture(scope="module")
def golden():
    """What Kaldi and the original network, in PyTorch, make of a synthetic voice."""
    with np.load(ROOT / "tests" / "golden" / "campplus.npz") as stored:
        return dict(stored)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_trunk_is_the_original(golden, blocks):
    heard = golden["fbank"] - golden["fbank"].mean(axis=0)
    model = dtdnn.pretrained(298, blocks)
    assert not model.trainable_weights
    (frames,) = model.predict(np.pad(heard, ((0, 100), (0, 0)))[None], verbose=0)
    ours, theirs = frames[golden["steps"]], golden[f"block{blocks}"]
    assert ours.shape == theirs.shape == (7, 512 * blocks)
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_padding_changes_nothing_and_is_silent():
    window = fbank.window(speech_like(1.0), fbank.FbankSpec(kind="fbank", frames=98))
    short, long = dtdnn.pretrained(98), dtdnn.pretrained(298)
    (alone,) = short.predict(window[None], verbose=0)
    (padded,) = long.predict(np.pad(window, ((0, 200), (0, 0)))[None], verbose=0)
    np.testing.assert_allclose(padded[:49], alone, atol=1e-3)
    assert not padded[49:].any()
