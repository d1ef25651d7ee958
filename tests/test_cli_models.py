import json
import shutil

import pytest
import soundfile
import typer

from ser_core import audio, cli, shelf
from ser_core.locations import find_model
from tests.helpers import speech_like


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Call the command line, with one trained model called `mine`."""
    runs = tmp_path / "runs"
    shutil.copytree(find_model("swift"), runs / "mine" / "model")
    monkeypatch.setenv("SER_RUNS_DIR", str(runs))
    monkeypatch.chdir(tmp_path)

    def call(*arguments) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def document(result):
    code, out, err = result
    assert code == 0 and not err
    return json.loads(out)


def test_models_are_listed_with_what_is_in_use(run, tmp_path):
    code, out, _ = run("models", "list")
    assert code == 0 and "came with Undertone, in use\n" in out and "trained here\n" in out
    rows = {row["model"]: row for row in document(run("models", "list", "--json"))}
    assert rows["deep"]["active"] and not rows["mine"]["active"]
    assert rows["mine"]["origin"] == "trained here" and rows["mine"]["labels"][0] == "neutral"
    (tmp_path / "runs" / "mine" / "model" / "card.json").write_text("{}")
    code, out, err = run("models", "list")
    assert code == 0 and "mine" not in out and err.startswith("left out: ")


def test_a_model_is_activated(run):
    assert document(run("models", "activate", "mine", "--json")) == {
        "model": "mine",
        "before": "deep",
    }
    assert shelf.active().name == "mine"
    code, out, _ = run("models", "activate", "swift")
    assert code == 0 and out == "swift is in use now\n"


def test_predict_and_evaluate_ask_the_model_in_use_and_batch_the_quick_one(run, tmp_path):
    soundfile.write(tmp_path / "talk.wav", speech_like(), audio.SAMPLE_RATE)
    (tmp_path / "own.csv").write_text("path,emotion\ntalk.wav,sad\n")
    predict, evaluate = ("predict", "talk.wav"), ("evaluate", "--manifest", "own.csv")
    assert document(run(*predict, "--json"))[0]["model"] == "deep"
    run("models", "activate", "mine")
    assert document(run(*predict, "--json"))[0]["model"] == "mine"
    assert document(run(*evaluate, "--json"))["model"] == "mine"
    assert run(*predict)[1].startswith("talk.wav, heard by mine: ")
    assert document(run(*predict, "--model", "swift", "--json"))[0]["model"] == "swift"
    assert "1 recording," in run(*evaluate)[1]
    code, out, _ = run("batch", "--help")
    assert code == 0 and "swift" in out
    shutil.rmtree(tmp_path / "runs" / "mine")
    code, out, err = run(*predict)
    assert code == 0 and "heard by deep" in out and "mine, which was in use, is gone" in err


def test_a_model_is_renamed(run):
    assert document(run("models", "rename", "mine", "yours", "--json"))["model"] == "yours"
    code, out, _ = run("models", "rename", "yours", "ours")
    assert code == 0 and out == "yours is called ours now\n" and "ours" in shelf.models()


def test_deleting_asks_first(run, monkeypatch):
    code, out, err = run("models", "delete", "mine")
    assert code == 2 and "--yes" in err and "mine" in shelf.models()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    def no(*arguments, **options):
        raise typer.Abort

    monkeypatch.setattr("typer.confirm", no)
    assert run("models", "delete", "mine")[0] != 0 and "mine" in shelf.models()
    monkeypatch.setattr("typer.confirm", lambda *arguments, **options: True)
    code, out, _ = run("models", "delete", "mine")
    assert code == 0 and out == "mine is deleted\n" and "mine" not in shelf.models()


def test_deleting_can_be_said_at_once(run):
    assert document(run("models", "delete", "mine", "--yes", "--json"))["deleted"]
    assert "mine" not in shelf.models()


def test_an_export_is_imported_again(run, tmp_path):
    found = document(run("models", "export", "mine", "--format", "bundle", "--json"))
    assert found["file"] == "mine-bundle.zip" and (tmp_path / "mine-bundle.zip").exists()
    known = document(run("models", "import", "mine-bundle.zip", "--name", "again", "--json"))
    assert known == {"model": "again"} and "again" in shelf.models()
    code, out, _ = run("models", "import", "mine-bundle.zip")
    assert code == 0 and out.startswith("swift-2 is there now")


def test_onnx_is_what_is_exported_by_default(run, tmp_path):
    code, out, _ = run("models", "export", "mine", "--output", "x.zip")
    assert code == 0 and out.startswith("x.zip: ") and (tmp_path / "x.zip").stat().st_size > 1e6


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["activate", "nobody"], "no model"),
        (["rename", "swift", "other"], "came with Undertone"),
        (["rename", "mine", "swift"], "already"),
        (["rename", "mine", "../x"], "cannot be a model's name"),
        (["delete", "swift", "--yes"], "came with Undertone"),
        (["delete", "nobody", "--yes"], "no model"),
        (["import", "nowhere.zip"], "no file"),
        (["import", "runs"], "'runs' is not a file"),
        (["export", "nobody"], "no model"),
        (["export", "mine", "--format", "pickle"], "pickle"),
        (["export", "mine", "--output", "nowhere/x.zip"], "cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_callers_mistake_is_one_line_and_exit_code_2(run, arguments, says):
    code, out, err = run("models", *arguments)
    assert code == 2 and not out
    assert err.startswith("error: ") and err.count("\n") == 1 and says in err


def test_a_models_own_process_says_what_it_refused(run):
    from ser_core import apart
    from ser_core.errors import UndertoneError

    assert json.loads(apart.run("models", "verify", "mine", "--json"))["verified"]
    with pytest.raises(UndertoneError, match="^there is no model “nobody”"):
        apart.run("models", "activate", "nobody")
    with pytest.raises(UndertoneError, match="longer than 0 s"):
        apart.run("models", "list", seconds=0.01)
    with pytest.raises(UndertoneError, match="it failed"):
        apart.run("models", "verify", "mine", most_bytes=50_000_000)
