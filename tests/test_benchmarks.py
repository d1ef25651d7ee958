import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile

from benchmarks import opensmile_svm, predict, stages, usual


def test_the_usual_pipeline_is_what_it_says(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, predict.clip()[0], 16_000)
    assert usual.features(path).shape == (300, 54)
    probabilities = usual.predict(usual.model(), path)
    assert probabilities.shape == (8,) and np.isclose(probabilities.sum(), 1, atol=1e-4)


def test_opensmile_and_an_svm_are_what_they_say(tmp_path):
    pytest.importorskip("opensmile")  # not a requirement; see benchmarks/predict.py
    path = tmp_path / "clip.wav"
    soundfile.write(path, predict.clip()[0], 16_000)
    smile, svm = opensmile_svm.model()
    assert smile.process_file(path).shape == (1, 88) == (1, svm.n_features_in_)
    probabilities = opensmile_svm.predict((smile, svm), path)
    assert probabilities.shape == (8,) and np.isclose(probabilities.sum(), 1, atol=1e-4)


def test_every_pipeline_can_be_measured_in_a_process_of_its_own():
    assert {"deep", "swift", "usual"} <= set(predict.pipelines())
    for measure, _ in predict.pipelines().values():
        again = pickle.loads(pickle.dumps(measure))
        assert (again.func, again.args) == (measure.func, measure.args)


def test_the_table_of_the_benchmark_names_who_was_measured():
    one = {"warm_ms": 2.0, "start_s": 0.5, "peak_memory_mb": 100.0}
    ours = {model: one for model in predict.MODELS}
    found = predict.table(ours | {"usual": one} | {f"usual / {m}": one for m in predict.MODELS})
    assert "usual pipeline | 2 (2 × `deep`, 2 × `swift`)" in found and "SVM" not in found


def test_the_benchmark_clip_passes_for_speech(tmp_path):
    from ser_core import audio

    samples, _ = predict.clip()
    assert not audio.quality(audio.Clip(samples, 16_000, "clip")).issues


def test_multiply_adds_are_counted(tmp_path):
    """Of a convolution, an LSTM both ways and a dense layer, over ten steps of four values."""
    rng = np.random.default_rng(0)

    def weights(name, *shape):
        return onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Conv", ["x", "kernel"], ["seen"]),
            onnx.helper.make_node("Transpose", ["seen"], ["steps"], perm=[2, 0, 1]),
            onnx.helper.make_node(
                "LSTM", ["steps", "w", "r"], ["", "last"], hidden_size=5, direction="bidirectional"
            ),
            onnx.helper.make_node("MatMul", ["last", "dense"], ["y"]),
        ],
        "tiny",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 4, 10])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, "n", 7])],
        [
            weights("kernel", 6, 4, 3),
            weights("w", 2, 20, 6),
            weights("r", 2, 20, 5),
            weights("dense", 5, 7),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, ir_version=10, opset_imports=opset)
    onnx.save(model, tmp_path / "tiny.onnx")
    convolution, lstm, dense = 8 * 6 * 4 * 3, 8 * 2 * 20 * (6 + 5), 2 * 5 * 7
    assert stages.multiply_adds(tmp_path / "tiny.onnx") == convolution + lstm + dense


def test_a_clip_is_taken_apart(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, predict.clip()[0], 16_000)
    found = stages.measure("swift", str(path), 2)
    assert set(found) == {*stages.STAGES, *(f"floor: {name}" for name in stages.FLOORS)}
    assert all(min(times) > 0 for times in found.values())


def test_an_unknown_benchmark_is_a_sentence():
    gone = subprocess.run(
        [sys.executable, "-m", "benchmarks", "predict", "none"], capture_output=True, text=True
    )
    assert gone.returncode == 2 and "there is no benchmark 'none'; known are" in gone.stderr


def test_every_benchmark_is_there():
    from benchmarks.__main__ import NAMES

    folder = Path(predict.__file__).parent
    assert {name for name in NAMES if not (folder / f"{name}.py").is_file()} == set()
    assert {name for name in NAMES if not (folder / "results" / f"{name}.json").is_file()} == set()
