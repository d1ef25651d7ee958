"""A model for use without Undertone: one file for its network, and all that is needed to use it.

Every archive holds the network, `README.md` (how sound becomes its input, and its output an
answer), `example.py` (the same as a program that runs), the model card and `card.json`. Only LiteRT
needs TensorFlow.
"""

import inspect
import json
import os
import re
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

from ser_core import apart, descriptors, fbank, features, shelf
from ser_core.audio import TRIM_HOP
from ser_core.bundle import BundleError
from ser_core.card import Card
from ser_core.descriptors import DescriptorSpec
from ser_core.errors import UndertoneError
from ser_core.fbank import FbankSpec
from ser_core.features import FeatureSpec

Format = Literal["keras", "onnx", "litert", "bundle"]
_NETWORKS = {"keras": "model.keras", "onnx": "model.onnx", "litert": "model.tflite"}
_NEEDS = {"keras": "keras with tensorflow", "onnx": "onnxruntime", "litert": "tensorflow"}


def write(name: str, format: Format, file: Path) -> None:
    """Write a ZIP archive of a model, whole or not at all.

    Args:
        name: of a model on the shelf.
        format: the kind of network; `bundle` is the model folder as it is, for `importing`.
        file: the archive; replaced if it is there.

    Raises:
        UndertoneError: there is no such model or format, or the file cannot be written.
    """
    if format not in get_args(Format):
        raise UndertoneError(
            f"there is no format '{format}'; choose one of {', '.join(get_args(Format))}"
        )
    if file.suffix.lower() != ".zip":
        raise UndertoneError(
            f"what is exported is a ZIP archive, but '{file.name}' does not end so; take "
            f"'{file.with_suffix('.zip').name}'"
        )
    model = shelf.find(name)
    shelf.load(name)  # what is damaged is not passed on
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=file.absolute().parent) as scratch:
            made = Path(scratch) / "made.zip"
            with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
                for inside, content in _contents(model, format, Path(scratch)).items():
                    if isinstance(content, Path):
                        archive.write(content, f"{name}/{inside}")
                    else:
                        archive.writestr(f"{name}/{inside}", content)
            os.replace(made, file)
    except OSError as error:
        raise UndertoneError(f"{file} cannot be written: {error.strerror or error}") from None


def as_bytes(name: str, format: Format) -> bytes:
    """Return what `write` writes; TensorFlow, if that is needed, stays in a process of its own.

    Raises:
        UndertoneError: as `write`, or a stranger's network asks for too much memory.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / f"{name}-{format}.zip"
            if format == "litert":
                stranger = shelf.find(name).origin is shelf.Origin.IMPORTED
                apart.run(
                    *("models", "export", name, "--format", format, "--output", str(file)),
                    most_bytes=apart.STRANGERS_MEMORY if stranger else None,
                )
            else:
                write(name, format, file)
            return file.read_bytes()
    except OSError as error:
        raise UndertoneError(
            f"there is no room to make the file on the server ({error.strerror})"
        ) from None


def _contents(model: shelf.Model, format: Format, scratch: Path) -> dict[str, Path | str]:
    folder, card = model.folder, model.card
    if format == "bundle":
        names = [*card.files, "card.json"]
        return {name: folder / name for name in names if (folder / name).is_file()}
    network = folder / _NETWORKS[format]
    if format == "litert":
        network = scratch / "model.tflite"
        export_litert(folder / "model.keras", network, card)
    if not network.is_file():
        raise BundleError(f"“{model.name}” has no {network.name}; choose another format")
    program = example(card, format)
    return {
        network.name: network,
        "README.md": readme(model.name, card, format, program),
        "example.py": program,
        "MODEL_CARD.md": folder / "README.md",
        "card.json": folder / "card.json",
    }


def export_litert(keras_file: Path, litert_file: Path, card: Card) -> None:
    """Export a saved Keras model to LiteRT, for one window at a time; loads TensorFlow."""
    import keras

    shape = card.features.shape
    model = keras.models.load_model(keras_file, safe_mode=True, compile=False)
    signature = [keras.InputSpec(shape=(1, *shape), dtype="float32")]
    # Keras says on stdout where it has saved it; there, the command line has its own answer.
    model.export(litert_file, format="litert", input_signature=signature, verbose=False)


def example(card: Card, format: Format) -> str:
    """Return a program that says what a model hears in a recording; `python example.py talk.wav`.

    Answers are the app's, but for the windows with little speech that it leaves out of long
    recordings.
    """
    loads, runs = _RUNNING[format]
    spec = card.features
    by = _by_librosa if isinstance(spec, FeatureSpec) else _by_undertone
    begins, windows = by(spec, loads)
    return (
        f"{begins}\nLABELS = {list(card.labels)}\n{windows}\n{runs}\n"
        f"logits = logits / {card.temperature!r}\n"
        "shares = np.exp(logits - logits.max(axis=1, keepdims=True))\n"
        "answer = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)\n"
        f"print('sure' if answer.max() >= {card.threshold!r} else 'unsure')\n"
        "for label, share in zip(LABELS, answer):\n"
        "    print(f'{label} {share:.4f}')\n"
    )


def _by_librosa(spec: FeatureSpec, loads: str) -> tuple[str, str]:
    """Return how an example begins, and how it comes by `windows`."""
    begins = f"import sys\n\nimport librosa\nimport numpy as np\n{loads}\n"
    step = spec.n_mels // spec.bands
    return begins, _LOG_MEL.format(**asdict(spec), trim_hop=TRIM_HOP, step=step)


def _by_undertone(spec: FbankSpec | DescriptorSpec, loads: str) -> tuple[str, str]:
    """Return the same, with the source of what makes a window here, so that it is written once."""
    module, names, count = _MAKES_A_WINDOW[type(spec)]
    constants = re.findall(r"^[A-Z_]+\b.* = .*$", inspect.getsource(module), re.M)
    functions = [features.window_starts, *(getattr(module, name) for name in names)]
    settings = asdict(spec)
    if isinstance(spec, DescriptorSpec):
        settings["sizes"] = spec.sizes
    begins = _SOURCE.format(
        loads=loads,
        sample_rate=spec.sample_rate,
        constants="\n".join(constants),
        functions="\n\n".join(map(inspect.getsource, functions)),
    )
    return begins, _OTHERS.format(
        settings="".join(f"    {key}={value!r},\n" for key, value in settings.items()),
        trim_db=spec.trim_db,
        trim_hop=TRIM_HOP,
        count=count,
        length=round(spec.window_seconds * spec.sample_rate),
    )


_LOG_MEL = """\
sound, rate = librosa.load(sys.argv[1], sr={sample_rate})
sound, _ = librosa.effects.trim(sound, top_db={trim_db}, hop_length={trim_hop})
mel = librosa.feature.melspectrogram(
    y=sound, sr=rate, n_fft={n_fft}, hop_length={hop_length}, n_mels={n_mels}
)
last = max(mel.shape[1] - {frames}, 0)
windows = np.full((len(starts := sorted({{*range(0, last, {frames} // 2), last}})), \
{frames}, {bands}), -{top_db})
for window, start in zip(windows, starts):
    level = librosa.power_to_db(mel[:, start : start + {frames}], ref=np.max, top_db={top_db})
    level = level.reshape({bands}, {step}, -1).mean(axis=1).T
    window[: len(level)] = level
windows = windows.astype(np.float32)"""
# Annotations name classes that are not there; so imported, they are not looked at.
_SOURCE = """\
from __future__ import annotations

import sys
from functools import lru_cache
from types import SimpleNamespace

import librosa
import numpy as np
{loads}

# Down to LABELS, the source of Undertone (MIT License, 2026, its authors). What it calls a spec
# is made below.
SAMPLE_RATE = {sample_rate}
{constants}


{functions}
"""
_OTHERS = """\
spec = SimpleNamespace(
{settings})
sound, _ = librosa.load(sys.argv[1], sr=SAMPLE_RATE)
sound, _ = librosa.effects.trim(sound, top_db={trim_db}, hop_length={trim_hop})
starts = window_starts({count}, spec.frames) * spec.hop_length
windows = np.stack([window(sound[start : start + {length}], spec) for start in starts])"""
# The module, the functions of it that are needed, and how many frames a sound has.
_MAKES_A_WINDOW = {
    FbankSpec: (
        fbank,
        ("window", "log_mel", "_povey", "_filters", "_edges", "_mel"),
        "max(1 + (len(sound) - LENGTH) // HOP, 1)",
    ),
    DescriptorSpec: (
        descriptors,
        ("window", "frame_by_frame", "_silence", "_decibels", "_delta"),
        "1 + len(sound) // spec.hop_length",
    ),
}
_RUNNING = {
    "onnx": (
        "import onnxruntime",
        'network = onnxruntime.InferenceSession("model.onnx")\n'
        'logits = network.run(["logits"], {network.get_inputs()[0].name: windows})[0]',
    ),
    "keras": (
        "import keras",
        'network = keras.models.load_model("model.keras", compile=False)\n'
        'logits = np.array(network(windows)["logits"])',
    ),
    "litert": (
        "import tensorflow as tf  # or the package ai-edge-litert, which is smaller",
        'network = tf.lite.Interpreter("model.tflite").get_signature_runner()\n'
        "logits = np.concatenate([network(args_0=window[None])['logits'] for window in windows])",
    ),
}


def readme(name: str, card: Card, format: Format, program: str) -> str:
    """Return the instructions that go with an exported model."""
    spec = card.features
    shape = " × ".join(map(str, spec.shape))
    labels = "\n".join(f"{index}. {label}" for index, label in enumerate(card.labels))
    how = _HOW[type(spec)]
    return f"""\
# {name}, as {_NETWORKS[format]}

{card.description}

It hears emotion as actors portray it, not what anyone feels, and must not decide about people. The
licence of the weights: {card.licence}. What is known about the model, its results by protocol and
its limits, is in `MODEL_CARD.md`.

## From sound to input

Mono at {spec.sample_rate} Hz: the mean of the channels, resampled. Silence at both ends, more than
{spec.trim_db} dB below the loudest frame (of 2048 samples, every {TRIM_HOP}), is cut off.

{how.format(**asdict(spec), seconds=spec.window_seconds)}

The input is float32, windows × {shape}.{_STANDARDISED if card.mean else ""}

All settings:

```json
{json.dumps(asdict(spec), indent=2)}
```

## From output to answer

The output `logits` has a value for each emotion, in this order:

{labels}

Divide it by the temperature {card.temperature:.4f}, then take the softmax: these are calibrated
probabilities of a window. A recording's are the mean over its windows. If the largest is below
{card.threshold:.4f}, Undertone says “I can't tell” instead of an answer.
{_ONE if format == "litert" else ""}
## Example

It needs librosa and {_NEEDS[format]}, and is called `python example.py talk.wav`.

```python
{program}```
"""


_LOG_MEL_IN_WORDS = """\
A mel power spectrogram (Hann window of {n_fft} samples, every {hop_length} samples,
{n_mels} bands after Slaney, frames centred) is cut into windows of {frames} frames
({seconds:.2f} s) that overlap by half; the last one ends with the sound. In each window by itself,
power becomes decibels relative to the window's maximum, none lower than -{top_db}; neighbouring
bands are averaged down to {bands}; a short window is filled up with -{top_db}."""
_FBANK_IN_WORDS = """\
It is cut into windows of {frames} frames ({seconds:.2f} s) that overlap by half; the last one ends
with the sound, or rather with the last frame that fits. Each window is scaled to a peak of 1 by
itself. Of it, Kaldi's 80 log mel filter banks are taken, without dither:

- frames of 400 samples every 160, only those that fit (snip-edges); a sound shorter than one is
  followed by zeros;
- each less its mean, then each sample less 0.97 times the one before it (pre-emphasis; the first
  less 0.97 times itself), times Povey's window (Hann's, which ends with zeros, to the power 0.85);
- the power spectrum of an FFT of 512; 80 triangles in mel, 1127 ln(1 + Hz / 700), from 20 Hz to
  half the sample rate, not normalised;
- the natural logarithm, of no less than 1.19e-7 (float32's epsilon).

From each band, its mean over the window's frames is subtracted. A short window is followed by
zeros, after that."""
_DESCRIPTORS_IN_WORDS = """\
It is cut into windows of {frames} frames, one every {hop_length} samples ({seconds:.2f} s), that
overlap by half; the last one ends with the sound. One of fewer than {n_fft} samples is followed by
zeros up to these. Each window is scaled to a peak of 1 by itself. Of it, the descriptors named
below are taken, one after the other, as librosa computes them from a spectrogram of {n_fft} samples
every {hop_length} (Hann window, frames centred, zeros beyond the ends):

- `log-mel`: {n_mels} mel bands of power, in decibels relative to the window's maximum, none lower
  than -80;
- `mfcc`: {n_mfcc} coefficients of such decibels, of {n_mels} bands, too;
- `delta-mfcc`: their slope over nine frames; over as many, an odd number, as there are, if fewer;
  zeros, if fewer than three;
- `chroma`: of power, with the tuning 0; `tonnetz`: of that chroma;
- `contrast`: of magnitude, not power, with 5 octaves; `rms`: of magnitude, too;
- `zcr`: of the samples, in frames of {n_fft}.

A full window has one frame more than {frames}, for they are centred: the last is cut off, after all
that. Statistics over the window's frames are then pooled, if any are named below, one after the
other; if none are, a short window is filled up in front, with zeros (log-mel: -80)."""
_HOW = {
    FeatureSpec: _LOG_MEL_IN_WORDS,
    FbankSpec: _FBANK_IN_WORDS,
    DescriptorSpec: _DESCRIPTORS_IN_WORDS,
}
_STANDARDISED = """ The network standardises it itself, by `mean` and `sd` in
`card.json`: whoever applied them before would do it twice."""
_ONE = "\nThis network takes one window at a time; that is all that LiteRT can export.\n"
