"""Makes the sample clips with espeak-ng, and the table of them.

    python assets/samples/make.py

The titles say how a clip is spoken, never what anyone feels: nobody does.
"""

import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import soundfile
import soxr

FOLDER = Path(__file__).parent
RATE = 16_000


@dataclass(frozen=True)
class Sample:
    """What is said, and how.

    `pitch` is 0 to 99 and `amplitude` 0 to 200 as espeak-ng counts them, `rate` is in words a
    minute, and `pitch_range` is how far the melody moves, in per cent of a plain reading.
    """

    title: str
    text: str
    voice: str
    pitch: int
    pitch_range: int
    rate: int
    amplitude: int

    @property
    def file(self) -> str:
        """The file's name, made of the title."""
        return self.title.lower().replace(",", "").replace(" ", "-") + ".flac"


SAMPLES = (
    Sample("Low and slow", "The train to the coast leaves at ten.",
           "en-us+m3", 15, 60, 110, 90),
    Sample("High, fast, loud", "The blue folder is on the second shelf, next to the window.",
           "en-us+f2", 85, 170, 210, 140),
    Sample("Flat and quiet", "There are seven chairs around the table.",
           "en-gb+f1", 50, 5, 140, 25),
    Sample("Singsong", "My neighbour keeps her bicycle in the hall downstairs.",
           "en-us+f3", 60, 250, 170, 90),
    Sample("Deep, fast, loud", "The parcel was left beside the front door this morning.",
           "en-gb+m7", 5, 120, 205, 130),
    Sample("Whispered", "The library opens at nine on weekdays.", "en-us+whisperf",
           50, 100, 140, 70),
)  # fmt: skip


def speak(sample: Sample) -> bytes:
    """Return the clip as espeak-ng speaks it, a WAV file at 22 050 Hz."""
    ssml = f'<prosody range="{sample.pitch_range}%">{sample.text}</prosody>'
    return subprocess.run(
        ["espeak-ng", "-m", "-z", "--stdout", "-v", sample.voice, "-p", str(sample.pitch),
         "-s", str(sample.rate), "-a", str(sample.amplitude), ssml],
        capture_output=True,
        check=True,
    ).stdout  # fmt: skip


def main() -> None:
    """Write every clip and `samples.toml`."""
    table = ["# Written by make.py.\n"]
    for sample in SAMPLES:
        samples, rate = soundfile.read(io.BytesIO(speak(sample)), dtype="float32")
        samples = soxr.resample(samples, rate, RATE, quality="VHQ")
        soundfile.write(FOLDER / sample.file, samples, RATE, subtype="PCM_16")
        table.append(f'\n[[sample]]\nfile = "{sample.file}"\ntitle = "{sample.title}"\n')
        print(f"{sample.file}: {len(samples) / RATE:.1f} s, peak {abs(samples).max():.2f}")
    (FOLDER / "samples.toml").write_text("".join(table), "utf-8")


if __name__ == "__main__":
    main()
