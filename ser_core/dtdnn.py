"""The D-TDNN trunk of CAM++ (Wang et al. 2023, arXiv 2303.00332): what it is, in Keras.

A small 2-D residual network over the filter bank, a strided TDNN layer, then blocks of densely
connected TDNN layers, each of which is gated by what its whole context sounds like. It was trained
to tell speakers apart, and its layers bear the names of the published weights
(`models/campplus/README.md`).
"""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from ser_core.architecture import FRAMES
from ser_core.fbank import BANDS

WEIGHTS = Path(__file__).parent.parent / "models/campplus/weights.npz"
GROWTH = 32
BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers and dilation of each
_SEGMENT = 100  # steps (of 20 ms) over which the context of a gate is averaged


def trunk(frames: int, blocks: int = 2) -> keras.Model:
    """Build the trunk up to and including a block, without the transit layer behind it.

    The input is `(n, frames, 80)`: Kaldi filter banks less their mean. A clip shorter than the
    window is followed by frames of zeros; these change nothing, so that a padded clip gives the
    same steps as the clip alone. Steps beyond its end are zeros, too.

    Args:
        frames: in a window.
        blocks: 1 to 3; the output `(n, frames / 2, channels)` has 512, 1024 or 1024 channels.

    Returns:
        A model with random weights; see `pretrained`.
    """
    window = keras.Input((frames, BANDS), name="fbank")
    heard = ops.cast(ops.any(ops.not_equal(window, 0), axis=2, keepdims=True), window.dtype)
    x = _front_end(ops.expand_dims(window, 3), ops.expand_dims(heard, 3))
    x = layers.Reshape((frames, -1))(x)
    # Padded as PyTorch pads: with a stride, Keras's "same" would begin elsewhere.
    x = layers.Conv1D(128, 5, strides=2, use_bias=False, name="xvector.tdnn.linear")(
        layers.ZeroPadding1D(2)(x)
    )
    x = _norm_relu(x, "xvector.tdnn.nonlinear.batchnorm")
    heard = heard[:, ::2]
    counts = _sums(heard), ops.maximum(ops.sum(heard, axis=1, keepdims=True), 1)
    for block, (count, dilation) in enumerate(BLOCKS[:blocks], 1):
        if block > 1:
            x = _transit(x, f"xvector.transit{block - 1}")
        for index in range(1, count + 1):
            new = _dense_tdnn(x, heard, counts, dilation, f"xvector.block{block}.tdnnd{index}")
            x = layers.Concatenate()([x, new])
    return keras.Model(window, layers.Multiply(name=FRAMES)([x, heard]), name="d_tdnn")


def _front_end(x, heard):
    """Return `(n, frames, 10, 32)` for `(n, frames, 80, 1)`."""
    x = heard * _conv_norm(x, 32, "head.conv1", "head.bn1", relu=True)
    for layer in ("head.layer1", "head.layer2"):
        x = _residual(x, heard, 2, f"{layer}.0")
        x = _residual(x, heard, 1, f"{layer}.1")
    return heard * _conv_norm(x, 32, "head.conv2", "head.bn2", stride=2, relu=True)


def _residual(x, heard, stride: int, name: str):
    y = heard * _conv_norm(x, 32, f"{name}.conv1", f"{name}.bn1", stride=stride, relu=True)
    y = _conv_norm(y, 32, f"{name}.conv2", f"{name}.bn2")
    if stride > 1:
        shortcut = (f"{name}.shortcut.0", f"{name}.shortcut.1")
        x = _conv_norm(x, 32, *shortcut, size=1, stride=stride)
    return heard * layers.Activation("relu")(x + y)


def _conv_norm(x, filters: int, conv: str, norm: str, *, size=3, stride=1, relu=False):
    """Convolve over time and frequency, with a stride over frequency, and normalise."""
    x = layers.ZeroPadding2D(size // 2)(x) if size > 1 else x
    x = layers.Conv2D(filters, size, strides=(1, stride), use_bias=False, name=conv)(x)
    x = layers.BatchNormalization(epsilon=1e-5, name=norm)(x)
    return layers.Activation("relu")(x) if relu else x


def _norm_relu(x, name: str):
    return layers.Activation("relu")(layers.BatchNormalization(epsilon=1e-5, name=name)(x))


def _transit(x, name: str):
    x = _norm_relu(x, f"{name}.nonlinear.batchnorm")
    return _dense(x, x.shape[-1] // 2, f"{name}.linear")


def _dense_tdnn(x, heard, counts, dilation: int, name: str):
    """Return a TDNN layer's new channels, `(n, steps, GROWTH)`, masked by their context."""
    x = _norm_relu(x, f"{name}.nonlinear1.batchnorm")
    x = _dense(x, 4 * GROWTH, f"{name}.linear1")
    x = heard * _norm_relu(x, f"{name}.nonlinear2.batchnorm")
    local = layers.Conv1D(
        GROWTH,
        3,
        padding="same",
        dilation_rate=dilation,
        use_bias=False,
        name=f"{name}.cam_layer.linear_local",
    )(x)
    sums, (in_segment, in_all) = _sums(x), counts
    context = sums / ops.maximum(in_segment, 1) + ops.sum(sums, axis=1, keepdims=True) / in_all
    biased = {"bias_axes": "c"}
    gate = _dense(context, 2 * GROWTH, f"{name}.cam_layer.linear1", activation="relu", **biased)
    gate = _dense(gate, GROWTH, f"{name}.cam_layer.linear2", activation="sigmoid", **biased)
    return local * ops.take(gate, _segments(x.shape[1]), axis=1)


def _dense(x, units: int, name: str, **options):
    """Return `(n, steps, units)`: what `Dense` does, with fewer nodes when exported to ONNX."""
    return layers.EinsumDense("nsb,bc->nsc", (x.shape[1], units), name=name, **options)(x)


def _sums(x):
    """Return the sums over each segment of `(n, steps, channels)`, `(n, segments, channels)`."""
    segments = _segments(x.shape[1])
    return ops.matmul(np.eye(segments[-1] + 1, dtype="float32")[:, segments], x)


def _segments(steps: int) -> np.ndarray:
    """Return each step's segment, int `(steps,)`."""
    return np.arange(steps) // _SEGMENT


def pretrained(frames: int, blocks: int = 2) -> keras.Model:
    """Return `trunk` with the published weights, which are not to be trained."""
    model = trunk(frames, blocks)
    with np.load(WEIGHTS, allow_pickle=False) as weights:
        for layer in model.layers:
            if layer.weights:
                layer.set_weights([_as_keras(layer, weights, each.name) for each in layer.weights])
            layer.trainable = False
    return model


_PUBLISHED = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "kernel": "weight",
    "bias": "bias",
}


def _as_keras(layer: layers.Layer, weights: Mapping[str, np.ndarray], part: str) -> np.ndarray:
    array = np.asarray(weights[f"{layer.name}.{_PUBLISHED[part]}"], np.float32)
    if part != "kernel":
        return array
    if layer.name == "xvector.tdnn.linear":
        # The original has bands within channels, Keras channels within bands.
        array = array.reshape(len(array), 32, -1, array.shape[2]).swapaxes(1, 2)
        array = array.reshape(len(array), -1, array.shape[3])
    if layer.name.startswith("head."):
        return array.transpose(3, 2, 1, 0)  # to time, frequency, in, out
    array = array.transpose(2, 1, 0)  # to time, in, out
    return array[0] if array.shape[0] == 1 else array
