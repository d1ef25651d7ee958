"""The model folder: what is in it, how it is saved, checked and loaded.

`model.keras` is the source of truth, `model.onnx` is what serves, `voice.npz` is what `profile`
needs to know of it, `card.json` says everything about the model and `README.md` says it to people.
`heldout.parquet`, if the model was cross-validated, is what `heldout` reads.
Loading imports no TensorFlow.
"""

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from pydantic import TypeAdapter, ValidationError

from ser_core.card import Card, model_card
from ser_core.errors import BundleError, one_line
from ser_core.fbank import FbankSpec
from ser_core.features import Features, FeatureSpec
from ser_core.profile import Space

if TYPE_CHECKING:
    import pandas

FILES = ("model.keras", "model.onnx", "voice.npz", "README.md")
HELDOUT = "heldout.parquet"
OUTPUTS = ("logits", "embedding")  # and `attention`, if the network attends


_CARD = TypeAdapter(Card)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified model, ready to serve.

    Attributes:
        card: what is known about it.
        folder: where it lies.
        session: the network, an ONNX Runtime session on one thread.
        space: where it places voices.
    """

    card: Card
    folder: Path
    session: onnxruntime.InferenceSession
    space: Space

    def run(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Return `logits`, `embedding` and perhaps `attention`, each `(n, …)`, for `(n, …)`.

        Raises:
            BundleError: ONNX Runtime fails.
        """
        shapes = {output.name: output.shape[1:] for output in self.session.get_outputs()}
        if not len(windows):
            # ONNX Runtime (1.31) aborts the process when an LSTM gets an empty batch.
            return {name: np.empty((0, *shape), np.float32) for name, shape in shapes.items()}
        try:
            values = self.session.run(list(shapes), {self.session.get_inputs()[0].name: windows})
        except Exception as error:  # noqa: BLE001 - as in `load`
            raise BundleError(
                f"the model '{self.card.name}' failed ({one_line(error)}); try again, or choose "
                "another model"
            ) from error
        return dict(zip(shapes, values, strict=True))


def load(folder: Path) -> Bundle:
    """Load a model folder and check it.

    Raises:
        BundleError: something is missing, damaged or contradictory.
    """
    folder = Path(folder)
    card = read_card(folder)
    verify_files(folder, card)
    try:
        session = _session(folder / "model.onnx")
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's own exceptions share no base class
        raise BundleError(f"{folder}/model.onnx cannot be run: {one_line(error)}") from None
    _check_shapes(folder, card, session)
    return Bundle(card, folder, session, _read_space(folder, session))


def _session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # One thread a session: the network is too small to share, and other listeners want the rest.
    options.intra_op_num_threads = 1
    # To plan which buffers can be shared takes longer than all else where layers are densely
    # connected, as in `deep` (0.7 of 0.9 s), and the plan needs more memory than none.
    options.enable_mem_reuse = options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def read_card(folder: Path) -> Card:
    """Read `card.json` without loading the model.

    Raises:
        BundleError: there is no card, or it is not one.
    """
    path = Path(folder) / "card.json"
    try:
        return _CARD.validate_json(path.read_bytes())
    except OSError:
        raise BundleError(f"{folder} is not a model folder: it has no card.json") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BundleError(
            f"{path} is not a model card: {key or 'the file'}: {first['msg']}"
        ) from None


def verify_files(folder: Path, card: Card) -> None:
    """Check that each file is there and has the sha256 the card names.

    Raises:
        BundleError: one is not or has not.
    """
    measured = HELDOUT in card.files or (folder / HELDOUT).exists()
    for name in (*FILES, HELDOUT) if measured else FILES:
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{folder} lacks {name}; copy the model folder again")
        if name not in card.files:
            raise BundleError(f"{folder}/card.json names no sha256 for {name}")
        if sha256(path) != card.files[name]:
            raise BundleError(f"{path} is not the file its card describes (sha256 differs)")


def _check_shapes(folder: Path, card: Card, session: onnxruntime.InferenceSession) -> None:
    shape = session.get_inputs()[0].shape[1:]
    expected = list(card.features.shape)
    if shape != expected:
        raise BundleError(
            f"{folder}/model.onnx takes windows {shape}, but its card says {expected}"
        )
    outputs = {output.name: output.shape for output in session.get_outputs()}
    missing = set(OUTPUTS) - set(outputs)
    if missing:
        raise BundleError(f"{folder}/model.onnx lacks the output '{min(missing)}'")
    if outputs["logits"][-1] != len(card.labels):
        raise BundleError(
            f"{folder}/model.onnx tells {outputs['logits'][-1]} emotions apart, but its card "
            f"names {len(card.labels)}"
        )


def _read_space(folder: Path, session: onnxruntime.InferenceSession) -> Space:
    try:
        with np.load(folder / "voice.npz", allow_pickle=False) as stored:
            kernel = stored["kernel"]
            # Older models know the mean of the moods alone.
            moods = stored["moods"] if "moods" in stored else stored["population"][None]
    except (OSError, ValueError, KeyError):
        raise BundleError(f"{folder}/voice.npz cannot be read; copy the folder again") from None
    sizes = {output.name: output.shape[-1] for output in session.get_outputs()}
    expected = (sizes["embedding"], sizes["logits"])
    if kernel.shape != expected or moods.shape not in (expected[::-1], (1, expected[0])):
        raise BundleError(
            f"{folder}/voice.npz is of another model: its kernel is {kernel.shape}, but "
            f"{expected} is expected"
        )
    return Space(kernel, np.broadcast_to(moods, expected[::-1]))


def save(
    model,
    card: Card,
    folder: Path,
    *,
    moods: np.ndarray,
    heldout_tables: Sequence["pandas.DataFrame"] = (),
) -> Card:
    """Write a model folder, whole or not at all, and return its card with the files' sha256.

    Args:
        model: a Keras model with the outputs of `OUTPUTS` and a dense layer `logits`.
        card: what is known about it; `files` is filled in here.
        folder: where; replaced if it exists.
        moods: `(classes, size)`, as in `profile.Space`.
        heldout_tables: what cross-validation heard, see `heldout`.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        model.save(made / "model.keras")
        export_onnx(made / "model.keras", made / "model.onnx", card.features)
        kernel, _ = model.get_layer("logits").get_weights()
        np.savez(made / "voice.npz", kernel=kernel, moods=moods.astype(np.float32))
        if heldout_tables:
            from ser_core import heldout  # loads pandas, for which serving need not wait

            heldout.write(heldout_tables, made / HELDOUT)
        card = write_card(card, made)
        _check_parity(model, load(made))
        made.chmod(0o755)
        _replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return card


def write_card(card: Card, folder: Path) -> Card:
    """Write `README.md` and `card.json` of a folder that holds the model; return the card."""
    (folder / "README.md").write_text(model_card(card), "utf-8")
    files = [name for name in (*FILES, HELDOUT) if (folder / name).exists()]
    plain = asdict(card) | {"files": {name: sha256(folder / name) for name in files}}
    (folder / "card.json").write_text(
        json.dumps(plain, indent=2, ensure_ascii=False) + "\n", "utf-8"
    )
    return _CARD.validate_python(plain)


def export_onnx(keras_file: Path, onnx_file: Path, spec: Features) -> None:
    """Export a saved Keras model to ONNX with a dynamic batch."""
    import keras

    model = keras.models.load_model(keras_file, safe_mode=True, compile=False)
    model(np.zeros((1, *spec.shape), np.float32))
    signature = [keras.InputSpec(shape=(None, *spec.shape), dtype="float32")]
    with warnings.catch_warnings():
        # Keras looks for an alias that NumPy has announced to take back.
        warnings.simplefilter("ignore", FutureWarning)
        model.export(onnx_file, format="onnx", input_signature=signature, verbose=False)


def _check_parity(model, bundle: Bundle) -> None:
    from keras import ops

    windows = _some_windows(bundle.card)
    # Called, not asked to predict: to compile it for three windows would take seconds.
    ours, theirs = bundle.run(windows), model(windows, training=False)
    for name in theirs:
        gap = float(np.abs(ours[name] - ops.convert_to_numpy(theirs[name])).max())
        if not gap < 1e-3:
            raise BundleError(
                f"the ONNX export's {name} differ from the Keras model's by {gap:.2g}"
            )


def _some_windows(card: Card) -> np.ndarray:
    """Return three windows of noise in the range of the card's features."""
    rng, shape = np.random.default_rng(0), (3, *card.features.shape)
    if isinstance(card.features, FeatureSpec):
        noise = rng.uniform(-card.features.top_db, 0, shape)
    elif isinstance(card.features, FbankSpec):
        noise = rng.standard_normal(shape)
    else:
        noise = np.array(card.mean) + np.array(card.sd) * rng.standard_normal(shape)
    return noise.astype(np.float32)


def _replace(made: Path, folder: Path) -> None:
    """Put `made` in the place of `folder`, or leave everything as it was."""
    aside = folder.with_name(f".{folder.name}-old")
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        folder.rename(aside)
    try:
        made.rename(folder)
    except OSError:
        if aside.exists():
            aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def sha256(path: Path) -> str:
    """Return the sha256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
