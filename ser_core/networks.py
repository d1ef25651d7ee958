"""What each architecture is; nothing about how it is trained.

Networks use `keras` and `keras.ops` alone, so that the same code trains on TensorFlow and on JAX.
Each builder returns a functional model with the outputs `logits` `(n, classes)`, `embedding`
`(n, size)` and, if it attends, `attention` `(n, steps)`: the weight of each time step, which sums
to one.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers, ops

from ser_core import dtdnn
from ser_core.hyperparameters import CnnBiLstm, Conv1d, Crnn, Deep
from ser_core.recipe import Recipe

# Layers of `deep`.
HEARD, AVERAGE, STATISTICS, REGRESSION = "heard_frames", "average", "statistics", "regression"
LIKENESS, COMPONENTS, FAMILIAR, SHARES = "likeness", "components", "familiar", "shares"
_COMPONENTS = 64
_TOGETHER = 256  # windows


@dataclass(frozen=True, eq=False)
class Scale:
    """What features are standardised by: mean and sd of each value, `(values,)`."""

    mean: np.ndarray
    sd: np.ndarray


def cnn_bilstm(
    shape: tuple[int, int], classes: int, config: CnnBiLstm, scale: Scale | None = None
) -> keras.Model:
    """Build a CNN-BiLSTM with attentive statistics pooling over log-mel windows.

    Convolutions over time see all bands at once; a bidirectional LSTM reads their output; the
    attention-weighted mean and standard deviation of both over time (Okabe et al. 2018, arXiv
    1803.10963) become the embedding.

    Args:
        shape: frames in a window and bands in a frame, which are in dB between -80 and 0.
        classes: how many logits.
        config: hyper-parameters.
        scale: not needed: the first layer learns its own.
    """
    window = keras.Input(shape, name="log_mel")
    x = average_frames(window, config.averaged_frames)
    x = layers.BatchNormalization(name="per_band")(x)
    for filters, pool in zip(config.filters, config.pooling, strict=True):
        x = layers.Conv1D(filters, config.kernel_size, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling1D(pool)(x)
        x = layers.SpatialDropout1D(config.spatial_dropout)(x)
    x = layers.Dropout(config.dropout)(x)
    # Pooled beside what the LSTM makes of them, the convolutions are a shorter way from the loss.
    x = layers.Concatenate()([x, layers.Bidirectional(_lstm(config.lstm_units, sequences=True))(x)])

    pooled, attention = attentive_statistics(x)
    pooled = layers.Dropout(config.dropout)(pooled)
    embedding = layers.Dense(config.embedding, activation="relu", name="embedding")(pooled)
    x = layers.Dropout(config.dropout)(embedding)
    logits = layers.Dense(classes, name="logits")(x)
    outputs = {"logits": logits, "embedding": embedding, "attention": attention}
    return keras.Model(window, outputs, name="cnn_bilstm")


def average_frames(x, count: int):
    """Average every `count` frames of `(n, frames, bands)` into one; a rest is left out."""
    _, frames, bands = x.shape
    x = x[:, : frames // count * count]
    return ops.mean(ops.reshape(x, (-1, frames // count, count, bands)), axis=2)


def attentive_statistics(x, heard=None):
    """Pool `(n, steps, channels)` over time into its weighted mean and sd, `(n, 2 * channels)`.

    Where `heard`, `(n, steps, 1)`, is zero, nothing is attended to.
    """
    scores = layers.Dense(64, activation="tanh")(x)
    scores = layers.Dense(1)(scores)
    if heard is not None:
        scores = scores - 1e9 * (1 - heard)
    weights = layers.Softmax(axis=1)(scores)
    mean = ops.sum(weights * x, axis=1)
    variance = ops.sum(weights * ops.square(x), axis=1) - ops.square(mean)
    deviation = ops.sqrt(ops.maximum(variance, 1e-6))
    attention = layers.Flatten(name="attention")(weights)
    return layers.Concatenate()([mean, deviation]), attention


def crnn(
    shape: tuple[int, int], classes: int, config: Crnn, scale: Scale | None = None
) -> keras.Model:
    """Build a CRNN: 2-D convolutions over time and frequency, a bidirectional LSTM, a dense layer.

    With attention, the dense layer sees mean and sd of all that the LSTM says, weighted; without,
    its last words.

    Args:
        shape: frames in a window and values in a frame.
        classes: how many logits.
        config: hyper-parameters.
        scale: of the values.
    """
    window = keras.Input(shape, name="window")
    x = layers.Reshape((*shape, 1))(_standardised(window, scale))
    for filters, pool in zip(config.filters, config.pooling, strict=True):
        x = layers.Conv2D(filters, config.kernel_size, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling2D(pool, padding="same")(x)
        x = layers.Dropout(config.dropout)(x)
    x = layers.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x)
    x = layers.Bidirectional(_lstm(config.lstm_units, sequences=config.attention))(x)
    if not config.attention:
        return _classifier(window, x, (config.dense,), classes, config.dropout)
    pooled, attention = attentive_statistics(x)
    return _classifier(window, pooled, (config.dense,), classes, config.dropout, attention)


def conv1d(
    shape: tuple[int, ...], classes: int, config: Conv1d, scale: Scale | None = None
) -> keras.Model:
    """Build 1-D convolutions, then LSTMs, then dense layers; there may be none of the first two.

    Without an LSTM, mean and maximum over time are what the dense layers see.

    Args:
        shape: frames in a window and values in a frame; or the values of a pooled vector.
        classes: how many logits.
        config: hyper-parameters.
        scale: of the values.
    """
    window = keras.Input(shape, name="window")
    x = _standardised(window, scale)
    if len(shape) == 1:
        x = layers.Reshape((*shape, 1))(x)
    for filters in config.filters:
        x = layers.Conv1D(filters, config.kernel_size, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling1D(config.pooling, padding="same")(x)
        x = layers.Dropout(config.dropout)(x)
    for index, units in enumerate(config.lstm, 1):
        lstm = _lstm(units, sequences=index < len(config.lstm))
        x = (layers.Bidirectional(lstm) if config.both_ways else lstm)(x)
        x = layers.Dropout(config.dropout)(x)
    if len(shape) == 1 and not config.lstm:
        x = layers.Flatten()(x)
    elif not config.lstm:
        # Whatever is said counts the same wherever in the window it is.
        pooled = [layers.GlobalAveragePooling1D()(x), layers.GlobalMaxPooling1D()(x)]
        x = layers.Concatenate()(pooled)
    return _classifier(window, x, config.dense, classes, config.dropout)


def deep(
    shape: tuple[int, int], classes: int, config: Deep, scale: Scale | None = None
) -> keras.Model:
    """Build a BiLSTM with attentive statistics pooling over a pretrained trunk.

    The trunk has the published weights, which are not to be trained; see `head`. The pooled
    statistics are the embedding, of which the logits are a linear function: that is what lets
    `profile` take a voice out of an answer. With a regression, its logits are in the embedding,
    too; they are zeros until `regressions.fit_emotions`.

    With several corpora, each has a projection and a regression of its own, which are added to the
    shared ones, so that what differs from one to another need not hold in all (Daumé 2007, arXiv
    0907.1815). To which corpus a recording belongs is not told but heard: its own part counts the
    less, the less like any corpus it is. See `regressions.fit_likeness`; until then, all count
    alike.

    Args:
        shape: frames in a window and 80 filter banks; behind a clip's end, zeros.
        classes: how many logits.
        config: hyper-parameters.
        scale: of the trunk's channels.
    """
    lower = trunk(shape, config)
    x = lower.output
    heard = ops.cast(ops.any(ops.not_equal(x, 0), axis=2, keepdims=True), x.dtype)
    frames = _standardised(x, scale, "scale_of_frames") * heard
    average, deviation = _statistics(frames, heard)
    shares = _shares(average, config) if config.corpora > 1 else None
    x = layers.SpatialDropout1D(config.channel_dropout)(frames)
    x = layers.Dropout(config.frame_dropout, noise_shape=(None, x.shape[1], 1))(x)
    x = layers.Activation("relu")(_projected(x, config.projected, shares))
    x = layers.Dropout(config.dropout)(x) * heard
    x = layers.Concatenate()([x, layers.Bidirectional(_lstm(config.lstm_units, sequences=True))(x)])
    pooled, attention = attentive_statistics(x, heard)
    if config.regression:
        statistics = layers.Activation("linear", name=STATISTICS)(deviation)
        parts = 1 if shares is None else 1 + config.corpora
        regression = layers.Dense(
            parts * classes, kernel_initializer="zeros", trainable=False, name=REGRESSION
        )(statistics)
        if shares is not None:
            regression = layers.Reshape((parts, classes))(regression)
            regression = ops.sum(shares[:, :, None] * regression, axis=1)
        pooled = layers.Concatenate()([pooled, regression])
    embedding = layers.Activation("linear", name="embedding")(pooled)
    logits = layers.Dense(classes, name="logits")(layers.Dropout(config.dropout)(embedding))
    outputs = {"logits": logits, "embedding": embedding, "attention": attention}
    return keras.Model(lower.input, outputs, name="deep")


def _shares(average, config: Deep):
    """Return how much the shared part and each corpus's own count, `(n, 1 + corpora)`.

    Args:
        average: of a recording's frames, standardised, `(n, channels)`: voice and microphone more
            than mood (benchmarks/LAB.md).
        config: hyper-parameters.
    """
    fixed = {"trainable": False, "kernel_initializer": "zeros"}
    average = layers.Activation("linear", name=AVERAGE)(average)
    like = layers.Dense(config.corpora, activation="softmax", name=LIKENESS, **fixed)(average)
    inside = layers.Dense(_COMPONENTS, use_bias=False, name=COMPONENTS, **fixed)(average)
    outside = log_outside(average, inside)
    familiar = layers.Dense(1, activation="sigmoid", name=FAMILIAR, **fixed)(outside)
    return layers.Concatenate(name=SHARES)([ops.ones_like(familiar), familiar * like])


def log_outside(vectors, inside):
    """Return the logarithm of what principal components leave of squared lengths, `(n, 1)`.

    Args:
        vectors: `(n, size)`.
        inside: their coordinates along the components, `(n, components)`.
    """
    whole, part = (ops.sum(ops.square(x), axis=1, keepdims=True) for x in (vectors, inside))
    return ops.log(ops.maximum(whole - part, 1e-6))


def _projected(x, size: int, shares):
    """Return a linear function of the frames `(n, steps, channels)`; with shares, a mixture."""
    if shares is None:
        return layers.Dense(size)(x)
    channels = x.shape[2]
    # A kernel for each recording costs less than each kernel's result for each frame. Every part
    # begins as a dense layer's (Glorot & Bengio 2010).
    reach = (6 / (channels + size)) ** 0.5
    begin = keras.initializers.RandomUniform(-reach, reach)
    kernel = layers.Dense(channels * size, use_bias=False, kernel_initializer=begin)(shares)
    bias = layers.Dense(size, use_bias=False, kernel_initializer="zeros")(shares)
    return ops.matmul(x, layers.Reshape((channels, size))(kernel)) + bias[:, None]


def trunk(shape: tuple[int, int], config: Deep) -> keras.Model:
    """Return what is not trained of a `deep` network: the pretrained trunk, its frames averaged.

    Args:
        shape: as in `deep`.
        config: hyper-parameters.
    """
    published = dtdnn.pretrained(shape[0], config.blocks)
    x = average_frames(published.output, config.averaged_frames)
    return keras.Model(published.input, layers.Activation("linear", name=HEARD)(x))


def spread(shape: tuple[int, int], config: Deep) -> keras.Model:
    """Return the trunk of a `deep` network and, of its frames, the sd over time: `(n, channels)`.

    Args:
        shape: as in `deep`.
        config: hyper-parameters.
    """
    lower = trunk(shape, config)
    heard = ops.cast(ops.any(ops.not_equal(lower.output, 0), axis=2, keepdims=True), "float32")
    return keras.Model(lower.input, _statistics(lower.output, heard)[1])


def _statistics(x, heard):
    """Return mean and sd over the steps of `(n, steps, channels)` that are heard."""
    count = ops.maximum(ops.sum(heard, axis=1), 1)
    mean = ops.sum(x, axis=1) / count
    variance = ops.sum(ops.square(x), axis=1) / count - ops.square(mean)
    return mean, ops.sqrt(ops.maximum(variance, 1e-6))


def set_regression(network: keras.Model, kernel: np.ndarray, bias: np.ndarray) -> None:
    """Add to the logits of a `deep` network what a regression makes of its statistics.

    Args:
        network: built with a regression.
        kernel: `(channels, parts * classes)`; the parts are one, or the shared one and those that
            each corpus adds to it.
        bias: `(parts * classes,)`.
    """
    network.get_layer(REGRESSION).set_weights([kernel, bias])
    logits = network.get_layer("logits")
    weights, own_bias = logits.get_weights()
    weights[-len(own_bias) :] = np.eye(len(own_bias))
    logits.set_weights([weights, own_bias])


def head(network: keras.Model) -> keras.Model:
    """Return what is trained of a network: of `deep` what is behind its trunk, else the whole.

    The layers are the network's own: who trains the one trains the other.
    """
    if network.name != "deep":
        return network
    return keras.Model(network.get_layer(HEARD).output, network.output)


def outputs(network: keras.Model, windows: np.ndarray) -> np.ndarray | dict[str, np.ndarray]:
    """Return what a network makes of windows `(n, …)`.

    `network.predict` returns the same, but sets up a pipeline of TensorFlow's anew whenever it is
    called: half of the time that validating a small network takes.
    """
    parts = [
        network.predict_on_batch(windows[start : start + _TOGETHER])
        for start in range(0, len(windows), _TOGETHER)
    ]
    if isinstance(parts[0], dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts)


def _standardised(values, scale: Scale | None, name: str = "scale"):
    if scale is None:
        return values
    # Not `Normalization`: the ONNX export makes inputs of its constants (Keras 3.15).
    return layers.Rescaling(1 / scale.sd, -scale.mean / scale.sd, name=name)(values)


def _lstm(units: int, *, sequences: bool = False) -> layers.LSTM:
    # With Keras 3.15 on JAX and a GPU, validation stayed at chance; on a CPU the same code learns.
    # cuDNN is what differs, and is suspected; see benchmarks/LAB.md.
    cudnn = False if keras.backend.backend() == "jax" else "auto"
    return layers.LSTM(units, return_sequences=sequences, use_cudnn=cudnn)


def _classifier(
    window, x, dense: tuple[int, ...], classes: int, dropout: float, attention=None
) -> keras.Model:
    """Finish a network with dense layers, of which the last is the embedding."""
    *hidden, last = dense
    for units in hidden:
        x = layers.Dropout(dropout)(layers.Dense(units, activation="relu")(x))
    embedding = layers.Dense(last, activation="relu", name="embedding")(x)
    logits = layers.Dense(classes, name="logits")(layers.Dropout(dropout)(embedding))
    outputs = {"logits": logits, "embedding": embedding}
    if attention is not None:
        outputs["attention"] = attention
    return keras.Model(window, outputs)


BUILDERS = {"cnn-bilstm": cnn_bilstm, "crnn": crnn, "conv1d": conv1d, "deep": deep}


def build(recipe: Recipe, scale: Scale | None = None) -> keras.Model:
    """Build the network a recipe names.

    Args:
        recipe: with a network that is no baseline of `classical`.
        scale: of the features, if they are to be standardised.
    """
    builder = BUILDERS[recipe.network.name]
    return builder(recipe.features.shape, len(recipe.labels), recipe.network, scale)
