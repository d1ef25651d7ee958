"""What users of the seed systems run: librosa's features of a recording, and `model.predict`.

`python -m benchmarks.seeds RECIPE FILE` prints probabilities. Features and network are those of our
recipe of that name, but the sound comes from librosa, and Keras does the rest. The weights are
random: speed does not depend on them. Scripts of the field have librosa transform the sound again
for each descriptor, and look for a tuning before the chroma; ours transform once and look for none,
so these pipelines are rather shown too quick than too slow.
"""

import sys

import numpy as np

NAMES = ("crnn-multifeature", "cnn-refined", "cnn-lstm-six", "cnn-bilstm-four", "mel-cnn-bilstm")


def features(path: str, spec) -> np.ndarray:
    """Return the first window of a recording, float32 of the spec's shape."""
    import librosa

    from ser_core import descriptors
    from ser_core.audio import TRIM_HOP

    samples, _ = librosa.load(path, sr=spec.sample_rate, duration=spec.window_seconds)
    samples, _ = librosa.effects.trim(samples, top_db=spec.trim_db, hop_length=TRIM_HOP)
    return descriptors.window(samples, spec)


def model(name: str):
    """Return what the features are, and the network, freshly built."""
    import keras

    from ser_core import networks, recipe

    loaded = recipe.load(name)
    values = loaded.features.shape[-1]
    # As if the scaler that authors use had found nothing to do; it takes as long.
    network = networks.build(loaded, networks.Scale(np.zeros(values), np.ones(values)))
    probabilities = keras.layers.Softmax()(network.output["logits"])
    return loaded.features, keras.Model(network.input, probabilities)


def predict(model, path: str) -> np.ndarray:
    """Return the probabilities for one recording, `(classes,)`."""
    spec, network = model
    return network.predict(features(path, spec)[None], verbose=0)[0]


if __name__ == "__main__":
    print(predict(model(sys.argv[1]), sys.argv[2]))
