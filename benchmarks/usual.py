"""The usual speech-emotion pipeline, as tutorials build it: librosa features, `model.predict`.

MFCC 40, zero-crossing rate, chroma and RMS over 300 frames (7 s), then two convolutions, a BiLSTM
and a dense layer in Keras; of a longer recording, one stretch of 300 frames after another. Its
weights are random: only its speed is looked at. It is much like `cnn-bilstm-four` of
`benchmarks.seeds`, but librosa is called as scripts call it: sound in, one descriptor out, each
time from the beginning.
"""

import sys

import numpy as np

FRAMES = 300


def features(path: str) -> np.ndarray:
    """Return float32 `(n, FRAMES, 54)`, the last one filled up with zeros."""
    import librosa

    samples, rate = librosa.load(path)
    rows = np.concatenate(
        [
            librosa.feature.mfcc(y=samples, sr=rate, n_mfcc=40),
            librosa.feature.zero_crossing_rate(samples),
            librosa.feature.chroma_stft(y=samples, sr=rate),
            librosa.feature.rms(y=samples),
        ]
    )
    count = -(-rows.shape[1] // FRAMES)
    rows = librosa.util.fix_length(rows, size=count * FRAMES, axis=1)
    return rows.T.reshape(count, FRAMES, -1).astype(np.float32)


def model(classes: int = 8):
    """Build the Keras model."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((FRAMES, 54)),
            layers.Conv1D(64, 5, padding="same", activation="relu"),
            layers.MaxPooling1D(2),
            layers.Conv1D(128, 5, padding="same", activation="relu"),
            layers.MaxPooling1D(2),
            layers.Bidirectional(layers.LSTM(64)),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def predict(model, path: str) -> np.ndarray:
    """Return the probabilities for one recording, `(classes,)`."""
    return model.predict(features(path), verbose=0).mean(axis=0)


if __name__ == "__main__":
    print(predict(model(), sys.argv[1]))
