import io
import json
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from ser_core import jobs, outcome, recipe, shelf
from ser_core.jobs import Order
from ser_core.recipe_text import settings_of
from ser_core.wording import share
from tests.helpers import ROOT, TOY
from tests.test_outcome import KNOWN, NEW, SYSTEM

TINY = """
[network]
averaged_frames = 1
filters = [16, 16]
pooling = [2, 2]
lstm_units = 8
embedding = 16

[training]
patience = 2000
teacher = 0.0
"""
# Labels under which what was heard rightly is a mistake.
ANOTHER = {"neutral": "happy", "happy": "sad", "sad": "angry", "angry": "neutral"}


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path / "nothing"))
    monkeypatch.setenv("SER_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr(outcome, "SYSTEMS", tmp_path / "systems.json")
    yield tmp_path / "runs"
    monkeypatch.delenv("UNDERTONE_TRAINING", raising=False)
    for name in jobs.running():
        jobs.cancel(name)


@pytest.fixture
def recordings(toy_ravdess, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(toy_ravdess))


@pytest.fixture
def finished(runs, toy_run):
    """The folder of a run that was made by the command line."""
    return shutil.copytree(toy_run, runs / "toy")


@pytest.fixture
def train(unopened):
    return unopened.switch_page("pages/train.py").run()


def words(app):
    assert not app.exception
    texts = (*app.markdown, *app.caption, *app.info, *app.success, *app.warning)
    return " ".join(text.value for text in texts)


def errors(app):
    assert not app.exception
    return " ".join(error.value for error in app.error).replace("\\", "")


def view(app, name):
    return app.segmented_control(key="train-view").set_value(name).run()


def button(app, label):
    (found,) = (each for each in app.button if each.label == label)
    return found


def labels(app):
    return [each.label for each in app.button]


def until_over():
    while jobs.running():
        time.sleep(0.1)


def test_without_recordings_it_says_where_to_get_some(train):
    assert "no recordings to learn from" in words(train)
    assert "Start training" not in labels(train)
    view(train, "Known or new voices")
    assert "no recordings to learn from" in words(train)
    view(train, "Results")
    assert "Nothing has been trained here yet" in words(train)


def test_switched_off_there_is_one_sentence(train, finished, recordings, monkeypatch):
    monkeypatch.setenv("UNDERTONE_TRAINING", "off")
    train.run()
    assert words(train) == "Training is switched off on this server."
    assert not train.button and not train.segmented_control


def test_switched_off_one_still_sees_what_was_measured_beforehand(
    train, recordings, tmp_path, monkeypatch
):
    systems = [SYSTEM | {"ravdess-5fold": NEW}, {"recipe": "swift"}]
    (tmp_path / "systems.json").write_text(json.dumps(systems))
    monkeypatch.setenv("UNDERTONE_TRAINING", "off")
    train.run()
    assert "Training is switched off on this server." in words(train)
    assert "Why they differ" in words(train) and len(train.get("plotly_chart")) == 1
    (choice,) = train.selectbox
    assert choice.value == "svm" and len(choice.options) == 1
    assert [title.value for title in train.subheader] == ["As we measured it"]
    assert not train.button and not train.segmented_control


def test_before_it_starts_one_sees_what_will_happen(recordings, train):
    said = words(train)
    assert "trained from scratch" in said.replace("\\", "")
    assert "It learns from 43 recordings of 8 people" in said
    assert "Begin with swift" in said and "leaves no model to use: knn, random" in said
    assert {metric.label: metric.value for metric in train.metric} == {
        "Recordings": "64",
        "People": "8",
        "Emotions": "4",
    }
    # The toy corpus is no complete RAVDESS.
    ways = train.radio(key="train-way").options
    assert len(ways) == 2 and ways[0] == "Keep a random fifth of the recordings aside"
    assert "13 recordings of 6 people test it, the same people" in said
    assert re.search(r"Time: \d+ s at most, by its speed on two cores of ours", said)
    train.radio(key="train-way").set_value("No test: learn from nearly everybody").run()
    assert "48 recordings of 6 people" in words(train) and "Nothing tests it" in words(train)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("swift", "16 recordings of 2 people decide when it stops (validation)"),
        ("mel-cnn-bilstm", "show how sure it may be; then it learns from them, too (validation)"),
        ("svm", "16 recordings of 2 people show how sure it may be (validation)"),
    ],
)
def test_it_says_what_those_who_validate_are_for(recordings, train, name, says):
    train.selectbox(key="train-recipe").select(name).run()
    train.radio(key="train-way").set_value("No test: learn from nearly everybody").run()
    assert says in words(train)


def test_a_recipe_says_what_its_authors_claim(recordings, train):
    train.selectbox(key="train-recipe").select("cnn-refined").run()
    assert "claim **83% right**, tested on voices that it knows (random-80-20)" in words(train)
    train.selectbox(key="train-recipe").select("cnn-bilstm-four").run()
    assert "also names TESS" in words(train)
    train.selectbox(key="train-recipe").select("lstm").run()
    assert re.search(r"Time: \d+ s at most, by its speed on two cores of ours", words(train))
    train.text_area(key="train-toml-lstm").set_value("[network]\ndense = [9]").run()
    assert "not known before its first rounds" in words(train), "we have not measured that one"
    train.selectbox(key="train-recipe").select("svm").run()
    assert "no model that the app could use" in words(train)
    assert not train.slider, "a baseline has neither rounds nor dropout"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("epochs", "not TOML"),
        ("[training]\nepochs = -1", "training.epochs"),
        ("[nothing]\nat = 1", "unknown key"),
        ("[data]\ncorpus = 'tess'", "no recordings of tess here"),
        ("[training]\nvalidation_speakers = 30", "validation"),
        ("[training]\nstart = '/etc'", "there is no model “/etc”; known are"),
        ("[training]\nstart = '../swift'", "there is no model “../swift”; known are"),
        ("[network]\nlstm_units = 100000000", "network.lstm_units"),
        ("[features]\nn_fft = 1073741824", "features.n_fft"),
        ("[training]\nepochs = 1000000000", "training.epochs"),
    ],
)
def test_wrong_settings_get_a_sentence(recordings, train, text, says):
    train.radio(key="train-way").set_value("No test: learn from nearly everybody").run()
    train.text_area(key="train-toml-swift").set_value(text).run()
    assert errors(train).startswith("Sorry: ") and says in errors(train)
    assert "Start training" not in labels(train)
    train.text_area(key="train-toml-swift").set_value("").run()
    assert not train.error and "Start training" in labels(train)


def test_nothing_chosen_gets_a_sentence(recordings, train):
    train.pills(key="train-labels-swift-ravdess").set_value(["sad"]).run()
    assert "at least two emotions" in errors(train)
    train.pills(key="train-corpora-swift").set_value([]).run()
    assert "choose what it is to learn from" in errors(train)


def test_of_song_alone_what_is_sung_is_offered(tmp_path, toy_ravdess, monkeypatch, unopened):
    data = shutil.copytree(toy_ravdess, tmp_path / "data")
    for emotion in ("04", "05"):
        for file in data.rglob(f"03-01-{emotion}-*"):
            shutil.copy(file, file.with_name(file.name.replace("03-01", "03-02")))
    monkeypatch.setenv("SER_DATA_DIR", str(data))
    train = unopened.switch_page("pages/train.py").run()
    train.pills(key="train-channels-swift-ravdess").set_value(["song"]).run()
    assert not train.exception and not train.error
    assert train.pills(key="train-labels-swift-ravdess").value == ["sad", "angry"]


def test_settings_are_those_of_the_recipe_that_is_trained(recordings, train, runs):
    train.pills(key="train-labels-swift-ravdess").set_value(["sad", "happy"]).run()
    train.number_input(key="train-epochs-swift").set_value(7).run()
    train.slider(key="train-dropout-swift").set_value(0.15).run()
    train.toggle(key="train-weights-swift").set_value(False).run()
    train.toggle(key="train-augmentation-swift").set_value(False).run()
    train.number_input(key="train-seed-swift").set_value(3).run()
    train.text_area(key="train-toml-swift").set_value("[training]\npatience = 4").run()
    button(train, "Start training").click().run()
    (name,) = jobs.runs()
    assert name == "swift-2", "what came with Undertone is called swift"
    loaded = recipe.load(runs / name / "recipe.toml")
    assert loaded.labels == ("happy", "sad") and loaded.training.epochs == 7
    assert loaded.network.dropout == 0.15 and not loaded.training.class_weights
    assert loaded.augmentation.speeds == () and loaded.augmentation.noise == 0
    assert (loaded.training.seed, loaded.training.patience) == (3, 4)
    assert jobs.status(name).protocol == "random-80-20"


def test_a_training_is_watched_cancelled_and_gone_on_with(recordings, train, monkeypatch):
    train.text_area(key="train-toml-swift").set_value(TINY).run()
    button(train, "Start training").click().run()
    (name,) = jobs.running()
    assert "Now training **swift\\-2**" in words(train)
    assert button(train, "Start training").disabled and "is being trained" in words(train)
    while jobs.status(name).epoch < 2:
        time.sleep(0.1)
    train.run()
    assert len(train.get("plotly_chart")) == 3
    assert "Learning rate now" in words(train)
    # A second person sees the same.
    other = AppTest.from_file(str(ROOT / "app.py"), default_timeout=600)
    other.switch_page("pages/train.py").run()
    assert "Now training **swift\\-2**" in words(other) and "Stop it" in labels(other)
    button(train, "Stop it").click().run()
    assert "was cancelled" in words(train)
    assert not button(train, "Start training").disabled
    button(train, "See what came of it").click().run()
    assert "It was cancelled after" in words(train)
    button(train, "Go on").click().run()
    assert jobs.running() == [name]
    button(train, "Stop it").click().run()
    button(train, "Delete it").click().run()
    assert jobs.runs() == []
    assert "Nothing has been trained here yet" in words(train)


def test_while_it_trains_the_end_of_what_it_says_is_read(train, monkeypatch):
    rounds = [
        {"epoch": epoch, "epochs": 20, "seconds": 3.0 * epoch, "learning_rate": 1e-3}
        | {score: 0.5 for score in ("loss", "val_loss", "accuracy", "uar")}
        for epoch in range(1, 31)
    ]
    log = "".join(f"epoch {event['epoch']}\n" for event in rounds)
    now = jobs.Status(
        name="toy",
        state=jobs.State.RUNNING,
        protocol=None,
        fold=0,
        begun="",
        epoch=30,
        epochs=40,
        features=(112, 112),
        seconds_left=30.0,
        events=tuple(rounds),
        log=f"features: 11 of 112\n{log}",
        error="",
        resumable=False,
        model=False,
    )
    monkeypatch.setattr(jobs, "running", lambda: ["toy"])
    monkeypatch.setattr(jobs, "status", lambda name: now)
    said = words(train.run())
    (told,) = train.code
    assert told.value.splitlines() == [f"epoch {epoch}" for epoch in range(21, 31)]
    # By the names that the results have, too.
    assert "*Validation*: on others, kept aside to check it." in said
    assert "**Right (accuracy)**" in said and "**Mean over emotions (UAR)**" in said
    assert "validation 0.5" in train.get("plotly_chart")[0].proto.alt


def test_a_training_that_another_has_started_is_seen(recordings, train):
    (name,) = jobs.start([Order(recipe.load("swift", [*TOY, "training.epochs=2000"]))])
    train.run()
    assert f"Now training **{name.replace('-', chr(92) + '-')}**" in words(train)
    assert button(train, "Start training").disabled


def test_who_comes_too_late_gets_a_sentence(recordings, train):
    jobs.start([Order(recipe.load("swift", [*TOY, "training.epochs=2000"]))])
    button(train, "Start training").click().run()
    assert "another training goes on" in errors(train)


def test_a_training_that_fails_says_why(recordings, train):
    four = 'labels=["neutral", "happy", "sad", "angry"]'
    (name,) = jobs.start([Order(recipe.load("svm", [four, "data.corpus=savee"]))])
    train.run()
    until_over()
    train.run()
    assert "savee" in errors(train)
    assert "See what came of it" not in labels(train)
    button(train, "See why").click().run()
    assert "it stopped: " in errors(train) and "Go on" in labels(train)


def test_a_baseline_is_trained_and_shown(recordings, train):
    train.selectbox(key="train-recipe").select("svm").run()
    button(train, "Start training").click().run()
    until_over()
    train.run()
    assert "“svm” is finished" in words(train).replace("\\", "")
    button(train, "See what came of it").click().run()
    assert "Tried on 13 recordings of 6 people" in words(train)
    assert "expect much less with voices that it does not know" in words(train)
    assert "no model that the app could use" in words(train)
    assert "Use this model" not in labels(train)
    train.session_state["train-tabs"] = "Learning"
    train.run()
    assert "no curve to show" in words(train)


@pytest.fixture
def results(finished, recordings, train):
    return view(train, "Results")


def tab(app, name):
    app.session_state["train-tabs"] = name
    return app.run()


def test_a_finished_training_says_whom_it_was_tried_on(results):
    assert "who also decided when it stopped learning (validation)" in words(results)
    assert {metric.label for metric in results.metric} == {
        "Right (accuracy)",
        "Mean over emotions (UAR)",
        "Guessing",
    }


def test_its_model_is_used_and_taken_back(results):
    button(results, "Use this model").click().run()
    assert shelf.active().name == "toy" and button(results, "In use").disabled
    button(results, "Delete it").click().run()
    assert "in use" in errors(results) and shelf.active().name == "toy"
    button(results, "Back to deep").click().run()
    assert shelf.active().name == "deep"
    button(results, "Delete it").click().run()
    assert "Nothing has been trained here yet" in words(results)


def test_a_way_back_that_another_has_cut_off_is_refused(results):
    button(results, "Use this model").click().run()
    shelf.activate("swift")  # somebody else
    button(results, "Back to deep").click().run()
    assert "the one before is “toy” by now, not “deep”" in errors(results)
    assert shelf.active().name == "swift"


@pytest.mark.parametrize("others", [0, 1])
def test_a_model_that_another_has_deleted_is_not_used(results, finished, runs, others):
    for number in range(others):
        shutil.copytree(finished, runs / f"other-{number}")
    shutil.rmtree(finished)  # somebody else
    button(results, "Use this model").click().run()
    assert "there is no model “toy”" in errors(results)
    assert shelf.active().name == "deep"
    assert not errors(results.run())


@pytest.mark.parametrize("name", ["Results", "Known or new voices"])
def test_a_training_that_is_deleted_while_it_is_looked_for_is_left_out(
    finished, recordings, train, monkeypatch, name
):
    monkeypatch.setattr(jobs, "runs", lambda: ["gone", "toy"])
    view(train, name)
    assert not train.exception and not errors(train)


def heard(app):
    """Return the id of the recording that can be listened to."""
    (player,) = app.get("audio")
    return player.proto.alt.removeprefix("Recording ")


def choose_row(app, row):
    app.session_state[app.dataframe[0].key] = {"selection": {"rows": [row]}}
    assert not app.run().exception


def test_a_cell_names_its_clips_and_plays_them_when_it_is_clicked(results):
    table = outcome.read(jobs.run_folder("toy")).answers.table
    inside = table[(table.emotion == "sad") & (table.heard == "sad")]
    clips = list(inside.sort_values("confidence", ascending=False).id)
    assert len(clips) > 1
    (chart,) = results.get("plotly_chart")
    _, points = json.loads(chart.proto.spec)["data"]
    beside = points["hovertext"][points["customdata"].index(["sad", "sad"])]
    assert [f"ravdess/{name}" for name in beside.split("<br>")[2:]] == clips
    states = results._tree.get_widget_states()
    clicked = {"selection": {"points": [{"customdata": ["sad", "sad"]}]}}
    states.widgets.add(id=chart.proto.id, string_value=json.dumps(clicked))
    results._run(states)
    assert heard(results) == clips[0]
    choose_row(results, 1)
    assert heard(results) == clips[1]


def test_clips_of_a_cell_are_listed_and_played(results):
    results.selectbox(key="train-row").select("sad").run()
    results.selectbox(key="train-column").select("sad").run()
    table = outcome.read(jobs.run_folder("toy")).answers.table
    count = ((table.emotion == "sad") & (table.heard == "sad")).sum()
    assert count and f"{count} recording" in words(results)
    assert results.get("audio")
    results.selectbox(key="train-row").select("happy").run()
    assert results.session_state["train-cell"] == ("happy", "sad")


def test_recordings_that_are_gone_are_said_to_be(results, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path / "nothing"))
    results.selectbox(key="train-row").select("sad").run()
    results.selectbox(key="train-column").select("sad").run()
    assert "is not here any more" in words(results).replace("\\", "")
    assert not results.get("audio")


def test_mistakes_are_listed_the_surest_first_and_played(finished, recordings, train):
    file = finished / "predictions.parquet"
    table = pd.read_parquet(file)
    table.assign(emotion=table.emotion.map(ANOTHER)).to_parquet(file)
    tab(view(train, "Results"), "Mistakes")
    answers = outcome.read(finished).answers.table
    wrong = answers[answers.heard != answers.emotion].set_index("id").confidence
    assert f"**{len(wrong)}** of 16 were heard as another emotion" in words(train)
    listed = [f"ravdess/{clip}" for clip in train.dataframe[0].value.Clip]
    assert sorted(listed) == sorted(wrong.index) and len(listed) > 2
    assert list(wrong[listed]) == sorted(wrong, reverse=True)
    assert heard(train) == listed[0]
    choose_row(train, 2)
    assert heard(train) == listed[2] and listed[2] in words(train).replace("\\", "")


@pytest.mark.parametrize(
    ("name", "charts", "says"),
    [
        ("Learning", 4, "·e² "),
        ("Emotions and people", 0, "Precision"),
        ("Sureness", 2, "Calibration error (ECE)"),
        ("ROC and PR", 2, "area under the curve"),
    ],
)
def test_every_figure_is_drawn_when_it_is_looked_at(results, name, charts, says):
    tab(results, name)
    assert len(results.get("plotly_chart")) == charts
    tables = " ".join(str(each.value) for each in (*results.table, *results.dataframe))
    assert says in words(results) + tables
    assert all(chart.proto.alt for chart in results.get("plotly_chart"))


def test_people_are_scored(results):
    tab(results, "Emotions and people")
    emotions, sexes, speakers = (each.value for each in results.dataframe)
    assert list(emotions.Emotion) == ["neutral", "happy", "sad", "angry"]
    assert emotions.Recordings.sum() == sexes.Recordings.sum() == speakers.Recordings.sum() == 16
    assert set(sexes.Who) == {"female", "male"} and len(speakers) == 2


@pytest.mark.parametrize(
    ("threshold", "says"),
    [(0.0, "If it always answers: **100% answered"), (0.25, "“I can't tell” below 25%")],
)
def test_a_threshold_of_zero_withholds_nothing(finished, recordings, train, threshold, says):
    file = finished / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"threshold": threshold}))
    tab(view(train, "Results"), "Sureness")
    assert says in words(train)


@pytest.mark.parametrize(
    ("temperature", "says"), [(1.0, "changes little"), (9.0, "does harm"), (1 / 9, "helps")]
)
def test_what_calibration_did_is_said_as_it_is(finished, recordings, train, temperature, says):
    """The probabilities are those of answers that are all right, and so the surer the better."""
    file = finished / "predictions.parquet"
    table = pd.read_parquet(file)
    right = pd.get_dummies(table.emotion)[list(ANOTHER)].astype(float)
    logits = right.mul(1 / table.calibrated.map({True: temperature, False: 1.0}), axis=0)
    shares = np.exp(logits)
    table[list(ANOTHER)] = shares.div(shares.sum(axis=1), axis=0)
    table.to_parquet(file)
    tab(view(train, "Results"), "Sureness")
    assert f"on the validation part against that; here it {says}" in words(train)


@pytest.mark.parametrize(("seconds", "says"), [(1.34, "1.3 s"), (1539.4, "1,539 s")])
def test_the_time_it_took_is_rounded(finished, recordings, train, seconds, says):
    file = finished / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"seconds": seconds}))
    tab(view(train, "Results"), "Files")
    assert f"**Time:** {says}" in words(train).replace("\\", "")


def test_the_report_has_its_mean(results):
    tab(results, "Emotions and people")
    macro_f1 = outcome.read(jobs.run_folder("toy")).scores["macro_f1"]
    assert f"(macro F1) is {macro_f1:.0%}" in words(results)


@pytest.mark.parametrize(("rounds", "fitted"), [(2, False), (40, True)])
def test_a_parabola_is_spoken_of_where_one_is_fitted(finished, results, rounds, fitted):
    lines = (finished / "events.jsonl").read_text().splitlines(keepends=True)
    (finished / "events.jsonl").write_text("".join(lines[:rounds]))
    tab(results, "Learning")
    assert ("parabola that fits best" in words(results)) == fitted


@pytest.fixture
def offered(monkeypatch):
    """What can be downloaded: what is in each file, by label."""
    found, real = {}, st.download_button

    def offer(label, data, **options):
        found[label] = data
        return real(label, data, **options)

    monkeypatch.setattr(st, "download_button", offer)
    return found


def test_everything_can_be_taken_away(results, finished, offered):
    (finished / "log.txt").write_text("the first line\n" + 1000 * "epoch\n" + "the last line\n")
    tab(results, "Files")
    assert "48 to learn from" in words(results)
    assert {each.label for each in results.get("download_button")} == set(offered)
    known = outcome.read(finished)

    def table(label):
        return pd.read_csv(io.StringIO(offered.pop(label)))

    assert (
        recipe.load("swift", settings_of(offered.pop("Recipe (TOML)"))).digest
        == (known.about["recipe"])
    )
    assert json.loads(offered.pop("All figures (JSON)")) == known.metrics
    assert list(table("Emotions (CSV)").Emotion) == list(known.answers.labels)
    assert set(known.speakers) < set(table("People (CSV)").who)
    every, before = table("Every answer (CSV)"), table("Answers before calibration (CSV)")
    assert list(every.id) == list(before.id) == list(known.answers.table.id)
    assert every.sad.to_numpy() == pytest.approx(known.answers.table.sad.to_numpy())
    assert before.sad.to_numpy() == pytest.approx(known.raw.table.sad.to_numpy())
    split = json.loads(offered.pop("Who learned, who tested (JSON)"))
    assert split == json.loads((finished / "split.json").read_text())
    assert len(table("Rounds (CSV)")) == len((finished / "events.jsonl").read_text().splitlines())
    answers = pd.read_parquet(io.BytesIO(offered.pop("All answers, validation too (Parquet)")))
    assert set(answers.part) == {"validation"} and set(answers.calibrated) == {True, False}
    assert answers.equals(pd.read_parquet(finished / "predictions.parquet"))
    assert offered.pop("All that it said (text)") == (finished / "log.txt").read_bytes()
    assert not offered


def test_what_a_failed_training_said_can_be_taken_away(runs, train, offered):
    (runs / "broken").mkdir(parents=True)
    (runs / "broken" / "job.json").write_text('{"protocol": null, "fold": 0}')
    said = "the first line\n" + 1000 * "epoch\n" + "error: the disk is full\n"
    (runs / "broken" / "log.txt").write_text(said)
    view(train, "Results")
    assert "it stopped: the disk is full" in errors(train)
    assert offered == {"All that it said (text)": said.encode()}


def test_a_damaged_run_gets_a_sentence_and_can_be_deleted(finished, train):
    (finished / "predictions.parquet").write_bytes(b"damaged")
    view(train, "Results")
    assert "cannot be read" in errors(train)
    button(train, "Delete it").click().run()
    assert not finished.exists()


def test_who_is_kept_aside_is_said_in_words_and_by_the_protocols_name(
    train, whole_ravdess, monkeypatch
):
    monkeypatch.setenv("SER_DATA_DIR", str(whole_ravdess))
    train.run()
    (choice,) = (each for each in train.selectbox if each.label == "Which people")
    assert choice.options[0] == "Unseen speakers, 5 folds of RAVDESS actors"
    assert "That is the protocol ravdess-5fold." in words(train)
    choice.select("ravdess-6fold").run()
    assert "That is the protocol ravdess-6fold." in words(train)


def test_what_was_measured_beforehand_is_shown_at_once(train, tmp_path):
    systems = [SYSTEM | {"ravdess-5fold": NEW | {"uar": 0.35}}]
    (tmp_path / "systems.json").write_text(json.dumps(systems))
    view(train, "Known or new voices")
    (chart,) = train.get("plotly_chart")
    assert f"{KNOWN['uar']:.0%} with voices it knows, 35% with voices" in chart.proto.alt
    assert "Why they differ" in words(train)
    assert "random-80-20, mean of 3 trainings; ravdess-5fold, mean of 3 trainings." in words(train)


def test_figures_of_other_recordings_are_called_so(train, tmp_path):
    known = SYSTEM | {"random-80-20": KNOWN | {"corpus": "ravdess+tess"}}
    systems = [known | {"ravdess-5fold": NEW | {"corpus": "ravdess"}}]
    (tmp_path / "systems.json").write_text(json.dumps(systems))
    view(train, "Known or new voices")
    assert "the first is of RAVDESS, TESS, the second of RAVDESS." in words(train)


def test_each_figure_says_how_often_it_was_measured(train, tmp_path):
    systems = [SYSTEM | {"ravdess-5fold": NEW | {"seeds": 1}}]
    (tmp_path / "systems.json").write_text(json.dumps(systems))
    view(train, "Known or new voices")
    assert "random-80-20, mean of 3 trainings; ravdess-5fold, one training." in words(train)


def test_both_ways_are_measured_here_and_stand_side_by_side(train, whole_ravdess, monkeypatch):
    monkeypatch.setenv("SER_DATA_DIR", str(whole_ravdess))
    view(train, "Known or new voices")
    assert "tested on a random fifth and on the first group of ravdess-5fold" in words(train)
    assert "Why they differ" not in words(train)
    button(train, "Train it both ways").click().run()
    assert not errors(train)
    until_over()
    said = words(train.run())
    known, new = sorted(jobs.runs())
    assert f"“{known}”: 39 recordings of" in said.replace("\\", "")
    assert "people whom it knows (random-80-20)" in said
    assert f"“{new}”: 40 of 5 people whom it does not" in said.replace("\\", "")
    assert "Why they differ" in said
    scores = [outcome.read(jobs.run_folder(run)).scores["uar"] for run in (known, new)]
    (chart,) = train.get("plotly_chart")
    for score, voices in zip(scores, ("it knows", "it never heard"), strict=True):
        assert f"{share(score)} with voices {voices}" in chart.proto.alt
    assert "Measure both again" in labels(train)


def test_a_run_with_settings_of_its_own_is_measured_the_other_way_too(
    train, whole_ravdess, monkeypatch
):
    monkeypatch.setenv("SER_DATA_DIR", str(whole_ravdess))
    emotions = 'labels=["neutral", "happy", "sad", "angry"]'
    mine = recipe.load("svm", [emotions, "data.channels=['speech']", "training.seed=3"])
    (known,) = jobs.start([Order(mine, "random-80-20")])
    until_over()
    tab(view(train, "Results"), "Known or new voices")
    assert "Why they differ" not in words(train)
    button(train, "Train the other one, too").click().run()
    assert not errors(train)
    until_over()
    (new,) = {*jobs.runs()} - {known}
    assert recipe.of_run(jobs.run_folder(new)) == mine
    train.run()
    assert "Why they differ" in words(train) and "Measure both again" in labels(train)
    (chart,) = train.get("plotly_chart")
    assert f"{share(outcome.read(jobs.run_folder(known)).scores['uar'])} with voices it knows" in (
        chart.proto.alt
    )


def test_an_incomplete_corpus_cannot_show_the_difference(recordings, train):
    view(train, "Known or new voices")
    assert "cannot be measured here" in words(train)
    assert "Why they differ" not in words(train)


def test_a_training_begins_with_a_model_that_knows_none_of_its_judges(recordings, finished, train):
    choice = train.selectbox(key="train-start-swift")
    assert "what toy has learned" in choice.options
    assert "has heard ravdess-" in errors(choice.select("toy").run())
    assert not errors(train.selectbox(key="train-start-swift").select("").run())
