import json
import os
import pty
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress

import numpy as np
import pytest
import soundfile

from ser_core import audio, cli, evaluation, heldout, profile, robustness
from ser_core.recognizer import Recognizer
from tests.helpers import ROOT, TOY, speech_like

OTHER_NAMES = "speakers whose names are not among those of training"


@pytest.fixture
def run(capsys):
    def call(*arguments) -> tuple[int, str, str]:
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def talk_file(tmp_path):
    path = tmp_path / "talk.wav"
    soundfile.write(path, speech_like(), audio.SAMPLE_RATE)
    return path


def test_predict_json_is_one_document_of_the_agreed_shape(run, talk_file, tmp_path):
    long = tmp_path / "long.flac"
    soundfile.write(long, speech_like(7.0), audio.SAMPLE_RATE)
    code, out, err = run("predict", talk_file, long, "--json")
    assert code == 0 and not err
    first, second = json.loads(out)
    keys = "file model label confidence abstained probabilities duration quality windows".split()
    assert set(keys) <= set(first)
    assert first["file"] == str(talk_file) and first["model"] == "deep"
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert first["duration"] == pytest.approx(2.0)
    assert first["quality"]["issues"] == []
    for figure in ("peak", "snr_db", "speech_seconds"):
        assert first["quality"][figure] == round(first["quality"][figure], 4)
    assert len(first["windows"]) == 1 and len(second["windows"]) > 2
    assert set(second["windows"][0]) == {"start", "end", "probabilities"}


def test_predict_logs_if_it_is_wanted_and_no_name(run, talk_file, monkeypatch, logged):
    logged("info")
    code, out, err = run("predict", talk_file, "--json")
    assert code == 0 and json.loads(out)
    line = json.loads(err)
    assert (line["source"], line["model"], line["error"]) == ("cli", "deep", None)
    assert "talk" not in err


def test_predict_knows_a_voice(run, talk_file, tmp_path):
    model = Recognizer.from_name("swift").bundle
    kept = tmp_path / "mine.json"
    voice = profile.get_to_know(np.full((5, 128), 0.3), np.full((5, 8), 1 / 8), model)
    kept.write_text(profile.to_json(voice))
    predict = ("predict", talk_file, "--model", "swift", "--json")
    [without] = json.loads(run(*predict)[1])
    code, out, err = run(*predict, "--voice", kept)
    assert code == 0 and not err
    [known] = json.loads(out)
    assert known["probabilities"] != without["probabilities"]
    assert sum(known["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_a_voice_that_cannot_be_read_is_refused_by_its_name(run, talk_file):
    code, _, err = run("predict", talk_file, "--voice", "/proc/self/mem")
    assert code == 2 and "'/proc/self/mem' cannot be read (Input/output error)" in err


def test_predict_speaks_to_people(run, talk_file):
    code, out, _ = run("predict", talk_file, "--timeline")
    assert code == 0 and str(talk_file) in out and "%" in out and "0:00" in out


def test_silence_cannot_be_told(run, tmp_path):
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(16_000), 16_000)
    code, out, _ = run("predict", path)
    assert code == 0 and "can't tell" in out
    code, out, _ = run("predict", path, "--json")
    (found,) = json.loads(out)
    assert found["label"] is None and found["abstained"]
    assert found["quality"]["issues"][0]["code"] == "silent"


def test_too_little_speech_gets_no_guess(run, tmp_path):
    path = tmp_path / "word.wav"
    quiet = 1e-4 * np.random.default_rng(0).standard_normal(80_000)
    soundfile.write(path, np.concatenate([quiet, speech_like(0.4), quiet]), 16_000)
    code, out, _ = run("predict", path, "--timeline")
    assert code == 0 and "can't tell. Only" in out and "%" not in out
    code, out, _ = run("predict", path, "--json")
    (found,) = json.loads(out)
    assert found["label"] and found["abstained"], "programs may still see what it was"


def test_who_waits_at_a_terminal_sees_how_far_a_long_recording_is(tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(speech_like(5.0), 20), audio.SAMPLE_RATE)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ser_core", "predict", path, "--model", "swift", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT) as process:
        os.close(theirs)
        (heard,) = json.loads(process.stdout.read())
    shown = b""
    with suppress(OSError):  # how Linux says that the other end is closed
        while piece := os.read(ours, 10_000):
            shown += piece
    os.close(ours)
    assert heard["duration"] == 100 and b"per cent heard" in shown and b"100/100" in shown


def test_one_bad_file_does_not_spoil_the_others(run, talk_file, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("this is text")
    code, out, err = run("predict", bad, talk_file, "--json")
    assert code == 2
    assert [item["file"] for item in json.loads(out)] == [str(talk_file)]
    assert err.startswith(f"error: {bad}: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict"],
        ["predict", "nowhere.wav"],
        ["predict", "nowhere.wav", "--model", "nobody"],
        ["predict", "nowhere.wav", "--voice", "nowhere.json"],
        ["predict", "nowhere.wav", "--voice", "README.md"],
        ["nonsense"],
        ["batch", "nowhere", "--output", "nowhere.parquet"],
        ["batch", "assets"],
        ["batch", "assets", "--output", "README.md"],
        ["batch", "s3://bucket/x", "--output", "nowhere.parquet"],
        ["train", "nobody"],
        ["train", "swift", "--set", "training.epochs=0"],
        ["crossval", "swift", "--protocol", "guess"],
        ["crossval", "swift"],
        ["train", "swift", "--fold", "2"],
        ["evaluate", "--corpus", "ravdess", "--fold", "2"],
        ["evaluate"],
        ["evaluate", "--corpus", "nobody"],
        ["evaluate", "--manifest", "nowhere.csv"],
        ["data", "check", "nobody"],
        ["data", "manifest", "nobody"],
        ["data", "get", "nobody", "--accept-licence"],
        ["data", "get", "savee", "--accept-licence"],
        ["data", "add", "savee", "nowhere"],
        ["data", "add", "My Own", "nowhere"],
        ["models", "show", "nobody"],
        ["models", "verify", "nobody"],
    ],
    ids=" ".join,
)
def test_a_callers_mistake_is_one_line_and_exit_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2 and not out
    assert err.startswith("error: ") and err.count("\n") == 1 and len(err) > 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "svm", "--fold", "5"], "no fold 5; its folds are 0 to 4"),
        (["crossval", "svm", "--voice", "2"], "a baseline, which cannot get to know a voice"),
        (["crossval", "svm", "--voice-labelled"], "a baseline, which cannot get to know a voice"),
    ],
)
def test_what_cannot_be_is_refused_before_any_recording_is_read(
    run, tmp_path, monkeypatch, arguments, says
):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path / "nothing"))
    code, _, err = run(*arguments, "--protocol", "ravdess-5fold")
    assert code == 2 and says in err


def test_a_folder_that_cannot_take_a_run_is_refused_before_any_recording_is_read(
    run, tmp_path, monkeypatch
):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path / "nothing"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "recipe.json").write_text("{}")
    (tmp_path / "file").write_text("")
    for folder, says in (
        ("taken", "holds a run already"),
        ("file", "cannot be written: Not a directory; choose another --run-dir"),
        ("file/run", "cannot be written: Not a directory"),
    ):
        code, _, err = run("train", "svm", "--run-dir", tmp_path / folder)
        assert code == 2 and says in err and err.count("\n") == 1
    code, _, err = run("train", "svm", "--run-dir", "/proc/run")
    assert code == 2 and "/proc/run cannot be written" in err


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], []], ids=str)
def test_help_is_shown(run, arguments):
    code, out, _ = run(*arguments)
    assert code == 0 and "Usage" in out


def test_data_commands_show_the_corpus(run, toy_data):
    code, out, _ = run("data", "check", "ravdess")
    assert code == 0 and "64 utterances of 8 speakers" in out and "angry 16" in out
    code, out, _ = run("data", "check", "--json")
    assert code == 0 and json.loads(out)[0]["utterances"] == 64
    code, out, _ = run("data", "manifest", "ravdess", "--json")
    rows = json.loads(out)
    assert code == 0 and len(rows) == 64
    assert {"path", "speaker", "emotion", "corpus", "sex"} <= set(rows[0])
    assert rows[0]["age"] is None
    code, out, _ = run("data", "manifest", "ravdess")
    assert out.splitlines()[0].startswith("path,") and len(out.splitlines()) == 65


def test_data_list_says_what_is_here_and_what_can_be_had(run, toy_data):
    code, out, _ = run("data", "list")
    assert code == 0 and "ravdess: 64 of 2452 recordings" in out
    assert "tess: not here; 2800 recordings, CC BY-NC-ND 4.0" in out
    code, out, _ = run("data", "list", "--json")
    rows = {row["corpus"]: row for row in json.loads(out)}
    assert rows["ravdess"]["recordings"] == 64 and rows["savee"]["recordings"] == 0
    assert rows["crema-d"]["home"].startswith("https://")


def test_data_check_lists_what_it_leaves_out(run, toy_ravdess, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    code, _, err = run("data", "check")
    assert code == 2 and "data list" in err
    shutil.copytree(toy_ravdess / "ravdess" / "Actor_01", tmp_path / "ravdess" / "Actor_01")
    (broken := tmp_path / "ravdess" / "03-01-01-01-01-01-24.wav").write_text("no sound")
    code, out, _ = run("data", "check")
    assert code == 0 and "ravdess: 8 utterances" in out and f"left out: {broken}: " in out
    code, out, _ = run("data", "check", "ravdess", "--json")
    assert list(json.loads(out)[0]["bad"]) == [str(broken)]


def test_corpora_without_recordings_are_listed_among_the_others(
    run, toy_ravdess, tmp_path, monkeypatch
):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    shutil.copytree(toy_ravdess / "ravdess" / "Actor_01", tmp_path / "ravdess" / "Actor_01")
    (tmp_path / "crema-d").mkdir()
    (tmp_path / "tess").mkdir()
    with zipfile.ZipFile(tmp_path / "tess" / "tess.zip", "w") as archive:
        archive.writestr("OAF_back_angry.wav", "no sound")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.csv").write_text("path\na.wav\n")
    code, out, _ = run("data", "list")
    assert code == 0 and "ravdess: 8 of 2452" in out and "crema-d: not here" in out
    assert "mine: " in out and "lacks the column 'emotion'" in out
    assert "tess: not here" in out and not (tmp_path / "tess" / "tess").exists(), "only looked at"
    code, out, _ = run("data", "list", "--json")
    rows = {row["corpus"]: row for row in json.loads(out)}
    assert rows["crema-d"]["recordings"] == 0 and "'emotion'" in rows["mine"]["error"]
    code, out, _ = run("data", "check")
    assert code == 0 and "ravdess: 8 utterances" in out and "'emotion'" in out
    assert "crema-d: no recording of the corpus 'crema-d' was found" in out
    code, out, _ = run("data", "check", "--json")
    assert [row["corpus"] for row in json.loads(out)] == ["ravdess", "tess", "crema-d", "mine"]
    code, _, err = run("data", "check", "crema-d")
    assert code == 2 and "no recording of the corpus 'crema-d'" in err


def test_data_add_makes_a_corpus_that_can_be_scored(
    run, toy_ravdess, toy_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path / "data"))
    for code, emotion in (("03", "happy"), ("04", "sad")):
        folder = tmp_path / "mine" / emotion
        folder.mkdir(parents=True)
        for path in sorted((toy_ravdess / "ravdess").rglob(f"03-01-{code}-*.flac"))[:2]:
            shutil.copy(path, folder)
    shutil.copy(path, tmp_path / "mine" / "without-an-emotion.flac")
    code, out, _ = run("data", "add", "mine", tmp_path / "mine")
    assert code == 0 and "4 recordings of unnamed people, 1 file left out; now" in out
    code, out, _ = run("data", "list")
    assert "mine: 4 recordings of your own" in out
    code, out, _ = run("evaluate", "--model", toy_run / "model", "--corpus", "mine", "--json")
    found = json.loads(out)
    assert code == 0 and found["n"] == 4 and found["labels"] == ["happy", "sad"]


def test_train_then_evaluate_from_the_command_line(run, toy_data, tmp_path):
    settings = [word for setting in TOY for word in ("--set", setting)]
    folder = tmp_path / "run"
    code, out, _ = run("train", "swift", *settings, "--run-dir", folder)
    assert code == 0 and "use them with --model" in out
    code, out, _ = run("evaluate", "--model", folder / "model", "--corpus", "ravdess", "--json")
    found = json.loads(out)
    keys = "uar accuracy macro_f1 ece n labels per_class confusion protocol".split()
    assert code == 0 and set(keys) <= set(found)
    assert found["n"] == 64 and found["uar"] > 0.5
    assert "heard in training" in found["protocol"]
    code, out, err = run("train", "swift", *settings, "--run-dir", folder)
    assert code == 2 and "holds a run already" in err


def test_cross_validation_reaches_the_model_card(run, toy_data, tmp_path):
    settings = [word for setting in (*TOY, "training.epochs=3") for word in ("--set", setting)]
    arguments = ["--protocol", "random-80-20", "--seeds", "1", "--jobs", "1"]
    code, out, err = run("crossval", "swift", *arguments, *settings, "--voice", "9")
    assert code == 2 and "to be known from 9" in err and "UAR" not in err + out, "before training"
    kept = tmp_path / "heldout.parquet"
    code, out, _ = run("crossval", "swift", *arguments, *settings, "--heldout", kept, "--json")
    found = json.loads(out)
    assert code == 0 and found["summary"]["protocol"] == "random-80-20"
    assert found["summary"]["command"].startswith("python -m ser_core crossval swift --protocol")
    assert len(found["folds"]) == 1 and "predictions" not in found["folds"][0]
    path = tmp_path / "measured.json"
    path.write_text(out)
    nowhere = ["--heldout", tmp_path / "nowhere" / "heldout.parquet"]
    code, out, err = run("crossval", "swift", *arguments, *settings, *nowhere)
    assert code == 2 and "cannot be written" in err and "every fold is kept" in err and not out
    code, out, _ = run("crossval", "swift", *arguments, *settings)
    assert code == 0 and "random-80-20, 1 seed: UAR" in out and "±" not in out
    measured = ["--evaluation", path, "--heldout", kept]
    run("train", "swift", *settings, "--run-dir", tmp_path / "run", *measured)
    code, out, _ = run("models", "show", tmp_path / "run" / "model", "--json")
    assert json.loads(out)["evaluation"] == [found["summary"]]
    table = heldout.read(tmp_path / "run" / "model")
    right = table[list(heldout.labels_of(table))].idxmax(axis=1) == table.emotion
    assert right.mean() == pytest.approx(found["summary"]["accuracy"])


def test_silence_is_not_scored(run, tmp_path, talk_file):
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    (tmp_path / "own.csv").write_text("path,emotion\nsilence.wav,neutral\ntalk.wav,sad")
    code, out, _ = run("evaluate", "--manifest", tmp_path / "own.csv", "--json")
    found = json.loads(out)
    assert (
        code == 0 and found["n"] == 1 and list(found["skipped"]) == [str(tmp_path / "silence.wav")]
    )


def test_evaluate_knows_a_voice_from_other_recordings(run, toy_ravdess, tmp_path, monkeypatch):
    emotions = ("happy", "sad")
    lines = ["path,emotion,speaker"]
    for emotion, code in zip(emotions, ("03", "04"), strict=True):
        clips = sorted((toy_ravdess / "ravdess").rglob(f"03-01-{code}-*.flac"))[:2]
        lines += [f"{path},{emotion},me" for path in clips]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    arguments = ["evaluate", "--manifest", tmp_path / "own.csv"]
    code, out, _ = run(*arguments, "--voice", "3", "--json")
    found = json.loads(out)
    (known,) = found["voices"]
    assert code == 0 and known["protocol"] == f"{OTHER_NAMES}, voice(3)"
    # Of four recordings the three others are all there is to draw from.
    recognizer = Recognizer.from_name("deep")
    paths = [line.partition(",")[0] for line in lines[1:]]
    heard = recognizer.predict_many([audio.read(path) for path in paths])
    known_voices = []
    for prediction in heard:
        others = [other for other in heard if other is not prediction]
        voice = profile.get_to_know(
            np.array([other.embedding for other in others]),
            np.array([list(other.probabilities.values()) for other in others]),
            recognizer.bundle,
        )
        known_voices.append(recognizer.with_voice(prediction, voice))
    truth = np.array([0, 0, 1, 1])

    def ece(predictions):
        chosen = np.array([[each.probabilities[mood] for mood in emotions] for each in predictions])
        return evaluation.report(truth, chosen / chosen.sum(axis=1, keepdims=True), emotions).ece

    assert found["ece"] == pytest.approx(ece(heard), rel=1e-3)
    assert known["ece"] == pytest.approx(ece(known_voices), rel=1e-3)
    assert abs(known["ece"] - found["ece"]) > 0.01, "it does make a difference here"
    code, out, _ = run(*arguments, "--voice", "3")
    assert code == 0 and out.count("UAR") == 2 and "voice(3): UAR" in out
    monkeypatch.setattr("ser_core.scoring._heard", None)  # refused before anything is heard
    for clips, says in (("2", "3 to 16 clips"), ("4", "me has 3 other clips"), ("99", "leave out")):
        code, _, err = run(*arguments, "--voice", clips)
        assert code == 2 and says in err


def test_evaluate_takes_a_manifest_of_ones_own(run, toy_ravdess, toy_run, tmp_path):
    source = sorted((toy_ravdess / "ravdess").rglob("03-01-03-*.flac"))[:2]
    source += sorted((toy_ravdess / "ravdess").rglob("03-01-04-*.flac"))[:2]
    lines = ["path,emotion,speaker"]
    for index, path in enumerate(source):
        shutil.copy(path, tmp_path / f"{index}.flac")
        lines.append(f"{index}.flac,{['Happiness', 'sad'][index // 2]},me")
    (tmp_path / "broken.flac").write_text("none")
    lines.append("broken.flac,sad,me")
    (tmp_path / "own.csv").write_text("\n".join(lines))
    arguments = ["evaluate", "--model", toy_run / "model", "--manifest", tmp_path / "own.csv"]
    code, out, _ = run(*arguments, "--json")
    found = json.loads(out)
    assert code == 0 and found["labels"] == ["happy", "sad"] and found["n"] == 4
    assert found["protocol"] == OTHER_NAMES
    assert list(found["skipped"]) == [str(tmp_path / "broken.flac")]
    code, out, _ = run(*arguments)
    assert code == 0 and "left out" in out and "recall" in out

    assert found["robustness"] == [] and found["voices"] == []
    code, out, _ = run(*arguments, "--robustness", "--json")
    rows = json.loads(out)["robustness"]
    assert code == 0 and len(rows) == len(robustness.CONDITIONS)
    assert all(0 <= row["uar"] <= 1 and 0 <= row["same"] <= 1 for row in rows)
    code, out, _ = run(*arguments, "--robustness")
    assert code == 0 and "telephone (G.711)" in out and "of answers stay" in out


@pytest.mark.realdata
def test_evaluate_scores_whom_a_protocol_tests(run):
    arguments = ["evaluate", "--corpus", "savee", "--protocol", "savee-loso", "--fold", "2"]
    code, out, _ = run(*arguments, "--model", "swift", "--json")
    found = json.loads(out)
    assert code == 0 and found["n"] == 120
    assert found["protocol"].startswith("speakers heard in training")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--corpus", "ravdess", "--protocol", "guess"], "there is no protocol 'guess'"),
        (["--corpus", "ravdess", "--protocol", "random-80-20"], "whatever a training has left out"),
        (["--corpus", "ravdess", "--protocol", "ravdess-5fold", "--fold", "5"], "0 to 4"),
        (["--manifest", "own.csv", "--protocol", "ravdess-5fold"], "is for a --corpus"),
    ],
)
def test_a_protocol_that_cannot_be_scored_by_gets_a_sentence(run, toy_ravdess, arguments, says):
    code, _, err = run("evaluate", *arguments)
    assert code == 2 and says in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read as a table: it is empty"),
        ("path,emotion\nx.wav,sad\ny.wav,sad,me,more", "a row has more columns than the first"),
        ("path\nx.wav", "lacks the column 'emotion'"),
        ("path,emotion\n", "lists no recording"),
        ("path,emotion\nx.wav,hungry", "'hungry' is not an emotion"),
        ("path,emotion\nx.wav,sad", "none of the recordings could be judged; the first: there is"),
    ],
)
def test_a_wrong_manifest_gets_a_sentence(run, tmp_path, text, says):
    path = tmp_path / "own.csv"
    path.write_text(text)
    code, _, err = run("evaluate", "--manifest", path)
    assert code == 2 and says in err and err.count("\n") == 1


def test_a_file_that_cannot_be_used_gets_a_sentence(run, tmp_path, talk_file):
    (tmp_path / "latin.csv").write_bytes("path,emotion\nä.wav,sad".encode("latin-1"))
    for file, says in ((tmp_path, "it is a folder"), (tmp_path / "latin.csv", "not text in UTF-8")):
        code, _, err = run("evaluate", "--manifest", file)
        assert code == 2 and "cannot be read as a table: " in err and f"{says}; give a CSV" in err
    code, _, err = run("predict", talk_file, "--voice", tmp_path)
    assert code == 2 and f"'{tmp_path}' is not a file; give a voice profile" in err
    code, _, err = run("predict", "/nope.wav")
    assert code == 2 and err == "error: there is no file '/nope.wav'; check the path\n"
    code, _, err = run("train", "svm", "--set", "training.epochs=many")
    assert code == 2 and err.endswith("'many': Input should be a valid integer\n")
    code, _, err = run("batch", talk_file, "--output", "/proc/x")
    assert code == 2 and "/proc/x cannot be written" in err
    assert "mend that, or name another --output" in err and "stays" not in err


def test_models_are_listed_shown_and_verified(run):
    code, out, _ = run("models", "list")
    assert code == 0 and [line.split(":")[0] for line in out.splitlines()] == ["deep", "swift"]
    code, out, _ = run("models", "show", "swift", "--json")
    assert code == 0 and json.loads(out)["labels"][0] == "neutral"
    code, out, _ = run("models", "show", "swift")
    assert code == 0 and out.startswith("---\nlicense:")
    code, out, _ = run("models", "verify", "swift")
    assert code == 0 and "every file" in out


def test_a_damaged_model_is_refused(run, tmp_path, talk_file):
    from ser_core.locations import find_model

    copy = shutil.copytree(find_model("swift"), tmp_path / "swift")
    (copy / "model.onnx").write_bytes(b"")
    for arguments in (["models", "verify", copy], ["predict", talk_file, "--model", copy]):
        code, _, err = run(*arguments)
        assert code == 2 and "model.onnx" in err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("evaluate", "--corpus", "ravdess"), "error: stopped\n"),
        (("train", "swift"), "--resume goes on with the next"),
        (("crossval", "swift", "--protocol", "random-80-20"), "the same command goes on"),
    ],
)
def test_ctrl_c_is_a_sentence(run, toy_data, monkeypatch, command, says):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ser_core.scoring.score", interrupted)
    monkeypatch.setattr("ser_core.dataset.load", interrupted)
    code, out, err = run(*command)
    assert (code, out) == (130, "") and says in err and err.count("\n") == 1
