"""What it costs that FFmpeg decodes in a process of its own, beside FFmpeg in this one.

`python -m benchmarks.decode` prints a table and writes `benchmarks/results/decode.json`.
"""

import argparse
import statistics

from benchmarks.common import in_a_process, keep, machine
from benchmarks.predict import clip, timed
from ser_core import audio, changes

FORMATS = {
    "MP3": ("libmp3lame", "mp3", 44_100),
    "M4A": ("aac", "ipod", 44_100),
    "Opus in WebM": ("libopus", "webm", 48_000),
}


def main() -> None:
    """Measure in turns, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=25, help="decodings a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each, in turns")
    options = parser.parse_args()
    samples, what = clip()
    files = {
        name: changes.encode(samples, codec, container, rate=rate, kbit=64)
        for name, (codec, container, rate) in FORMATS.items()
    }
    times = {(name, apart): [] for name in files for apart in (False, True)}
    starts = []
    for _ in range(options.rounds):
        for (name, apart), found in times.items():
            first, *warm = in_a_process(measure, files[name], apart, options.repeats)
            found += warm
            starts += [first - statistics.median(warm)] if apart else []
    result = {
        "what": f"{what}, 64 kbit a second; medians over rounds taken in turns, milliseconds",
        **{
            name: {
                "here_ms": round(statistics.median(times[name, False]), 1),
                "apart_ms": round(statistics.median(times[name, True]), 1),
            }
            for name in files
        },
        "the first one apart, more": round(statistics.median(starts)),
        "machine": machine(),
        "repeats": options.repeats,
        "rounds": options.rounds,
    }
    keep("decode", result)
    print(table(result))


def measure(file: bytes, apart: bool, repeats: int) -> list[float]:
    """Return the milliseconds of the first decoding, and of those when everything is warm."""
    rare = None if apart else audio.decode_rare
    return timed(lambda: audio.read(file, rare=rare), repeats, warm_up=0)


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| 4 s of speech | in this process (ms) | apart (ms) |", "|---|---|---|"]
    for name in FORMATS:
        lines.append(f"| {name} | {result[name]['here_ms']} | {result[name]['apart_ms']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
