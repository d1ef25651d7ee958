import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile

from benchmarks import common, decode, epoch, opensmile_svm, predict, seeds, stages, usual
from benchmarks.__main__ import NAMES
from ser_core import audio, changes, features, recipe


def test_the_usual_pipeline_is_what_it_says(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, predict.clip()[0], 16_000)
    assert usual.features(path).shape == (1, 300, 54)
    model = usual.model()
    probabilities = usual.predict(model, path)
    assert probabilities.shape == (8,) and np.isclose(probabilities.sum(), 1, atol=1e-4)
    soundfile.write(path, np.tile(predict.clip()[0], 3), 16_000)
    assert usual.features(path).shape == (2, 300, 54) and usual.features(path)[1, -1].any() == 0
    assert np.isclose(usual.predict(model, path).sum(), 1, atol=1e-4)


@pytest.mark.parametrize("name", seeds.NAMES)
def test_the_seed_systems_are_those_of_the_recipes(name, tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, predict.clip()[0], 16_000)
    loaded = recipe.load(name)
    [expected] = features.windows(audio.read(path), loaded.features).values
    np.testing.assert_allclose(seeds.features(path, loaded.features), expected, atol=1e-3)
    probabilities = seeds.predict(seeds.model(name), path)
    assert probabilities.shape == (len(loaded.labels),)
    assert np.isclose(probabilities.sum(), 1, atol=1e-4)


def test_a_seed_system_sees_no_more_of_a_long_recording_than_fits(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(predict.clip()[0], 3), 16_000)
    spec = recipe.load("mel-cnn-bilstm").features
    assert seeds.features(path, spec).shape == spec.shape


def test_a_seed_system_starts_from_the_command_line(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, predict.clip()[0], 16_000)
    _, command = predict.pipelines()["mel-cnn-bilstm"]
    seconds, megabytes = predict.start([*command, str(path)])
    assert seconds > 0 and megabytes > 0


def test_a_peer_is_built_by_its_module_and_named_to_it(monkeypatch):
    heard = []
    monkeypatch.setattr(seeds, "model", lambda name: f"model of {name}")
    monkeypatch.setattr(seeds, "predict", lambda model, path: heard.append((model, path)))
    assert len(predict.theirs("cnn-refined", "clip.wav", 2)) == 2
    assert set(heard) == {("model of cnn-refined", "clip.wav")}


def test_opensmile_and_an_svm_are_what_they_say(tmp_path):
    pytest.importorskip("opensmile")  # not a requirement; see benchmarks/predict.py
    path = tmp_path / "clip.wav"
    soundfile.write(path, predict.clip()[0], 16_000)
    smile, svm = opensmile_svm.model()
    assert smile.process_file(path).shape == (1, 88) == (1, svm.n_features_in_)
    probabilities = opensmile_svm.predict((smile, svm), path)
    assert probabilities.shape == (8,) and np.isclose(probabilities.sum(), 1, atol=1e-4)


def test_every_pipeline_can_be_measured_in_a_process_of_its_own():
    assert {"deep", "swift", "usual", *seeds.NAMES} <= set(predict.pipelines())
    for measure, _ in predict.pipelines().values():
        again = pickle.loads(pickle.dumps(measure))
        assert (again.func, again.args) == (measure.func, measure.args)


@pytest.mark.parametrize("installed", [True, False])
def test_opensmile_is_measured_where_it_is_installed(installed, monkeypatch):
    monkeypatch.setattr(predict, "find_spec", lambda name: installed or None)
    assert ("opensmile_svm" in predict.pipelines()) == installed


def test_the_table_of_the_benchmark_names_who_was_measured():
    one = {"warm_ms": 2.0, "start_s": 0.5, "peak_memory_mb": 100.0}
    ours = {model: one for model in predict.MODELS}
    peers = {peer: one for peer in ("usual", "cnn-refined")}
    ratios = {f"{peer} / {model}": one for peer in peers for model in predict.MODELS}
    found = predict.table(ours | peers | ratios)
    assert "| usual pipeline | 2 (2 × `deep`, 2 × `swift`)" in found
    assert "| `cnn-refined`, librosa and Keras | 2 (2 × `deep`, 2 × `swift`)" in found
    assert "SVM" not in found and "cnn-lstm-six" not in found
    slow = {"warm_ms": 1234.0, "start_s": 120.0, "peak_memory_mb": 1000.0}
    slowly = {key: slow for key in ("usual", *(f"usual / {m}" for m in predict.MODELS))}
    assert "| 1230 (1200 × `deep`, 1200 × `swift`)" in predict.table(ours | slowly)


def test_the_benchmark_clip_passes_for_speech(tmp_path):
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


@pytest.mark.parametrize(
    ("name", "windows"),
    [("mel-cnn-bilstm", 48), ("cnn-bilstm-four", 48 + 12)],  # a fourth of which is varied
)
def test_an_epoch_is_timed(name, windows, toy_data, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path))
    toy = (
        *epoch.SETTINGS,
        'labels=["neutral", "happy", "sad", "angry"]',
        "network.filters=[4, 4]",
        "network.pooling=4" if name == "cnn-bilstm-four" else "network.pooling=[[4, 4], [4, 4]]",
        "training.batch_size=4",
        'augmentation.only=["angry"]',
        "augmentation.stretches=[]",
        "augmentation.pitches=[]",
    )
    seen, seconds = epoch.measure(name, 2, toy)
    assert seen == windows and len(seconds) == 2 and min(seconds) > 0
    # The changed windows are computed where they make an epoch longer only.
    computed = {folder.name.partition("-")[2] for folder in tmp_path.glob("*/*")}
    assert len(computed) == (2 if name == "cnn-bilstm-four" else 1)


@pytest.mark.parametrize("apart", [False, True])
def test_decoding_is_timed_from_the_first_on(apart, monkeypatch):
    file = changes.encode(predict.clip()[0], "libmp3lame", "mp3", rate=16_000, kbit=64)
    asked, read = [], audio.read

    def counted(file, *, rare):
        asked.append(rare)
        return read(file, rare=rare)

    monkeypatch.setattr(audio, "read", counted)
    assert min(decode.measure(file, apart, 3)) > 0
    assert asked == 3 * [None if apart else audio.decode_rare]


def test_an_epoch_of_every_recipe_is_one_of_the_same_recordings():
    for name in epoch.RECIPES:
        loaded = recipe.load(name, epoch.SETTINGS)
        assert loaded.data.corpora == ("ravdess",) and loaded.training.validation_speakers == 2


def test_the_table_of_epochs_has_a_row_a_recipe():
    result = {name: epoch.figures(1200, [1.0, 9.0, 2.0]) for name in epoch.RECIPES}
    assert "| `cnn-lstm-six` | 1,200 | 2.0 | 600 |" in epoch.table(result)
    assert len(epoch.table(result).splitlines()) == 2 + len(epoch.RECIPES)


def test_an_unknown_benchmark_is_a_sentence():
    gone = subprocess.run(
        [sys.executable, "-m", "benchmarks", "predict", "none"], capture_output=True, text=True
    )
    assert gone.returncode == 2 and "there is no benchmark 'none'; known are" in gone.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_is_there(name):
    assert (Path(predict.__file__).parent / f"{name}.py").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_was_measured(name):
    assert (common.RESULTS / f"{name}.json").is_file()
