import contextlib
import dataclasses
import io
import json
import pickle
import shutil
import stat
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import onnx
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from ser_core import bundle, export, heldout, importing, inspection, recipe, shelf
from ser_core.errors import UndertoneError
from ser_core.locations import find_model

SWIFT = find_model("swift")


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(SWIFT, tmp_path / "copy")


def zipped(folder: Path, file: Path, *, within: str = "") -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"{within}{path.name}")
    return file


def signed(folder: Path, **changes) -> None:
    """Make the card of a folder fit to its files again, with some values changed."""
    path = folder / "card.json"
    card = json.loads(path.read_text("utf-8"))
    names = [p.name for p in folder.iterdir() if p.name != "card.json"]
    card |= {"files": {name: bundle.sha256(folder / name) for name in names}} | changes
    path.write_text(json.dumps(card), "utf-8")


def rewritten(path: Path, changes: dict[str, bytes | None]) -> None:
    """Write an archive again with some members changed, added or (None) left out."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()} | changes
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            if content is not None:
                new.writestr(name, content)


def changed_config(folder: Path, change) -> None:
    with zipfile.ZipFile(folder / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    change(config)
    rewritten(folder / "model.keras", {"config.json": json.dumps(config).encode()})
    signed(folder)


def changed_weights(folder: Path, change) -> None:
    with zipfile.ZipFile(folder / "model.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content, "r+") as file:
        change(file)
    rewritten(folder / "model.keras", {"model.weights.h5": content.getvalue()})
    signed(folder)


def changed_network(folder: Path, change) -> None:
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")
    signed(folder)


def refused(folder: Path, runs: Path, says: str) -> None:
    """The folder is refused with a sentence, and nothing is left behind."""
    with pytest.raises(UndertoneError, match=says) as caught:
        importing.take_in(zipped(folder, folder.parent / "x.zip"))
    assert "\n" not in str(caught.value) and "Traceback" not in str(caught.value)
    assert str(runs) not in str(caught.value), "where it was looked at is of no use to anybody"
    assert list(runs.iterdir()) == []


@pytest.mark.parametrize("within", ["", "swift/", "a name with blanks/"])
def test_a_model_comes_in_and_serves(runs, tmp_path, talk, within):
    file = zipped(SWIFT, tmp_path / "x.zip", within=within)
    name = importing.take_in(file)
    assert name == "swift-2", "swift is taken"
    assert importing.take_in(file, name="mine") == "mine"
    assert sorted(path.name for path in runs.iterdir()) == ["mine", "swift-2"]
    model = shelf.find("mine")
    assert model.origin is shelf.Origin.IMPORTED
    assert sorted(p.name for p in model.folder.iterdir()) == sorted(p.name for p in SWIFT.iterdir())
    assert shelf.load("mine").predict(talk).label
    assert json.loads((runs / "mine" / shelf.IMPORTED).read_text())["file"] == "x.zip"


def test_what_is_exported_can_be_imported(runs, tmp_path):
    export.write("swift", "bundle", tmp_path / "x.zip")
    with (tmp_path / "x.zip").open("rb") as file:
        assert importing.take_in_apart(file, "../../a b.zip", name="back") == "back"
    assert shelf.find("back").card == shelf.find("swift").card
    assert json.loads((runs / "back" / shelf.IMPORTED).read_text())["file"] == "a_b.zip"


def test_a_refusal_comes_out_of_the_other_process(runs):
    with pytest.raises(UndertoneError, match="^the archive is damaged"):
        importing.take_in_apart(io.BytesIO(b"none"), "x.zip")
    assert list(runs.iterdir()) == []


def test_an_import_that_is_killed_leaves_nothing_behind(runs, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "from ser_core import inspection\n"
        "inspection.inspect = lambda folder: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with zipped(SWIFT, tmp_path / "x.zip").open("rb") as file:
        with pytest.raises(UndertoneError, match="SIGKILL"):
            importing.take_in_apart(file, "x.zip")
    assert list(runs.iterdir()) == []


def test_a_strangers_model_is_looked_at_with_a_limit_of_memory(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(importing.apart, "STRANGERS_MEMORY", 50_000_000)
    with zipped(SWIFT, tmp_path / "x.zip").open("rb") as file:
        with pytest.raises(UndertoneError, match="it failed"):
            importing.take_in_apart(file, "x.zip")
    assert list(runs.iterdir()) == []


def test_a_toy_that_was_trained_here_comes_in(runs, toy_run, tmp_path):
    assert importing.take_in(zipped(toy_run / "model", tmp_path / "x.zip"), name="toy") == "toy"


@pytest.mark.parametrize("name", ["swift", "../up", "", ".x"])
def test_a_name_that_is_taken_or_unsafe_is_refused(runs, tmp_path, name):
    with pytest.raises(UndertoneError, match="name"):
        importing.take_in(zipped(SWIFT, tmp_path / "x.zip"), name=name)
    assert list(runs.iterdir()) == []


def test_a_locked_shelf_takes_nothing(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERTONE_TRAINING", "off")
    with pytest.raises(UndertoneError, match="UNDERTONE_TRAINING"):
        importing.take_in(zipped(SWIFT, tmp_path / "x.zip"))


@pytest.mark.parametrize("name", [*bundle.FILES, "card.json"])
def test_a_missing_file_is_found(runs, copy, name):
    (copy / name).unlink()
    refused(copy, runs, "no model folder" if name == "card.json" else name)


@pytest.mark.parametrize("name", [*bundle.FILES, bundle.HELDOUT])
def test_a_wrong_hash_is_found(runs, copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    refused(copy, runs, "sha256 differs|model.keras is damaged")


@pytest.mark.parametrize("name", ["more.json", "data.onnx", "sub/model.onnx"])
def test_what_does_not_belong_there_is_refused(runs, copy, name):
    (copy / name).parent.mkdir(exist_ok=True)
    shutil.copy(copy / "card.json", copy / name)
    file = copy.parent / "x.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in copy.rglob("*.*"):
            archive.write(path, path.relative_to(copy))
    with pytest.raises(UndertoneError, match="does not belong there"):
        importing.take_in(file)
    assert list(runs.iterdir()) == []


@pytest.mark.parametrize(
    ("member", "says"),
    [
        ("../evil.json", "leads out"),
        ("swift/../../evil.json", "leads out"),
        ("/tmp/evil.json", "leads out"),
        ("C:\\evil.json", "leads out"),
        ("..\\evil.json", "leads out"),
    ],
)
def test_paths_that_lead_out_are_refused(runs, copy, member, says):
    file = zipped(copy, copy.parent / "x.zip")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(member, "{}")
    with pytest.raises(UndertoneError, match=says):
        importing.take_in(file)
    assert list(runs.iterdir()) == [] and not (runs.parent / "evil.json").exists()


def test_links_are_refused(runs, copy):
    file = zipped(copy, copy.parent / "x.zip")
    link = zipfile.ZipInfo("README.md")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning):
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UndertoneError, match="link"):
        importing.take_in(file)
    assert list(runs.iterdir()) == []


def test_bombs_are_refused(runs, tmp_path, monkeypatch):
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", bytes(30_000_000))
    with pytest.raises(UndertoneError, match="would swell"):
        importing.take_in(file)
    monkeypatch.setattr(importing, "_MOST_UNPACKED", 1_000_000)
    with pytest.raises(UndertoneError, match="would swell"):
        importing.take_in(zipped(SWIFT, file))
    monkeypatch.setattr(importing, "MOST_BYTES", 1_000_000)
    with pytest.raises(UndertoneError, match="up to 1 MB"):
        importing.take_in(file)
    assert list(runs.iterdir()) == []


def test_several_models_are_too_many(runs, tmp_path):
    file = zipped(SWIFT, tmp_path / "x.zip", within="a/")
    with zipfile.ZipFile(file, "a") as archive:
        archive.write(SWIFT / "card.json", "b/card.json")
    with pytest.raises(UndertoneError, match="several model folders"):
        importing.take_in(file)


@pytest.mark.parametrize("content", [b"", b"none", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(runs, tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(UndertoneError, match="the archive is damaged"):
        importing.take_in(tmp_path / "x.zip")
    assert list(runs.iterdir()) == []


@given(content=st.binary(max_size=400), at=st.integers(0, 10_000), data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_scribbled_archive_is_a_sentence(runs, tmp_path_factory, content, at, data):
    """Whatever is written over an archive that lacks a network, it is refused with a sentence."""
    base = tmp_path_factory.mktemp("scribble")
    small = base / "small"
    small.mkdir()
    for name in ("card.json", "README.md", "voice.npz"):
        shutil.copy(SWIFT / name, small)
    file = zipped(small, base / "x.zip")
    whole = bytearray(file.read_bytes())
    at %= len(whole)
    whole[at : at + len(content)] = content
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with pytest.raises(UndertoneError):
        importing.take_in(file)
    assert list(runs.iterdir()) == []


def test_a_seed_may_be_as_large_as_a_recipe_has_it():
    seed = recipe.load("swift", [f"training.seed={2**31 - 1}"]).training.seed
    card = bundle.read_card(SWIFT)
    training = dataclasses.replace(card.training, seed=seed)
    inspection.check_card(dataclasses.replace(card, training=training))


ROW = json.loads((SWIFT / "card.json").read_text("utf-8"))["evaluation"][0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": ["happy"] * 8}, "labels"),
        ({"labels": ["a", "b", "c", "d", "e", "f", "g", "h"]}, "labels"),
        ({"labels": ["happy", "sad"]}, "recall|row is contradictory"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": 1e300}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"threshold": 7.0}, "threshold"),
        ({"parameters": 5}, "827,913 parameters"),
        ({"parameters": -5}, "absurd"),
        ({"parameters": 10**30}, "absurd|not a model card"),
        ({"description": "x" * 10_000}, "too long"),
        ({"description": "\u202egpj.exe"}, "no text"),
        ({"name": "x\x00y"}, "no text"),
        ({"evaluation": [ROW | {"uar": 3.0}]}, "fractions"),
        ({"evaluation": [ROW | {"uar": float("nan")}]}, "fractions"),
        ({"evaluation": [ROW | {"protocol": "best-ever"}]}, "no protocol is called"),
        ({"evaluation": [ROW | {"protocol": "ravdess-5fold+voice(x)"}]}, "no protocol"),
        ({"evaluation": [ROW | {"protocol": "ravdess-5fold+voice(8) or so"}]}, "no protocol"),
        ({"evaluation": [ROW | {"protocol": "ravdess-5fold+"}]}, "no protocol"),
        ({"evaluation": [ROW | {"recall": {"hungry": 1.0}}]}, "contradictory"),
        ({"evaluation": [ROW | {"seeds": 0}]}, "contradictory"),
        ({"features": {"frames": 10**6}}, "not a model card: features"),
        ({"features": {"hop_length": 1}}, "not a model card: features"),
        ({"features": {"n_fft": 2**28}}, "not a model card: features"),
        ({"features": {"frames": 100}}, "windows"),
        ({"features": {"trim_db": float("inf")}}, "not finite|not a model card"),
        ({"files": {}}, "sha256"),
        ({"training": None}, "not a model card"),
    ],
)
def test_absurd_cards_are_refused(runs, copy, changes, says):
    signed(copy, **changes)
    refused(copy, runs, says)


def test_an_endless_card_is_refused(runs, copy):
    (copy / "card.json").write_text("[" * 900_000)
    refused(copy, runs, "not a model card")
    content = bytes(np.random.default_rng(0).integers(32, 127, 2_000_000, np.uint8))
    (copy / "card.json").write_bytes(content)
    refused(copy, runs, "too large")


def layer(config, **changes):
    config["config"]["layers"][5] |= changes


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: layer(c, class_name="Lambda"), "Lambda"),
        (lambda c: layer(c, class_name="TFSMLayer"), "TFSMLayer"),
        (lambda c: layer(c, class_name="StringLookup"), "StringLookup"),
        (lambda c: layer(c, module="builtins", class_name="exec"), "exec"),
        (lambda c: layer(c, module="os", class_name="system"), "system"),
        (lambda c: layer(c, module="keras.src.utils.file_utils"), "Conv1D"),
        (lambda c: layer(c, module="keras.utils", class_name="get_file"), "get_file"),
        (lambda c: layer(c, registered_name="Mine>Conv1D"), "Conv1D"),
        (lambda c: layer(c, class_name="<a href='x'>"), "could run code"),
        (
            lambda c: c["config"]["layers"][5]["config"].update(
                activation={"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}
            ),
            "__lambda__",
        ),
        (
            lambda c: c["config"]["layers"][5]["config"].update(
                activation={"class_name": "function", "module": "os", "config": "system"}
            ),
            "function",
        ),
    ],
)
def test_layers_that_run_code_are_refused(runs, copy, change, says):
    changed_config(copy, change)
    refused(copy, runs, says)


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"assets/x.pkl": b"x"}, "assets/x.pkl"),
        ({"model.weights.h5": None, "model.weights.npz": b""}, "model.weights"),
        ({"config.json": None}, "config.json"),
        ({"config.json": b"{"}, "damaged"),
        ({"config.json": b"[" * 100_000}, "damaged|memory"),
        ({"model.weights.h5": pickle.dumps({"a": 1})}, "damaged"),
        ({"model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(100)}, "damaged"),
    ],
)
def test_odd_keras_files_are_refused(runs, copy, members, says):
    rewritten(copy / "model.keras", members)
    signed(copy)
    refused(copy, runs, says)


def test_a_bomb_in_the_keras_file_is_refused(runs, copy):
    with zipfile.ZipFile(copy / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, bytes(50_000_000))
    signed(copy)
    refused(copy, runs, "swell")


def external(file):
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", (64,), "f4", external=[("/etc/passwd", 0, 256)])


def linked(file):
    del file["layers/dense/vars/1"]
    file["layers/dense/vars/1"] = h5py.ExternalLink("/etc/passwd", "/x")


def softly(file):
    del file["layers/dense/vars/1"]
    file["layers/dense/vars/1"] = h5py.SoftLink("/layers/dense_1")


def circular(file):
    file["layers/again"] = file["layers"]


def virtual(file):
    del file["layers/dense/vars/1"]
    layout = h5py.VirtualLayout((64,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (64,))
    file.create_virtual_dataset("layers/dense/vars/1", layout)


def texts(file):
    file["layers/dense/more"] = ["a", "b"]


def huge(file):
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", (10**12,), "f4", chunks=(1024,))


@pytest.mark.parametrize("change", [external, linked, softly, circular, virtual, texts, huge])
def test_weights_that_lead_elsewhere_are_refused(runs, copy, change):
    changed_weights(copy, change)
    refused(copy, runs, "link|something else than weights|more parts|more weights")


def outside(model):
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "../../../../etc/passwd", "offset": "0"}.items():
        tensor.external_data.add(key=key, value=value)


def outside_in_a_node(model):
    value = TensorProto(dims=[4], data_type=TensorProto.FLOAT, name="x")
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["x"], value=value))


def looping(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.insert(0, helper.make_node("Loop", ["", ""], [], body=body))


def swelling(model):
    """As large as the loudest of what is heard, whatever order the nodes are in."""
    heard = model.graph.input[0].name
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["size"], ["swollen"]))
    model.graph.node.append(helper.make_node("Cast", ["most"], ["size"], to=TensorProto.INT64))
    model.graph.node.append(helper.make_node("ReduceMax", [heard], ["most"], keepdims=1))


def foreign(model):
    model.graph.node[0].domain = "com.example"


def functional(model):
    model.functions.add(name="f", domain="x")


def sparse(model):
    found = model.graph.sparse_initializer.add()
    found.values.data_location = TensorProto.EXTERNAL


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (outside, "another file"),
        (outside_in_a_node, "another file"),
        (sparse, "another file"),
        (looping, "loops"),
        (foreign, "operators of"),
        (functional, "functions"),
        (swelling, "more memory for some sounds"),
    ],
)
def test_networks_that_do_more_than_compute_are_refused(runs, copy, change, says):
    changed_network(copy, change)
    refused(copy, runs, says)


@pytest.mark.parametrize("content", [b"", b"none", pickle.dumps([1])])
def test_what_is_no_network_is_refused(runs, copy, content):
    (copy / "model.onnx").write_bytes(content)
    signed(copy)
    refused(copy, runs, "model.onnx")


def test_a_network_that_answers_nonsense_is_refused(runs, copy):
    def spoil(model):
        for tensor in model.graph.initializer:
            if "logits" in tensor.name and tensor.dims == [8]:
                tensor.raw_data = np.full(8, np.nan, np.float32).tobytes()

    changed_network(copy, spoil)
    refused(copy, runs, "no number")


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil-was-here"),))


@pytest.mark.parametrize("kind", ["pickle", "object array", "nan", "no archive"])
def test_pickles_and_nonsense_in_the_voices_are_refused(runs, copy, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = copy / "voice.npz"
    if kind == "object array":
        np.savez(path, kernel=np.array([Evil()], object), moods=np.zeros((8, 128)))
    elif kind == "nan":
        with np.load(path) as stored:
            np.savez(path, kernel=stored["kernel"] * np.nan, moods=stored["moods"])
    else:
        path.write_bytes(pickle.dumps(Evil()) if kind == "pickle" else b"none")
    signed(copy)
    refused(copy, runs, "voice.npz holds")
    assert not (tmp_path / "evil-was-here").exists()


@pytest.mark.parametrize("kind", ["columns", "labels", "values", "types", "emotions", "no table"])
def test_odd_held_out_predictions_are_refused(runs, copy, kind):
    path = copy / bundle.HELDOUT
    table = heldout.read(copy)
    if kind == "columns":
        table = table.assign(more=1)
    elif kind == "labels":
        table = table.rename(columns={"happy": "merry"})
    elif kind == "values":
        table["happy"] = np.float32(7)
    elif kind == "types":
        table["happy"] = [[1.0]] * len(table)
    elif kind == "emotions":
        table["emotion"] = "hungry"
    table.to_parquet(path, index=False)
    if kind == "no table":
        path.write_bytes(b"PAR1none")
    signed(copy)
    refused(copy, runs, bundle.HELDOUT)


def test_a_table_may_be_missing(runs, copy):
    (copy / bundle.HELDOUT).unlink()
    signed(copy)
    assert importing.take_in(zipped(copy, copy.parent / "x.zip"), name="mine") == "mine"


def test_inspecting_loads_no_keras(tmp_path):
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from ser_core import inspection;"
        f"inspection.inspect(Path({str(SWIFT)!r}));"
        "sys.exit(bool({'tensorflow', 'keras', 'pickle5'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0
    )


@pytest.mark.parametrize("build", ["crnn", "conv1d"])
def test_other_networks_of_ours_pass(tmp_path, build):
    from tests import test_architecture

    model = getattr(test_architecture, build)()
    model.save(tmp_path / "model.keras")
    from dataclasses import replace

    card = replace(bundle.read_card(SWIFT), parameters=model.count_params())
    inspection.check_keras(tmp_path / "model.keras", card)


def test_pandas_reads_what_was_checked(copy):
    assert isinstance(heldout.read(copy), pd.DataFrame)


def test_too_many_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "voice.npz", **{f"a{number}": np.zeros(1) for number in range(17)})
    with pytest.raises(UndertoneError, match="voice.npz holds more than it should"):
        inspection.check_arrays(tmp_path / "voice.npz")


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"logits": np.zeros((32, 8), np.float32)}, None),
        ({"logits": np.zeros((32, 8), np.float64)}, "no number"),
        ({"logits": np.full((32, 8), np.nan, np.float32)}, "no number"),
        ({"logits": np.zeros((32, 9), np.float32)}, "'logits' of an unexpected shape"),
        ({"embedding": np.zeros((32, 100_001), np.float32)}, "'embedding' of an unexpected"),
        ({"attention": np.zeros((32, 189), np.float32)}, "'attention' of an unexpected shape"),
        ({"logits": np.zeros((31, 8), np.float32)}, "unexpected shape"),
        ({"else": np.zeros((32, 1), np.float32)}, "'else' of an unexpected shape"),
    ],
)
def test_answers_of_another_shape_are_refused(answers, says):
    def run(windows):
        return {name: values[: len(windows)] for name, values in answers.items()}

    loaded = SimpleNamespace(card=bundle.read_card(SWIFT), run=run)
    refusal = pytest.raises(UndertoneError, match=says) if says else contextlib.nullcontext()
    with refusal:
        inspection.try_out(loaded)
