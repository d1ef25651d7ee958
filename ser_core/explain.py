"""Shows what a model listened to: where hiding the sound makes its answer less likely."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from ser_core import audio, fbank, features
from ser_core.errors import UndertoneError
from ser_core.fbank import FbankSpec
from ser_core.features import FeatureSpec
from ser_core.recognizer import Prediction, Recognizer

_BATCH = 32


@dataclass(frozen=True)
class _Grid:
    """What is hidden at a time: frames and bands, and how many from one patch to the next."""

    patch: tuple[int, int]
    step: tuple[int, int]


_GRIDS = {
    # 0.26 s and an eighth of the mel scale; most spots are hidden four times.
    FeatureSpec: _Grid(patch=(16, 8), step=(8, 4)),
    # 0.32 s and a fifth of it, twice: what hears filter banks is slower by far.
    FbankSpec: _Grid(patch=(32, 16), step=(16, 16)),
}


@dataclass(frozen=True, eq=False)
class Occlusion:
    """How much each spot of a log-mel spectrogram speaks for an answer.

    Attributes:
        label: the answer.
        times: `(frames,)` middle of each frame, in seconds from the clip's beginning.
        hertz: `(bands,)` middle of each band.
        importance: float32 `(frames, bands)`, by how much the label's probability (0 to 1) falls
            when this spot is hidden with what is around it; negative where it rises.
    """

    label: str
    times: np.ndarray
    hertz: np.ndarray
    importance: np.ndarray


def can_explain(recognizer: Recognizer) -> bool:
    """Say whether `occlusion` can be asked about a model: one that sees mel spectrograms."""
    return type(recognizer.card.features) in _GRIDS


def occlusion(
    recognizer: Recognizer, clip: audio.Clip, *, prediction: Prediction | None = None
) -> Occlusion:
    """Hide one patch of a clip's log-mel spectrogram after another and see if the answer stands.

    A patch is hidden behind the mean of its window, because silence would be a clue of its own.
    After Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
    The map covers all windows of a clip that has one or two (up to about 4.5 s); of a longer clip,
    the window in which the label is likeliest. So its cost has a bound.

    Args:
        recognizer: whose answer is to be explained.
        clip: what it was given.
        prediction: what it answered, if that is known already.

    Raises:
        UndertoneError: there is no answer, because nobody speaks in the clip; or the model does not
            look at a log-mel spectrogram.
    """
    if not can_explain(recognizer):
        raise UndertoneError(
            f"what {recognizer.card.name} listened to cannot be shown; choose a model that looks "
            "at the spectrogram"
        )
    prediction = prediction or recognizer.predict(clip)
    if prediction.label is None:
        raise UndertoneError("there is no answer to explain; give a recording of somebody speaking")
    spec = recognizer.card.features
    windows = _windows(clip, spec, prediction)
    rate = spec.sample_rate / spec.hop_length
    first = np.round((windows.starts - windows.starts[0]) * rate).astype(int)
    # What follows the clip's end is padding.
    samples = np.round((windows.ends - windows.starts) * spec.sample_rate).astype(int)
    lengths = np.array([min(spec.frame_count(count), spec.frames) for count in samples])
    lost = np.zeros((int((first + lengths).max()), spec.shape[1]), np.float32)
    hidden = np.zeros_like(lost)
    for values, begin, length in zip(windows.values, first, lengths, strict=True):
        here = slice(begin, begin + length)
        for patch, fall in _falls(recognizer, values, length, prediction.label):
            lost[here][patch] += fall
            hidden[here][patch] += 1
    return Occlusion(
        label=prediction.label,
        times=windows.starts[0] + np.arange(len(lost)) / rate,
        hertz=_band_centres(spec),
        # What lies between two windows of a clip with a long pause was never hidden.
        importance=lost / np.maximum(hidden, 1),
    )


def _windows(
    clip: audio.Clip, spec: FeatureSpec | FbankSpec, prediction: Prediction
) -> features.Windows:
    """Return the windows that the map is made of."""
    windows = prediction.windows
    if len(windows) > 2:
        windows = [max(windows, key=lambda window: window.probabilities[prediction.label])]
    wanted = [window.start for window in windows]

    def nearest(starts: np.ndarray, _: np.ndarray) -> np.ndarray:
        # Not the very same: the clip was kept in 16 bit since, which may move where it begins.
        chosen = [np.abs(starts - start).argmin() for start in wanted]
        return np.isin(np.arange(len(starts)), chosen)

    found = features.window_batches(clip, spec, keep=nearest)
    return features.join(list(found), spec)


def _falls(
    recognizer: Recognizer, values: np.ndarray, length: int, label: str
) -> Iterator[tuple[tuple[slice, slice], float]]:
    """Yield each patch of a window's first `length` frames, and what hiding it takes away."""
    whole = _probability(recognizer, values[None], label)
    mean = values[:length].mean()
    grid = _GRIDS[type(recognizer.card.features)]
    corners = product(range(0, length, grid.step[0]), range(0, values.shape[1], grid.step[1]))
    patches = [
        (slice(frame, min(frame + grid.patch[0], length)), slice(band, band + grid.patch[1]))
        for frame, band in corners
    ]
    for start in range(0, len(patches), _BATCH):
        batch = patches[start : start + _BATCH]
        altered = np.repeat(values[None], len(batch), axis=0)
        for one, patch in zip(altered, batch, strict=True):
            one[patch] = mean
        yield from zip(batch, whole - _probability(recognizer, altered, label), strict=True)


def _probability(recognizer: Recognizer, values: np.ndarray, label: str) -> np.ndarray:
    """Return the label's calibrated probability in each of some windows, `(windows,)`."""
    logits = recognizer.bundle.run(values)["logits"] / recognizer.card.temperature
    return 1 / np.exp(logits - logits[:, [recognizer.card.labels.index(label)]]).sum(axis=1)


def _band_centres(spec: FeatureSpec | FbankSpec) -> np.ndarray:
    if isinstance(spec, FbankSpec):
        return fbank.band_centres()
    return features.band_centres(spec)
