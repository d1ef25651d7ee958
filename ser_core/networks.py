"""What each architecture is; nothing about how it is trained.

Networks use `keras` and `keras.ops` alone, so that the same code trains on TensorFlow and on JAX.
Each builder returns a functional model with the outputs `logits` `(n, classes)`, `embedding`
`(n, size)` and `attention` `(n, steps)`, the weight of each time step, which sums to one.
"""

import keras
from keras import layers, ops

from ser_core.recipe import CnnBiLstm, Recipe


def cnn_bilstm(frames: int, bands: int, classes: int, config: CnnBiLstm) -> keras.Model:
    """Build a CNN-BiLSTM with attentive statistics pooling over log-mel windows.

    Convolutions over time see all bands at once; a bidirectional LSTM reads their output; the
    attention-weighted mean and standard deviation of both over time (Okabe et al. 2018, arXiv
    1803.10963) become the embedding.

    Args:
        frames: frames in a window.
        bands: bands in a frame, in dB between -80 and 0.
        classes: how many logits.
        config: hyper-parameters.
    """
    window = keras.Input((frames, bands), name="log_mel")
    x = average_frames(window, config.averaged_frames)
    x = layers.BatchNormalization(name="per_band")(x)
    for filters, pool in zip(config.filters, config.pooling, strict=True):
        x = layers.Conv1D(filters, config.kernel_size, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        x = layers.MaxPooling1D(pool)(x)
        x = layers.SpatialDropout1D(config.spatial_dropout)(x)
    x = layers.Dropout(config.dropout)(x)
    # With Keras 3.15 on JAX and a GPU, validation stayed at chance; on a CPU the same code learns.
    # cuDNN is what differs, and is suspected; see benchmarks/LAB.md.
    cudnn = False if keras.backend.backend() == "jax" else "auto"
    lstm = layers.LSTM(config.lstm_units, return_sequences=True, use_cudnn=cudnn)
    # Pooled beside what the LSTM makes of them, the convolutions are a shorter way from the loss.
    x = layers.Concatenate()([x, layers.Bidirectional(lstm)(x)])

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


def attentive_statistics(x):
    """Pool `(n, steps, channels)` over time into its weighted mean and sd, `(n, 2 * channels)`."""
    scores = layers.Dense(64, activation="tanh")(x)
    scores = layers.Dense(1)(scores)
    weights = layers.Softmax(axis=1)(scores)
    mean = ops.sum(weights * x, axis=1)
    variance = ops.sum(weights * ops.square(x), axis=1) - ops.square(mean)
    deviation = ops.sqrt(ops.maximum(variance, 1e-6))
    attention = layers.Flatten(name="attention")(weights)
    return layers.Concatenate()([mean, deviation]), attention


BUILDERS = {"cnn-bilstm": cnn_bilstm}


def build(recipe: Recipe) -> keras.Model:
    """Build the network a recipe names."""
    builder = BUILDERS[recipe.network.name]
    spec = recipe.features
    return builder(spec.frames, spec.bands, len(recipe.labels), recipe.network)
