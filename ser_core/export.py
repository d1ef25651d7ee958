"""A model for use without Undertone: one file for its network, and all that is needed to use it.

Every archive holds the network, `README.md` (how sound becomes its input, and its output an
answer), `example.py` (the same as a program that runs), the model card and `card.json`. Only LiteRT
needs TensorFlow.
"""

import json
import os
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Literal, get_args

from ser_core import apart, shelf
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
        UndertoneError: as `write`.
    """
    try:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / f"{name}-{format}.zip"
            if format == "litert":
                apart.run("models", "export", name, "--format", format, "--output", str(file))
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
    if isinstance(spec, FeatureSpec):
        windows = _LOG_MEL.format(**asdict(spec), step=spec.n_mels // spec.bands)
    else:
        windows = _BY_UNDERTONE
    return (
        f"import sys\n\n{_IMPORTS[isinstance(spec, FeatureSpec)]}{loads}\n\n"
        f"LABELS = {list(card.labels)}\n{windows}\n{runs}\n"
        f"logits = logits / {card.temperature!r}\n"
        "shares = np.exp(logits - logits.max(axis=1, keepdims=True))\n"
        "answer = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)\n"
        f"print('sure' if answer.max() >= {card.threshold!r} else 'unsure')\n"
        "for label, share in zip(LABELS, answer):\n"
        "    print(f'{label} {share:.4f}')\n"
    )


_IMPORTS = {
    True: "import librosa\nimport numpy as np\n",
    False: "import numpy as np\nfrom ser_core import audio, bundle, features\n",
}
_LOG_MEL = """\
sound, rate = librosa.load(sys.argv[1], sr={sample_rate})
sound, _ = librosa.effects.trim(sound, top_db={trim_db})
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
_BY_UNDERTONE = """\
spec = bundle.read_card(".").features
windows = features.windows(audio.read(sys.argv[1]), spec).values"""
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
    needs = f"librosa and {_NEEDS[format]}"
    if not isinstance(spec, FeatureSpec):
        needs = f"{_NEEDS[format]}, and Undertone's own folder on the path,"
    return f"""\
# {name}, as {_NETWORKS[format]}

{card.description}

It hears emotion as actors portray it, not what anyone feels, and must not decide about people. The
licence of the weights: {card.licence}. What is known about the model, its results by protocol and
its limits, is in `MODEL_CARD.md`.

## From sound to input

{how.format(**asdict(spec), shape=shape, seconds=spec.window_seconds)}

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

It needs {needs} and is called `python example.py talk.wav`.

```python
{program}```
"""


_LOG_MEL_IN_WORDS = """\
Mono at {sample_rate} Hz. Silence at both ends, more than {trim_db} dB below the loudest frame, is
cut off. A mel power spectrogram (Hann window of {n_fft} samples, every {hop_length} samples,
{n_mels} bands after Slaney, frames centred) is cut into windows of {frames} frames
({seconds:.2f} s) that overlap by half; the last one ends with the sound. In each window by itself,
power becomes decibels relative to the window's maximum, none lower than -{top_db}; neighbouring
bands are averaged down to {bands}; a short window is filled up with -{top_db}. The input is
float32, windows × {shape}."""
_FBANK_IN_WORDS = """\
Mono at {sample_rate} Hz. Silence at both ends, more than {trim_db} dB below the loudest frame, is
cut off. The rest is cut into windows of {seconds:.2f} s that overlap by half, each scaled to a peak
of 1; of these, Kaldi's 80 log mel filter banks (25 ms every 10 ms, no dither), less their mean over
the window, followed by zeros if the window is short. The input is float32, windows × {shape}.
Undertone computes it: `ser_core.features.windows(clip, spec)`."""
_DESCRIPTORS_IN_WORDS = """\
Mono at {sample_rate} Hz. Silence at both ends, more than {trim_db} dB below the loudest frame, is
cut off. The rest is cut into windows of {seconds:.2f} s that overlap by half, each scaled to a peak
of 1; of these, the descriptors named below one after the other, as librosa computes them from a
spectrogram of {n_fft} samples every {hop_length} (Hann window, frames centred): MFCC and log-mel of
decibels relative to the window's maximum, none lower than -80; chroma and tonnetz with the tuning
0; spectral contrast with 5 octaves; the slope of MFCC over nine frames. Statistics over a window's
frames are pooled, if any are named; if not, a short window is filled up in front, with zeros
(log-mel: -80). The input is float32, windows × {shape}. Undertone computes it:
`ser_core.features.windows(clip, spec)`."""
_HOW = {
    FeatureSpec: _LOG_MEL_IN_WORDS,
    FbankSpec: _FBANK_IN_WORDS,
    DescriptorSpec: _DESCRIPTORS_IN_WORDS,
}
_ONE = "\nThis network takes one window at a time; that is all that LiteRT can export.\n"
