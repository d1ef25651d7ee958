"""Whether a model folder that a stranger made can be trusted with being loaded.

Nothing in it is unpickled and no code in it is run. `model.keras` is looked at as what it is, a ZIP
archive of a JSON document and an HDF5 file; the networks in it and in `model.onnx` may only be made
of layers that compute. Meant for a process with a limit of memory and time (`apart`), because a
file may be valid and still ask for too much of either.
"""

import json
import math
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ser_core import bundle
from ser_core.bundle import HELDOUT, BundleError
from ser_core.card import GROUP, VOICE, Card, base_of
from ser_core.emotions import EMOTIONS

# What may be in a model folder.
NAMES = {*bundle.FILES, HELDOUT, "card.json"}

_MOST_CARD = 1_000_000  # bytes
_MOST_TEXT = 2_000  # characters in any text of a card
_MOST_BYTES = 1_000_000_000  # of weights
_MOST_NUMBER = 2**31  # in a card: a seed may be as large
_MOST_PARTS = 10_000  # of an HDF5 file; groups may contain each other without end
_MOST_ROWS = 2_000_000  # of held-out predictions
_KERAS_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
_KERAS_MODULES = (
    "keras", "keras.constraints", "keras.dtype_policies", "keras.initializers", "keras.layers",
    "keras.losses", "keras.metrics", "keras.models", "keras.optimizers", "keras.regularizers",
    "keras.src.models.functional", "keras.src.models.sequential",
)  # fmt: skip
_KERAS_OPS = "keras.src.ops."
# Layers that run code of somebody's, or read a file that is named in their configuration.
_KERAS_REFUSED = {
    "FlaxLayer", "function", "IntegerLookup", "JaxLayer", "Lambda", "StringLookup", "TFSMLayer",
    "TextVectorization", "TorchModuleWrapper", "__lambda__",
}  # fmt: skip
_ONNX_DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
# Operators whose result is as large as an input says, and which input that is.
_ONNX_SIZED_BY = {
    "AffineGrid": (1,), "BlackmanWindow": (0,), "CenterCropPad": (1,), "Col2Im": (1,),
    "ConstantOfShape": (0,), "DFT": (1,), "Expand": (1,), "HammingWindow": (0,), "HannWindow": (0,),
    "MaxUnpool": (2,), "MelWeightMatrix": (0, 1), "OneHot": (1,), "Pad": (1,), "Range": (0, 1, 2),
    "Resize": (2, 3), "STFT": (3,), "Tile": (1,), "Upsample": (1,),
}  # fmt: skip


def inspect(folder: Path) -> Card:
    """Check a model folder in every respect, try the model, and return its card.

    Raises:
        BundleError: something is missing, damaged, contradictory or dangerous.
    """
    folder = Path(folder)
    if (path := folder / "card.json").is_file() and path.stat().st_size > _MOST_CARD:
        raise BundleError("card.json is too large to be a model card")
    card = bundle.read_card(folder)
    check_card(card)
    bundle.verify_files(folder, card)
    check_keras(folder / "model.keras", card)
    check_onnx(folder / "model.onnx")
    check_arrays(folder / "voice.npz")
    if (folder / HELDOUT).exists():
        check_heldout(folder / HELDOUT, card)
    try_out(bundle.load(folder))
    return card


def check_card(card: Card) -> None:
    """Check what types alone cannot: that a card says nothing absurd.

    Raises:
        BundleError: it does.
    """
    from ser_core.splits import PROTOCOLS

    labels = set(card.labels)
    if not 2 <= len(card.labels) == len(labels) or not labels <= set(EMOTIONS):
        raise BundleError(
            f"card.json: labels: 2 or more different ones of {', '.join(EMOTIONS)} are expected"
        )
    if not 0.01 <= card.temperature <= 100:
        raise BundleError(f"card.json: temperature: {card.temperature} is absurd")
    if not 0 <= card.threshold <= 1:
        raise BundleError(f"card.json: threshold: {card.threshold} is not between 0 and 1")
    for row in card.evaluation:
        base = base_of(row.protocol)
        more = row.protocol.removeprefix(base)
        if base not in PROTOCOLS or (more and not (VOICE.fullmatch(more) or GROUP.fullmatch(more))):
            raise BundleError(f"card.json: evaluation: no protocol is called '{row.protocol[:40]}'")
        shares = (
            row.uar, row.uar_sd, row.accuracy, row.accuracy_sd, row.macro_f1, row.ece, row.coverage,
            row.selective_accuracy, *row.recall.values(), *row.uar_by_sex.values(),
        )  # fmt: skip
        if not all(0 <= share <= 1 for share in shares):
            raise BundleError(f"card.json: evaluation: {row.protocol}: not all are fractions")
        if not set(row.recall) <= labels or min(row.seeds, row.n, row.labels) < 1:
            raise BundleError(f"card.json: evaluation: {row.protocol}: the row is contradictory")
    for value in _values(asdict(card)):
        if isinstance(value, str) and (
            len(value) > _MOST_TEXT or not value.replace("\n", " ").isprintable()
        ):
            raise BundleError("card.json holds a text that is too long or no text at all")
        if isinstance(value, float) and not math.isfinite(value):
            raise BundleError("card.json holds a number that is not finite")
        if isinstance(value, int) and not 0 <= value < _MOST_NUMBER:
            raise BundleError("card.json holds a number that is absurd")


def check_keras(path: Path, card: Card) -> None:
    """Look at a Keras file without Keras.

    Raises:
        BundleError: it is none, holds a layer that runs code or reads files, or is not the card's.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            members = {info.filename: info.file_size for info in opened.infolist()}
            if odd := set(members) ^ _KERAS_MEMBERS:
                raise BundleError(f"model.keras is not as Keras saves it: '{min(odd)[:40]}'")
            # Keras stores them as they are; whatever unpacks to more is no such file.
            if sum(members.values()) > 50 * path.stat().st_size:
                raise BundleError("model.keras would swell when it is unpacked")
            config = json.loads(opened.read("config.json"))
            with opened.open("model.weights.h5") as weights:
                count = _weights(weights)
    except BundleError:
        raise
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, ValueError):
        raise BundleError("model.keras is damaged") from None
    for table in _tables(config):
        if "class_name" in table:
            _check_layer(table)
    if count != card.parameters:
        raise BundleError(
            f"model.keras has {count:,} parameters, but its card says {card.parameters:,}"
        )


def _check_layer(table: dict) -> None:
    name, module = table["class_name"], table.get("module")
    registered = str(table.get("registered_name") or "")
    ours = module in (None, *_KERAS_MODULES) or str(module).startswith(_KERAS_OPS)
    if not ours or name in _KERAS_REFUSED or not str(name).isidentifier() or ">" in registered:
        raise BundleError(
            f"model.keras has the part '{str(name)[:40]}', which could run code of its maker's; "
            "only layers of Keras that compute are accepted"
        )


def _weights(file) -> int:
    """Return how many weights an HDF5 file holds, which may not lead out of it."""
    import h5py

    count = seen = 0
    with h5py.File(file, "r") as opened:
        groups = [opened]
        while groups:
            group = groups.pop()
            for name in group:
                seen += 1
                if seen > _MOST_PARTS:
                    raise BundleError("model.keras has more parts than can be")
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise BundleError("model.keras holds a link to another file")
                item = group[name]
                if isinstance(item, h5py.Group):
                    groups.append(item)
                    continue
                if item.external or item.is_virtual or item.dtype.kind not in "fiub":
                    raise BundleError("model.keras holds something else than weights")
                # The state of an optimizer or of dropout is no parameter.
                ours = item.name.startswith("/layers/") and "seed_generator" not in item.name
                count += item.size if ours else 0
                if item.nbytes > _MOST_BYTES or count > _MOST_BYTES:
                    raise BundleError("model.keras claims to have more weights than can be")
    return count


def check_onnx(path: Path) -> None:
    """Check that an ONNX file is complete in itself and computes in steps that come to an end.

    Nor may it ask for more memory for some sounds than for others: how large a result is must not
    hang on what is heard, but on how much is heard alone.

    Raises:
        BundleError: it names other files, has loops, sizes that hang on what is heard, or operators
            that ONNX does not define.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, OSError):
        raise BundleError("model.onnx is no ONNX file") from None
    if model.functions or model.training_info:
        raise BundleError("model.onnx holds functions, which are not accepted")
    tensors = list(model.graph.initializer)
    for sparse in model.graph.sparse_initializer:
        tensors += [sparse.values, sparse.indices]
    _check_sizes(model.graph)
    for node in model.graph.node:
        if node.domain not in _ONNX_DOMAINS:
            raise BundleError(f"model.onnx needs operators of '{node.domain[:40]}'")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise BundleError("model.onnx holds loops or branches, which are not accepted")
            tensors += [attribute.t, *attribute.tensors]
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                tensors += [sparse.values, sparse.indices]
    if any(t.data_location == onnx.TensorProto.EXTERNAL or t.external_data for t in tensors):
        raise BundleError("model.onnx refers to another file; export it with its weights inside")


def _check_sizes(graph) -> None:
    """Check that no result of a graph of ONNX is as large as what is heard says."""
    weights = {tensor.name for tensor in graph.initializer}
    heard, before = {value.name for value in graph.input} - weights, -1
    while len(heard) > before:  # nodes need not be in order
        before = len(heard)
        for node in graph.node:
            if node.op_type not in ("Shape", "Size") and heard.intersection(node.input):
                heard.update(node.output)
    for node in graph.node:
        places = _ONNX_SIZED_BY.get(node.op_type, ())
        if heard.intersection(name for at, name in enumerate(node.input) if at in places):
            raise BundleError("model.onnx takes more memory for some sounds, which is not accepted")


def check_arrays(path: Path) -> None:
    """Check that an archive of NumPy holds plain arrays of a sensible size.

    Raises:
        BundleError: it does not.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            sizes = [info.file_size for info in opened.infolist()]
        if sum(sizes) > _MOST_BYTES or len(sizes) > 16:
            raise BundleError(f"{path.name} holds more than it should")
        with np.load(path, allow_pickle=False) as stored:
            finite = all(np.isfinite(stored[name]).all() for name in stored.files)
    except BundleError:
        raise
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, TypeError, ValueError):
        raise BundleError(f"{path.name} holds something else than numbers") from None
    if not finite:
        raise BundleError(f"{path.name} holds numbers that are not finite")


def check_heldout(path: Path, card: Card) -> None:
    """Check that a table of held-out predictions is one, and of the model's labels.

    Raises:
        BundleError: it is not.
    """
    import pyarrow
    import pyarrow.parquet

    from ser_core import heldout

    try:
        shape = pyarrow.parquet.read_metadata(path)
        schema = pyarrow.parquet.read_schema(path)
    except (pyarrow.ArrowException, OSError, ValueError):
        raise BundleError(f"{HELDOUT} is no table") from None
    texts = {"recipe", "protocol", "id", "speaker", "sex", "emotion"}
    if tuple(schema.names) != (*heldout.COLUMNS, *card.labels) or shape.num_rows > _MOST_ROWS:
        raise BundleError(f"{HELDOUT} is no table of predictions by this model")
    for field in schema:
        text = pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type)
        if isinstance(field.type, pyarrow.BaseExtensionType) or text != (field.name in texts):
            raise BundleError(f"{HELDOUT} holds something else than predictions")
        if not text and not pyarrow.types.is_primitive(field.type):
            raise BundleError(f"{HELDOUT} holds something else than predictions")
    table = heldout.read(path)
    values = table[list(card.labels)].to_numpy(float)
    if not ((values >= 0) & (values <= 1)).all() or not set(table.emotion) <= set(card.labels):
        raise BundleError(f"{HELDOUT} holds predictions that cannot be")


def try_out(loaded: bundle.Bundle) -> None:
    """Run a model on noise, one window and many.

    Raises:
        BundleError: it fails, or its answers are not what they should be.
    """
    spec = loaded.card.features
    noise = np.random.default_rng(0).uniform(-80, 0, (32, *spec.shape)).astype(np.float32)
    for windows in (noise[:1], noise):
        try:
            outputs = loaded.run(windows)
        except Exception:  # noqa: BLE001 - ONNX Runtime's own exceptions share no base class
            raise BundleError("model.onnx fails when it is run") from None
        # What attends to more moments than there are frames would divide by none.
        most = {"logits": len(loaded.card.labels), "embedding": 100_000, "attention": spec.frames}
        for name, values in outputs.items():
            fits = values.ndim == 2 and len(values) == len(windows)
            if not fits or not 0 < values.shape[1] <= most.get(name, 0):
                raise BundleError(f"model.onnx gives '{name[:40]}' of an unexpected shape")
            if values.dtype != np.float32 or not np.isfinite(values).all():
                raise BundleError(f"model.onnx gives '{name[:40]}' that is no number")


def _tables(value) -> Iterator[dict]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _values(value) -> Iterator:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, (list, tuple)):
            waiting += item
        else:
            yield item
