import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from ser_core import apart, audio, bundle, export, features, shelf
from ser_core.descriptors import DescriptorSpec
from ser_core.errors import UndertoneError
from ser_core.fbank import FbankSpec
from ser_core.features import FeatureSpec
from ser_core.locations import find_model, model_folders
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like
from tests.test_descriptors import EVERY

FILES = {"keras": "model.keras", "onnx": "model.onnx", "litert": "model.tflite"}


def unpacked(file, folder, model="swift"):
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return folder / model


def answer(folder, recording) -> tuple[str, dict[str, float]]:
    """What the example of an export says of a recording, far from Undertone."""
    told = subprocess.run(
        [sys.executable, "example.py", recording],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    first, *rows = told.stdout.split("\n")[:-1]
    return first, {label: float(share) for label, share in (row.split() for row in rows)}


def check_example(model, format, tmp_path):
    """Have the example of an export answer, and compare it with the app."""
    file = tmp_path / "model.zip"
    file.write_bytes(export.as_bytes(model, format))
    folder = unpacked(file, tmp_path, model)
    assert "import ser_core" not in (program := (folder / "example.py").read_text("utf-8"))
    assert "from ser_core" not in program
    recognizer = Recognizer.from_name(model)
    for name, samples in {
        "short": speech_like(1.3, 200.0),
        "long": np.concatenate([np.zeros(8000, np.float32), speech_like(9.0, 120.0)]),
    }.items():
        recording = tmp_path / f"{name}.wav"
        soundfile.write(recording, samples, audio.SAMPLE_RATE)
        expected = recognizer.predict(audio.read(recording))
        sure, shares = answer(folder, recording)
        assert list(shares) == list(expected.probabilities), "in the order of the labels"
        for label, share in expected.probabilities.items():
            assert shares[label] == pytest.approx(share, abs=2e-3)
        assert (sure == "sure") == (expected.confidence >= recognizer.card.threshold)


@pytest.mark.parametrize(
    ("model", "format"), [*(("swift", format) for format in FILES), ("deep", "onnx")]
)
def test_the_example_runs_and_answers_as_the_app_does(tmp_path, model, format):
    check_example(model, format, tmp_path)


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    """A folder of runs with one model, an LSTM over descriptors as it is before it is trained."""
    from ser_core import networks, recipe

    loaded = recipe.load("lstm")
    values = loaded.features.shape[1]
    scale = networks.Scale(np.full(values, -5.0), np.full(values, 20.0))
    network = networks.build(loaded, scale)
    card = replace(
        bundle.read_card(find_model("swift")),
        labels=loaded.labels,
        features=loaded.features,
        temperature=0.05,  # or all would be about as likely, whatever is heard
        mean=tuple(scale.mean.tolist()),
        sd=tuple(scale.sd.tolist()),
        files={},
    )
    runs = tmp_path_factory.mktemp("recurrent")
    size = network.output["embedding"].shape[1], len(card.labels)
    bundle.save(network, card, runs / "lstm" / "model", moods=np.zeros(size[::-1]))
    return runs


@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_so_does_that_of_a_model_over_descriptors(recurrent, tmp_path, monkeypatch, format):
    monkeypatch.setenv("SER_RUNS_DIR", str(recurrent))
    check_example("lstm", format, tmp_path)


@pytest.mark.parametrize("seconds", [0.02, 1.3, 9.0])
@pytest.mark.parametrize(
    "spec",
    [
        FeatureSpec(),
        FbankSpec(kind="fbank"),
        DescriptorSpec(names=EVERY),
        DescriptorSpec(names=("zcr", "mfcc"), frames=40, pooled=("mean", "sd", "min", "max")),
    ],
    ids=["log-mel", "fbank", "descriptors", "pooled"],
)
def test_the_example_sees_what_undertone_sees(tmp_path, monkeypatch, spec, seconds):
    card = replace(bundle.read_card(find_model("swift")), features=spec)
    program = export.example(card, "onnx").partition("network = ")[0]
    (tmp_path / "example.py").write_text(program, "utf-8")
    recording = tmp_path / "talk.wav"
    sound = np.concatenate([np.zeros(8000, np.float32), speech_like(seconds)])
    soundfile.write(recording, np.stack([sound, 0.5 * sound], axis=1), audio.SAMPLE_RATE)
    monkeypatch.setattr(sys, "argv", ["example.py", str(recording)])
    theirs = runpy.run_path(str(tmp_path / "example.py"))["windows"]
    ours = features.windows(audio.read(recording), spec).values
    assert theirs.dtype == ours.dtype == np.float32
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("format", ["keras", "onnx"])
def test_the_readme_describes_what_goes_in_and_what_comes_out(tmp_path, format):
    export.write("swift", format, tmp_path / "swift.zip")
    folder = unpacked(tmp_path / "swift.zip", tmp_path)
    said = (folder / "README.md").read_text("utf-8")
    card = bundle.read_card(find_model("swift"))
    for key, value in vars(card.features).items():
        assert f'"{key}": {value}' in said
    assert re.findall(r"^\d+\. (\w+)$", said, re.M) == list(card.labels)
    assert f"{card.temperature:.4f}" in said and f"{card.threshold:.4f}" in said
    assert card.licence in said
    assert (folder / "example.py").read_text("utf-8") in said
    assert bundle.sha256(folder / FILES[format]) == card.files[FILES[format]]
    assert (folder / "MODEL_CARD.md").read_bytes() == (
        find_model("swift") / "README.md"
    ).read_bytes()


def test_the_readme_says_how_descriptors_are_made_and_who_standardises_them():
    spec = DescriptorSpec(names=("mfcc", "zcr"), pooled=("mean", "sd"), n_mfcc=13, n_mels=64)
    card = replace(bundle.read_card(find_model("swift")), features=spec, mean=(0.0,), sd=(1.0,))
    said = " ".join(export.readme("toy", card, "onnx", "").split())
    assert "with the tuning 0" in said and '"n_mfcc": 13' in said and "of 64 bands, too" in said
    assert "`card.json`: whoever applied them before would do it twice" in said
    assert f"licence of the weights: {card.licence}." in said
    assert "twice" not in export.readme("toy", replace(card, mean=(), sd=()), "onnx", "")


def test_the_readme_says_how_filter_banks_are_made():
    said = export.readme("deep", bundle.read_card(find_model("deep")), "onnx", "")
    for word in ("snip-edges", "0.97", "Povey", "from 20 Hz", "1.19e-7", "mean of the channels"):
        assert word in said


def test_what_was_imported_is_exported_with_a_limit_of_memory(runs, monkeypatch):
    shutil.copytree(find_model("swift"), runs / "mine" / "model")
    (runs / "mine" / shelf.IMPORTED).write_text("{}")
    monkeypatch.setattr(apart, "STRANGERS_MEMORY", 50_000_000)
    with pytest.raises(UndertoneError, match="it failed"):
        export.as_bytes("mine", "litert")


def test_a_whole_folder_is_exported(tmp_path):
    export.write("swift", "bundle", tmp_path / "swift.zip")
    folder = unpacked(tmp_path / "swift.zip", tmp_path)
    assert bundle.load(folder).card == bundle.read_card(find_model("swift"))


def test_an_export_is_whole_or_not_there(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", fail)
    with pytest.raises(UndertoneError, match="No space left"):
        export.write("swift", "onnx", tmp_path / "swift.zip")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "format", "file", "says"),
    [
        ("nobody", "onnx", "x.zip", "no model “nobody”"),
        ("swift", "pickle", "x.zip", "no format 'pickle'"),
        ("swift", "onnx", "nowhere/x.zip", "cannot be written"),
        ("swift", "keras", "x.keras", "'x.keras' does not end so; take 'x.zip'"),
    ],
)
def test_what_cannot_be_exported_is_a_sentence(tmp_path, name, format, file, says):
    with pytest.raises(UndertoneError, match=says):
        export.write(name, format, tmp_path / file)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_not_passed_on(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    copy = shutil.copytree(find_model("swift"), tmp_path / "mine" / "model")
    (copy / "model.keras").write_bytes(b"damaged")
    with pytest.raises(UndertoneError, match="model.keras"):
        export.write("mine", "onnx", tmp_path / "x.zip")
    assert "mine" in model_folders()
