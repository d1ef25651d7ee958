"""A model and a recording in, a prediction out; no TensorFlow."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from ser_core import audio, bundle, features, profile
from ser_core.locations import DEFAULT_MODEL, find_model

UNCLEAR = "No emotion stands out clearly enough to rely on."

_FIGURES = ("speech_seconds", "peak", "clipped_fraction", "snr_db")  # of a recording's quality

# Windows run together: enough to keep the processor busy; twice as many cost `deep` 200 MB more.
BATCH = 16


@dataclass(frozen=True)
class Window:
    """A stretch of a recording, `start` to `end` in seconds, and its probabilities by emotion."""

    start: float
    end: float
    probabilities: dict[str, float]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model hears in a recording.

    Attributes:
        probabilities: by emotion, calibrated, averaged over the windows; all alike if nothing
            could be judged.
        label: the likeliest emotion, or None if nothing could be judged.
        confidence: the label's probability.
        abstained: whether the label should not be relied on, and
        reason: the sentence that says why; empty otherwise.
        windows: those of 3 s (or the whole, if shorter) in which there is speech.
        attention: `(steps,)` how much each moment counted, of the whole recording, summing to one;
            empty if the model does not attend.
        attention_times: `(steps,)` middle of each moment in seconds.
        embedding: `(size,)` the mean of the windows' embeddings.
        quality: of the recording.
        model: name of the model.
        weights: what tells it from others that have, had or will have its name: the card's.
        seconds: time taken.
    """

    probabilities: dict[str, float]
    label: str | None
    confidence: float
    abstained: bool
    reason: str
    windows: tuple[Window, ...]
    attention: np.ndarray
    attention_times: np.ndarray
    embedding: np.ndarray
    quality: audio.Quality
    model: str
    weights: str
    seconds: float

    @property
    def has_guess(self) -> bool:
        """Whether the likeliest emotion may be named as a guess: the recording can be judged.

        Of less than half a second of speech there are probabilities, too, but they say nothing.
        """
        unfit = any(issue.severity == "error" for issue in self.quality.issues)
        return self.label is not None and not unfit

    def as_dict(self) -> dict:
        """Return what `predict --json` shows of a recording: plain values, rounded."""
        quality = asdict(self.quality)
        return {
            "model": self.model,
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "abstained": self.abstained,
            "reason": self.reason,
            "probabilities": _rounded(self.probabilities),
            "duration": round(quality.pop("duration"), 3),
            "quality": quality | {name: round(quality[name], 4) for name in _FIGURES},
            "windows": [
                {
                    "start": round(window.start, 3),
                    "end": round(window.end, 3),
                    "probabilities": _rounded(window.probabilities),
                }
                for window in self.windows
            ],
            "seconds": round(self.seconds, 4),
        }


class Recognizer:
    """Hears emotions in clips; safe to share between threads, never changed after it is made."""

    def __init__(self, model: bundle.Bundle):
        """Serve a loaded model."""
        self.bundle = model
        self.card = model.card

    @classmethod
    def from_name(cls, name_or_folder: str | Path = DEFAULT_MODEL) -> "Recognizer":
        """Load a shipped or trained model by name, or any by its folder.

        Raises:
            BundleError: there is no such model, or it is damaged.
        """
        return cls(bundle.load(find_model(name_or_folder)))

    def predict(
        self, clip: audio.Clip, *, on_batch: Callable[[float], None] = lambda done: None
    ) -> Prediction:
        """Predict one clip of any length.

        Clips longer than a window are judged window by window, windows without speech left out.

        Args:
            clip: what to judge.
            on_batch: called as the work proceeds with the fraction that is done; whatever it
                raises ends the work.

        Raises:
            UndertoneError: ONNX Runtime fails, or what tells speech is missing or damaged.
        """
        started = time.perf_counter()
        active = audio.voice_activity(clip.samples)
        quality = audio.quality(clip, active)
        heard, outputs = [], [self.bundle.run(features.join([], self.card.features).values)]
        spoken = _speech(clip, active, self.card.features)
        for windows in spoken if quality.speech_seconds else ():
            outputs.append(self.bundle.run(windows.values))
            # Of a long clip, what the network saw is too much to keep.
            heard.append(replace(windows, values=windows.values[:0]))
            on_batch(float(windows.ends[-1]) / clip.duration)
        return self._prediction(
            quality,
            features.join(heard, self.card.features),
            {name: np.concatenate([part[name] for part in outputs]) for name in outputs[0]},
            time.perf_counter() - started,
        )

    def predict_many(self, clips: Sequence[audio.Clip]) -> list[Prediction]:
        """Predict many short clips in common batches; `seconds` is each one's share of the time.

        Raises:
            UndertoneError: as `predict`.
        """
        if not clips:
            return []
        started = time.perf_counter()
        spec = self.card.features
        activities = [audio.voice_activity(clip.samples) for clip in clips]
        heard = list(zip(clips, activities, strict=True))
        qualities = [audio.quality(clip, active) for clip, active in heard]
        windows = [
            features.join(list(_speech(*each, spec)) if quality.speech_seconds else [], spec)
            for each, quality in zip(heard, qualities, strict=True)
        ]
        outputs = self._run(np.concatenate([item.values for item in windows]))
        ends = np.cumsum([len(item.values) for item in windows])
        taken = (time.perf_counter() - started) / len(clips)
        return [
            self._prediction(quality, item, _part(outputs, end - len(item.values), end), taken)
            for quality, item, end in zip(qualities, windows, ends, strict=True)
        ]

    def _run(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        # Nothing to run still gives outputs, of no rows.
        starts = range(0, max(len(windows), 1), BATCH)
        parts = [self.bundle.run(windows[start : start + BATCH]) for start in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _prediction(
        self,
        quality: audio.Quality,
        windows: features.Windows,
        outputs: dict[str, np.ndarray],
        seconds: float,
    ) -> Prediction:
        if not np.isfinite(outputs["logits"]).all():
            raise bundle.BundleError(
                f"the model '{self.card.name}' answers this with what is no number; choose another "
                "model"
            )
        by_window = _softmax(outputs["logits"] / self.card.temperature)
        attention, times = np.empty(0), np.empty(0)
        if "attention" in outputs:
            attention, times = _attention(windows, outputs["attention"], self.card.features)
        return Prediction(
            **self._answer(quality, windows.starts, windows.ends, by_window),
            attention=attention,
            attention_times=times,
            embedding=outputs["embedding"].sum(axis=0) / max(len(by_window), 1),
            quality=quality,
            model=self.card.name,
            weights=self.card.weights,
            seconds=seconds,
        )

    def _answer(
        self,
        quality: audio.Quality,
        starts: Sequence[float],
        ends: Sequence[float],
        by_window: np.ndarray,
    ) -> dict:
        labels = self.card.labels
        judged = len(by_window) > 0
        mean = by_window.mean(axis=0) if judged else np.full(len(labels), 1 / len(labels))
        best = int(mean.argmax())
        confidence = float(mean[best])
        reason = self._reason(quality, confidence)
        return {
            "probabilities": _by_label(labels, mean),
            "label": labels[best] if judged else None,
            "confidence": confidence,
            "abstained": bool(reason),
            "reason": reason,
            "windows": tuple(
                Window(float(start), float(end), _by_label(labels, row))
                for start, end, row in zip(starts, ends, by_window, strict=True)
            ),
        }

    def with_voice(self, prediction: Prediction, voice: profile.Voice) -> Prediction:
        """Return a prediction as it is once the speaker's voice is known.

        Args:
            prediction: of this model.
            voice: of who speaks in it.

        Raises:
            ProfileError: the profile was made for another model.
        """
        profile.check(voice, self.bundle)
        change = profile.correction(np.array(voice.offset), voice.clips, self.bundle.space)
        windows = prediction.windows
        values = np.array([list(window.probabilities.values()) for window in windows])
        # Their logarithms are the logits over the temperature, but for a constant.
        logits = np.log(np.maximum(values.reshape(len(windows), len(change)), 1e-30))
        answer = self._answer(
            prediction.quality,
            [window.start for window in windows],
            [window.end for window in windows],
            _softmax(logits + change / self.card.temperature),
        )
        return replace(prediction, **answer)

    def _reason(self, quality: audio.Quality, confidence: float) -> str:
        errors = [issue.text for issue in quality.issues if issue.severity == "error"]
        if errors:
            return errors[0]
        if confidence < self.card.threshold:
            return UNCLEAR
        return ""


def _speech(
    clip: audio.Clip, active: np.ndarray, spec: features.Features
) -> Iterator[features.Windows]:
    """Yield the windows of a clip with speech in batches, of a long one those with enough of it.

    Args:
        clip: of any length.
        active: its `voice_activity`.
        spec: which features.
    """

    def enough(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        hop = audio.ACTIVITY_HOP / clip.sample_rate
        spoken = [
            active[int(start / hop) : int(end / hop)].sum() * hop
            for start, end in zip(starts, ends, strict=True)
        ]
        # Where words are so far apart that no window holds enough, those with most must do.
        return np.array(spoken) >= min(audio.LEAST_SPEECH, max(spoken))

    return features.window_batches(clip, spec, keep=enough, size=BATCH)


def _part(outputs: dict[str, np.ndarray], start: int, end: int) -> dict[str, np.ndarray]:
    return {name: values[start:end] for name, values in outputs.items()}


def _attention(
    windows: features.Windows, weights: np.ndarray, spec: features.Features
) -> tuple[np.ndarray, np.ndarray]:
    """Lay the windows' attention on one time axis, averaged where windows overlap."""
    # Pooling leaves out the frames that do not fill a step.
    step = spec.frames // weights.shape[1] * spec.hop_length / spec.sample_rate
    middles = windows.starts[:, None] + (np.arange(weights.shape[1]) + 0.5) * step
    inside = middles <= windows.ends[:, None]
    slots, index = np.unique((middles[inside] / step).astype(int), return_inverse=True)
    mean = np.bincount(index, weights[inside]) / np.bincount(index)
    total = mean.sum()
    return (mean / total if total else mean), (slots + 0.5) * step


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return raised / raised.sum(axis=1, keepdims=True)


def _by_label(labels: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {label: float(value) for label, value in zip(labels, values, strict=True)}


def _rounded(probabilities: dict[str, float]) -> dict[str, float]:
    return {name: round(p, 4) for name, p in probabilities.items()}
