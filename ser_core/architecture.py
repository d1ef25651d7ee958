"""What a network is made of, read from `model.keras` without Keras: layers, sizes, what it sees.

The file is a ZIP archive of a JSON document, which names the layers and what each gets, and an HDF5
file, which tells how many weights each has. No weight is read, and no code of the file is run.
"""

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ser_core.bundle import BundleError
from ser_core.card import Card

FRAMES = "frames"  # the last layer of a pretrained trunk (`dtdnn`)
TRUNK = "Trunk"

# Layers that learn nothing and change no shape: to be listed, but not to be drawn.
_QUIET = {
    "Activation", "BatchNormalization", "Dropout", "GaussianNoise", "LayerNormalization",
    "Normalization", "ReLU", "Rescaling", "SpatialDropout1D", "SpatialDropout2D",
}  # fmt: skip
_RECURRENT = {"Bidirectional", "GRU", "LSTM", "MultiHeadAttention", "SimpleRNN"}
# Whatever comes after these has no time axis any more, or sees all of it.
_WHOLE = _RECURRENT | {
    "Flatten", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "Softmax",
}  # fmt: skip


@dataclass(frozen=True)
class Layer:
    """One step of a network.

    Attributes:
        name: its own name.
        kind: Keras's name of what it is.
        detail: its most telling settings, such as `128 × 5, ReLU`; may be empty.
        shape: what it gives, without the batch; empty if that is not known.
        parameters: how many weights it has.
        inputs: names of the layers it gets its values from.
        kernel: over how many steps of time it looks, and
        stride: how many it goes on; 1 and 1 if it looks at each step by itself.
    """

    name: str
    kind: str
    detail: str
    shape: tuple[int | None, ...]
    parameters: int
    inputs: tuple[str, ...]
    kernel: int = 1
    stride: int = 1

    @property
    def quiet(self) -> bool:
        """Whether it is too small a step to be drawn."""
        if self.kind in _QUIET:
            return True
        pools = self.kind.startswith("Global") or "Pooling" in self.kind and self.kernel > 1
        return not (self.parameters or pools or self.kind in ("Concatenate", "InputLayer"))


def read(folder: Path) -> tuple[Layer, ...]:
    """Return the layers of a model folder's network, each after those it depends on.

    Raises:
        BundleError: there is no `model.keras`, or it is not such a file.
    """
    try:
        with zipfile.ZipFile(Path(folder) / "model.keras") as archive:
            config = json.loads(archive.read("config.json"))
            with archive.open("model.weights.h5") as file:
                weights = _weights(file)
        tables = config["config"]["layers"]
        shapes = _shapes(tables)
        return tuple(_layer(table, shapes, weights) for table in tables)
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        raise BundleError(f"{folder}/model.keras does not tell its layers") from None


def drawn(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Return the layers worth drawing, each with the drawn layers it depends on as inputs.

    A pretrained trunk is drawn as one, for it has hundreds.
    """
    layers = _one_trunk(layers)
    reached: dict[str, tuple[str, ...]] = {}
    found = []
    for layer in layers:
        sources = [name for source in layer.inputs for name in reached.get(source, ())]
        inputs = tuple(dict.fromkeys(sources))
        reached[layer.name] = inputs if layer.quiet else (layer.name,)
        if not layer.quiet:
            found.append(replace(layer, inputs=inputs))
    return tuple(found)


def _one_trunk(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    end = next((at for at, layer in enumerate(layers, 1) if layer.name == FRAMES), 0)
    if not end:
        return layers
    inputs = [layer for layer in layers[:end] if layer.kind == "InputLayer"]
    inside = [layer for layer in layers[:end] if layer.kind != "InputLayer"]
    count = sum(1 for layer in inside if layer.kind.startswith(("Conv", "Dense", "EinsumDense")))
    trunk = replace(
        inside[-1],
        kind=TRUNK,
        detail=f"{count} layers",
        parameters=sum(layer.parameters for layer in inside),
        inputs=tuple(layer.name for layer in inputs),
    )
    return (*inputs, trunk, *layers[end:])


def receptive_field(layers: tuple[Layer, ...], card: Card) -> float | None:
    """Return how many seconds of sound one step of the convolutions' output depends on.

    Araujo, Norris & Sim (2019), "Computing Receptive Fields of Convolutional Neural Networks",
    Distill: along a path, every layer adds its kernel less one, times the strides before it. The
    longest path counts, up to the first layer that sees all of time.

    Returns:
        seconds; None if the network has no convolution over time.
    """
    spec = card.features
    if len(spec.shape) != 2 or not any("Conv" in layer.kind for layer in layers):
        return None
    # By layer: frames that a step depends on, frames between two steps; None after all of time.
    fields: dict[str, tuple[int, int] | None] = {}
    longest = 1
    for layer in layers:
        before = [fields.get(name) for name in layer.inputs]
        if layer.kind == "InputLayer":
            fields[layer.name] = (1, 1)
        elif not before or None in before or layer.kind in _WHOLE:
            fields[layer.name] = None
        else:
            field, step = max(before)
            fields[layer.name] = (field + (layer.kernel - 1) * step, step * layer.stride)
        if (found := fields[layer.name]) and ("Conv" in layer.kind or "Pooling" in layer.kind):
            longest = max(longest, found[0])
    return ((longest - 1) * spec.hop_length + spec.n_fft) / spec.sample_rate


def _layer(table: dict, shapes: dict, weights: dict[str, int]) -> Layer:
    settings, kind, name = table["config"], table["class_name"], table["name"]
    inputs = tuple(dict.fromkeys(source for source, _ in _sources(table)))
    kernel, stride = _over_time(kind, settings)
    shape = shapes.get(name, ())
    if kind == "InputLayer":
        shape = tuple(settings.get("batch_shape") or settings["batch_input_shape"])[1:]
    before = shapes.get(inputs[0], ()) if len(inputs) == 1 else ()
    if kind == "Mean" and len(before) == 3 and settings.get("axis") == 2:
        kernel = stride = before[1]  # frames that are averaged before all else
    if not shape:
        shape = _shape_from(kind, settings, before)
    return Layer(
        name, kind, _detail(kind, settings), shape, weights.get(name, 0), inputs, kernel, stride
    )


def _over_time(kind: str, settings: dict) -> tuple[int, int]:
    """Return kernel and stride of a layer along time, which is the first axis."""
    if kind.startswith(("Conv", "DepthwiseConv", "SeparableConv")):
        dilation = _first(settings.get("dilation_rate", 1))
        return (_first(settings["kernel_size"]) - 1) * dilation + 1, _first(settings["strides"])
    if kind.startswith(("MaxPooling", "AveragePooling")):
        size = _first(settings["pool_size"])
        return size, _first(settings.get("strides") or size)
    return 1, 1


def _first(value) -> int:
    return int(value[0] if isinstance(value, (list, tuple)) else value)


def _detail(kind: str, settings: dict) -> str:
    parts = []
    if kind == "Bidirectional":
        inner = settings["layer"]
        return f"{inner['class_name']}, 2 × {int(inner['config']['units'])}"
    for key in ("filters", "units"):
        if key in settings:
            parts.append(f"{int(settings[key])}")
    for key in ("kernel_size", "pool_size"):
        if key in settings:
            size = settings[key] if isinstance(settings[key], (list, tuple)) else [settings[key]]
            parts += [f"× {int(length)}" for length in size]
    words = [" ".join(parts)] if parts else []
    activation = settings.get("activation")
    if isinstance(activation, str) and activation.isidentifier() and activation != "linear":
        words.append(activation)
    if settings.get("rate"):
        words.append(f"{float(settings['rate']):.0%}")
    return ", ".join(words)


def _shape_from(kind: str, settings: dict, before: tuple) -> tuple:
    """Return the shape of a layer whose output nothing in the network takes."""
    if "units" in settings and before:
        return (*before[:-1], settings["units"])
    if kind == "Flatten" and before and None not in before:
        size = 1
        for length in before:
            size *= length
        return (size,)
    return before if kind in _QUIET | {"Softmax"} else ()


def _shapes(tables: list[dict]) -> dict[str, tuple]:
    """Return the output shapes by layer, as the layers that take them have noted them down."""
    return {
        source: tuple(shape[1:]) for table in tables for source, shape in _sources(table) if shape
    }


def _sources(table: dict) -> Iterator[tuple[str, list]]:
    """Yield name and output shape of each layer that a layer takes values from."""
    waiting = list(table["inbound_nodes"])[::-1]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict) and item.get("class_name") == "__keras_tensor__":
            yield item["config"]["keras_history"][0], item["config"]["shape"]
        elif isinstance(item, dict):
            waiting += list(item.values())[::-1]
        elif isinstance(item, list):
            waiting += item[::-1]


def _weights(file) -> dict[str, int]:
    """Return how many weights each layer has."""
    import h5py

    counts: dict[str, int] = {}
    with h5py.File(file, "r") as opened:
        for group in opened["layers"].values():
            name = group["vars"].attrs["name"]

            def add(path: str, item, name: str = name) -> None:
                if isinstance(item, h5py.Dataset) and "seed_generator" not in path:
                    counts[name] = counts.get(name, 0) + item.size

            group.visititems(add)
    return counts
