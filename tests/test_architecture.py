import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from ser_core import architecture, bundle, networks, plots_models
from ser_core.descriptors import DescriptorSpec
from ser_core.hyperparameters import Conv1d, Crnn, Deep
from ser_core.locations import find_model
from tests.helpers import ROOT


def crnn():
    return networks.crnn((32, 12), 3, Crnn("crnn"), networks.Scale(np.zeros(12), np.ones(12)))


def conv1d():
    return networks.conv1d((32, 12), 3, Conv1d("conv1d", filters=(8, 16), lstm=(4,), dense=(8,)))


def of_vectors():
    return networks.conv1d((12,), 3, Conv1d("conv1d", filters=(8,), lstm=(), dense=(8, 4)))


@pytest.fixture
def saved(tmp_path):
    def save(model):
        model.save(tmp_path / "model.keras")
        return architecture.read(tmp_path)

    return save


def test_a_pretrained_trunk_is_drawn_as_one(saved):
    network = Deep("deep", blocks=1)
    model = networks.deep((98, 80), 3, network, networks.Scale(np.zeros(512), np.ones(512)))
    layers = saved(model)
    drawn = architecture.drawn(layers)
    first, trunk, *head = drawn
    assert first.kind == "InputLayer" and first.shape == (98, 80)
    assert trunk.inputs == (first.name,) and trunk.shape == (49, 512)
    assert plots_models.called(trunk) == "Pretrained trunk of 61 layers"
    assert trunk.parameters > 1_000_000 and 4 < len(head) < 12
    assert sum(layer.parameters for layer in drawn) == model.count_params()
    named = {layer.name for layer in drawn}
    assert all(set(layer.inputs) <= named for layer in drawn)


@pytest.fixture
def swift():
    return architecture.read(find_model("swift"))


@pytest.mark.parametrize("build", [crnn, conv1d, of_vectors])
def test_layers_are_those_that_keras_tells_of(saved, build):
    model = build()
    found = {layer.name: layer for layer in saved(model)}
    assert sum(layer.parameters for layer in found.values()) == model.count_params()
    for layer in model.layers:
        mine = found[layer.name]
        assert mine.kind == type(layer).__name__
        assert mine.parameters == layer.count_params()
        assert mine.shape == tuple(layer.output.shape[1:])


def test_the_shipped_model_is_read(swift):
    card = bundle.read_card(find_model("swift"))
    assert sum(layer.parameters for layer in swift) == card.parameters
    assert swift[0].shape == card.features.shape
    assert next(layer for layer in swift if layer.name == "logits").shape == (len(card.labels),)


def test_reading_loads_no_tensorflow():
    code = (
        "import sys; from ser_core import architecture, locations, recognizer;"
        "architecture.read(locations.find_model('swift'));"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize(
    ("kernels", "pools", "dilation"), [((5, 3), (2, 3), 1), ((3, 3), (1, 2), 2)]
)
def test_the_receptive_field_is_what_a_step_depends_on(saved, kernels, pools, dilation):
    import keras
    from keras import layers

    card = replace(
        bundle.read_card(find_model("swift")),
        features=DescriptorSpec(names=("mfcc",), frames=96, n_mfcc=4, n_fft=512, hop_length=256),
    )
    window = x = keras.Input((96, 4))
    for kernel, pool in zip(kernels, pools, strict=True):
        x = layers.Conv1D(3, kernel, padding="same", dilation_rate=dilation)(x)
        x = layers.AveragePooling1D(pool)(x)
    steps = keras.Model(window, x)
    found = architecture.receptive_field(
        saved(keras.Model(window, layers.Dense(2)(layers.Flatten()(x)))), card
    )
    base, middle = np.zeros((1, 96, 4), np.float32), steps.output.shape[1] // 2
    before = np.array(steps(base))[0, middle]
    moved = []
    for frame in range(96):
        changed = base.copy()
        changed[0, frame] = 1.0
        moved.append(not np.allclose(np.array(steps(changed))[0, middle], before))
    frames = np.flatnonzero(moved)
    measured = frames[-1] - frames[0] + 1
    assert found == pytest.approx(((measured - 1) * 256 + 512) / 16_000)


def test_the_shipped_models_field_is_a_word_long(swift):
    card = bundle.read_card(find_model("swift"))
    # Two frames averaged, three kernels of 5, two poolings by 2: 64 frames of 16 ms, 64 ms each.
    assert architecture.receptive_field(swift, card) == pytest.approx((63 * 256 + 1024) / 16_000)


def test_vectors_have_no_receptive_field(saved):
    card = replace(
        bundle.read_card(find_model("swift")),
        features=DescriptorSpec(names=("mfcc",), pooled=("mean",), n_mfcc=12),
    )
    assert architecture.receptive_field(saved(of_vectors()), card) is None


def test_drawn_layers_are_joined_across_those_left_out(swift):
    drawn = architecture.drawn(swift)
    names = [layer.name for layer in drawn]
    assert len(drawn) < len(swift) / 2
    assert sum(layer.parameters for layer in drawn) > 0.99 * sum(step.parameters for step in swift)
    for index, layer in enumerate(drawn):
        assert set(layer.inputs) <= set(names[:index])
        assert bool(layer.inputs) == (layer.kind != "InputLayer")


def test_the_diagram_has_a_box_a_layer(swift):
    drawn = architecture.drawn(swift)
    figure = plots_models.architecture(drawn)
    boxes = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert len(boxes) == len(drawn)
    texts = [text for trace in figure.data for text in trace.text]
    assert "LSTM both ways, 2 × 96" in texts and "188 × 64" in texts


@pytest.mark.parametrize(
    "harm", ["missing", "no zip", "no config", "no json", "no layers", "no h5"]
)
def test_what_is_no_keras_file_is_a_sentence(tmp_path, harm):
    source = find_model("swift") / "model.keras"
    path = tmp_path / "model.keras"
    if harm == "no zip":
        path.write_bytes(b"none")
    elif harm != "missing":
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
            weights = b"none" if harm == "no h5" else old.read("model.weights.h5")
            new.writestr("model.weights.h5", weights)
            config = {"no json": b"{", "no layers": json.dumps({"config": {}}).encode()}
            if harm != "no config":
                new.writestr("config.json", config.get(harm, old.read("config.json")))
    with pytest.raises(bundle.BundleError, match="does not tell its layers"):
        architecture.read(tmp_path)


def test_a_copy_reads_the_same(swift, tmp_path):
    shutil.copy(find_model("swift") / "model.keras", tmp_path)
    assert architecture.read(tmp_path) == swift
