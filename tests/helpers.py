from pathlib import Path

import numpy as np

from ser_core import audio

ROOT = Path(__file__).parent.parent

# The swift recipe, made small enough to learn the toy corpus in seconds.
TOY = (
    'labels=["neutral", "happy", "sad", "angry"]',
    "network.filters=[16, 16]",
    "network.lstm_units=8",
    "network.embedding=16",
    "network.dropout=0.0",
    "augmentation.mixup=0.0",
    "training.epochs=20",
    "training.batch_size=8",
    "training.learning_rate=0.01",
    "training.averaging=0.5",
    "training.validation_speakers=2",
)


def speech_like(seconds: float = 2.0, pitch: float = 140.0, seed: int = 0) -> np.ndarray:
    """Return buzzes with pauses between them: to the quality check, somebody talking."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * audio.SAMPLE_RATE)) / audio.SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3 * time + 0.1), 0, 1)
    noise = 1e-3 * rng.standard_normal(len(time))
    return (0.2 * buzz * syllables + noise).astype(np.float32)
