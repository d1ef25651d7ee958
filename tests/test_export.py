import os
import re
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from ser_core import audio, bundle, export
from ser_core.descriptors import DescriptorSpec
from ser_core.errors import UndertoneError
from ser_core.recognizer import Recognizer, find_model, model_folders
from tests.helpers import ROOT, speech_like

FILES = {"keras": "model.keras", "onnx": "model.onnx", "litert": "model.tflite"}


def unpacked(file, folder, model="swift"):
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return folder / model


def answer(folder, recording, path="") -> tuple[str, dict[str, float]]:
    """What the example of an export says of a recording, with a folder on Python's path or none."""
    told = subprocess.run(
        [sys.executable, "example.py", recording],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    first, *rows = told.stdout.split("\n")[:-1]
    return first, {label: float(share) for label, share in (row.split() for row in rows)}


@pytest.mark.parametrize(
    ("model", "format"), [*(("swift", format) for format in FILES), ("deep", "onnx")]
)
def test_the_example_runs_and_answers_as_the_app_does(tmp_path, model, format):
    file = tmp_path / "model.zip"
    file.write_bytes(export.as_bytes(model, format))
    folder = unpacked(file, tmp_path, model)
    recognizer = Recognizer.from_name(model)
    for name, samples in {
        "short": speech_like(1.3, 200.0),
        "long": np.concatenate([np.zeros(8000, np.float32), speech_like(9.0, 120.0)]),
    }.items():
        recording = tmp_path / f"{name}.wav"
        soundfile.write(recording, samples, audio.SAMPLE_RATE)
        expected = recognizer.predict(audio.read(recording))
        # Kaldi's filter banks are Undertone's to compute, as the README there says.
        sure, shares = answer(folder, recording, ROOT if model == "deep" else "")
        assert list(shares) == list(expected.probabilities), "in the order of the labels"
        for label, share in expected.probabilities.items():
            assert shares[label] == pytest.approx(share, abs=2e-3)
        assert (sure == "sure") == (expected.confidence >= recognizer.card.threshold)


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


def test_descriptors_are_computed_by_undertone(tmp_path):
    """The example of a model that sees other features than log-mels, with a network of our own."""
    from onnx import TensorProto, helper, numpy_helper, save

    spec = DescriptorSpec(names=("mfcc", "zcr"), pooled=("mean", "sd"), n_mfcc=13)
    card = replace(
        bundle.read_card(find_model("swift")), labels=("happy", "sad"), features=spec, files={}
    )
    weights = np.random.default_rng(0).normal(0, 0.01, (*spec.shape, 2)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["window", "weights"], ["logits"])],
        "toy",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["n", *spec.shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opset = [helper.make_opsetid("", 15)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "model.onnx")
    bundle.write_card(card, tmp_path)
    (tmp_path / "example.py").write_text(
        f"import sys; sys.path.append({str(ROOT)!r})\n" + export.example(card, "onnx")
    )
    soundfile.write(tmp_path / "talk.wav", speech_like(), audio.SAMPLE_RATE)
    _, shares = answer(tmp_path, "talk.wav")
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    said = export.readme("toy", card, "onnx", "")
    assert "ser_core.features.windows" in said and '"n_mfcc": 13' in said
    assert "tuning\n0" in said and f"licence of the weights: {card.licence}." in said


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
    import shutil

    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path))
    copy = shutil.copytree(find_model("swift"), tmp_path / "mine" / "model")
    (copy / "model.keras").write_bytes(b"damaged")
    with pytest.raises(UndertoneError, match="model.keras"):
        export.write("mine", "onnx", tmp_path / "x.zip")
    assert "mine" in model_folders()
