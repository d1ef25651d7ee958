"""Where the time of one clip goes, and what it must cost on this core whatever the code is like.

`python -m benchmarks.stages` prints a table and writes `benchmarks/results/stages.json`. All is
measured on one core, in turns, on 4 s of speech. The floor of a stage is its bare work: the file's
samples decoded, its frames Fourier-transformed, its networks run by ONNX Runtime (that which knows
voices on half a second, after which it knows). One after another they take longer than each again
and again, because they drive one another out of the core's caches; so does what we do. Of the
networks, the multiply-adds are counted, too, and put beside what the core can do in a matrix
product.
"""

import argparse
import os
import platform
import statistics
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
import soundfile
from scipy import fft

from benchmarks.common import in_a_process, keep
from benchmarks.predict import MODELS, clip, timed
from ser_core import audio, features, speech
from ser_core.locations import find_model
from ser_core.recognizer import Recognizer

STAGES = ("decoding", "is somebody speaking?", "features", "network", "all together")
FLOORS = ("decoding", "Fourier transforms", "networks", "all together")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30, help="of each measurement in a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, taken in turns")
    options = parser.parse_args()
    found = {model: {} for model in MODELS}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clip.wav")
        samples, what = in_a_process(clip, first=_one_core)
        soundfile.write(path, samples, audio.SAMPLE_RATE)
        for _ in range(options.rounds):
            for model in MODELS:
                times_of = in_a_process(measure, model, path, options.repeats, first=_one_core)
                for name, times in times_of.items():
                    found[model].setdefault(name, []).extend(times)
    result = {"what": f"{what}; milliseconds on one core, medians over rounds taken in turns"}
    rate = in_a_process(multiply_add_rate, first=_one_core)
    for model in MODELS:
        medians = {name: statistics.median(times) for name, times in found[model].items()}
        stages = {name: round(medians[name], 3) for name in STAGES}
        floors = {name: round(medians[f"floor: {name}"], 3) for name in FLOORS}
        counted = in_a_process(multiply_adds, find_model(model) / "model.onnx", first=_one_core)
        result[model] = {
            "stages": stages,
            "floors": floors,
            "times the floor": round(stages["all together"] / floors["all together"], 2),
            "million multiply-adds": round(counted / 1e6, 1),
            "ms that these take in a matrix product": round(1000 * counted / rate, 3),
        }
    result["machine"] = (
        f"{platform.machine()}, Python {platform.python_version()}, {rate / 1e9:.0f} thousand "
        f"million multiply-adds a second; load {os.getloadavg()[0]:.1f}"
    )
    keep("stages", result)
    print(table(result))


def _one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def measure(model: str, path: str, repeats: int) -> dict[str, list[float]]:
    """Return the milliseconds of each stage and of each floor."""
    recognizer = Recognizer.from_name(model)
    spec, content = recognizer.card.features, Path(path).read_bytes()
    recording = audio.read(content)
    windows = features.windows(recording, spec).values
    frames = np.zeros((len(recording.samples) // spec.hop_length, spec.n_fft), np.float32)
    half_second = recording.samples[: audio.SAMPLE_RATE // 2]
    bare = {
        "decoding": lambda: soundfile.read(path, dtype="float32"),
        "Fourier transforms": lambda: fft.rfft(frames, axis=1),
        "networks": lambda: (
            list(speech.voice_probability(half_second)),
            recognizer.bundle.run(windows),
        ),
    }
    bare["all together"] = lambda: [bare[name]() for name in FLOORS[:-1]]
    calls = {
        "decoding": lambda: audio.read(content),
        "is somebody speaking?": lambda: audio.quality(recording),
        "features": lambda: features.windows(recording, spec),
        "network": lambda: recognizer.bundle.run(windows),
        "all together": lambda: recognizer.predict(audio.read(content)),
    } | {f"floor: {name}": call for name, call in bare.items()}
    return {name: timed(call, repeats) for name, call in calls.items()}


def multiply_add_rate(size: int = 1024) -> float:
    """Return how many multiply-adds a second a matrix product of float32 does here."""
    matrix = np.ones((size, size), np.float32)
    best = min(timed(lambda: matrix @ matrix, 20))
    return size**3 / (best / 1000)


def multiply_adds(path: Path) -> int:
    """Return how many multiply-adds an ONNX model does for one window.

    Convolutions, matrix products and LSTMs are counted; the rest is little beside them.
    """
    import onnx

    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    sizes = _sizes(model)
    total = 0
    for node in model.graph.node:
        shapes = [sizes.get(name) for name in node.input]
        if node.op_type == "Conv":
            total += int(np.prod(sizes[node.output[0]]) * np.prod(shapes[1][1:]))
        elif node.op_type in ("MatMul", "Gemm"):
            total += int(np.prod(sizes[node.output[0]]) * shapes[0][-1])
        elif node.op_type == "LSTM":
            steps, (ways, gates, inputs), units = shapes[0][0], shapes[1], shapes[2][2]
            total += steps * ways * gates * (inputs + units)
    return total


def _sizes(model) -> dict[str, tuple[int, ...]]:
    """Return the shape of every value of a model, seen as it runs on one empty window."""
    import onnx

    every = {name for node in model.graph.node for name in node.output if name}
    known = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(every - known))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    (window,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    empty = np.zeros([1, *window.shape[1:]], np.float32)
    found = {window.name: empty.shape}
    for name, value in zip(names, session.run(names, {window.name: empty}), strict=True):
        found[name] = np.shape(value)
    return found | {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}


def table(result: dict) -> str:
    """Return the figures as a Markdown table."""
    lines = [f"| ms | {' | '.join(MODELS)} |", "|---|" + "---|" * len(MODELS)]
    rows = [(name, [result[m]["stages"][name] for m in MODELS]) for name in STAGES]
    rows += [(f"floor: {name}", [result[m]["floors"][name] for m in MODELS]) for name in FLOORS]
    rows += [
        (name, [result[model][name] for model in MODELS])
        for name in (
            "times the floor",
            "million multiply-adds",
            "ms that these take in a matrix product",
        )
    ]
    lines += [f"| {name} | {' | '.join(f'{value:g}' for value in row)} |" for name, row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
