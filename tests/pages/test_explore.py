import dataclasses
import shutil
import tomllib

import pytest
import streamlit as st

from pages.parts import getting
from ser_core import bundle, game, heldout, locations, shelf
from ser_core.corpora import CORPORA
from ser_core.emotions import EMOTIONS
from tests.helpers import ROOT
from tests.pages.conftest import interrupted
from tests.test_download import data, site, zenodo  # noqa: F401 - fixtures

TOY_EMOTIONS = ["neutral", "happy", "sad", "angry"]
SAMPLES = tomllib.loads((ROOT / "assets" / "samples" / "samples.toml").read_text("utf-8"))["sample"]


@pytest.fixture
def explore(unopened, monkeypatch):
    """The Explore page with the recordings of a folder: `explore(folder)`."""

    def opened(folder):
        monkeypatch.setenv("SER_DATA_DIR", str(folder))
        page = unopened.switch_page("pages/explore.py").run()
        assert not page.exception
        return page

    return opened


def group(app, key):
    """The pills or segments of a key."""
    return next(found for found in app.get("button_group") if found.key == key)


def labels(app, key):
    return [label.replace("\u00a0", " ") for label in group(app, key).options]


def choose(app, key, values):
    group(app, key).set_value(values).run()
    assert not app.exception


def said(app):
    return " ".join(element.value for element in (*app.markdown, *app.caption))


def button(app, label):
    return next(found for found in app.button if found.label == label)


def held():
    """What cross-validation heard, as the page should know it."""
    table = heldout.read(locations.find_model("deep"))
    table = table[(table.protocol == "ravdess-5fold") & (table.seed == 0)].set_index("id")
    labels = list(heldout.labels_of(table.reset_index()))
    return table.assign(heard=table[labels].idxmax(axis=1), confidence=table[labels].max(axis=1))


def toy_ids(folder):
    return [f"ravdess/{path.stem}" for path in folder.rglob("*.flac")]


def test_visitors_who_may_change_nothing_are_offered_no_downloads(explore, tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERTONE_TRAINING", "off")
    app = explore(tmp_path)
    assert "synthetic voices" in said(app)
    assert not app.button and not app.expander


def test_with_nothing_here_our_own_voices_are_shown_and_every_corpus_offered(explore, tmp_path):
    app = explore(tmp_path)
    assert app.dataframe[0].value.Clip.tolist() == sorted(row["title"] for row in SAMPLES)
    assert "synthetic voices" in said(app) and not app.error
    assert len(app.get("audio")) == 1
    for corpus in CORPORA.values():
        assert corpus.TITLE in said(app) and corpus.HOME in said(app)
        assert corpus.LICENCE in said(app) and f"{corpus.CLIPS:,} recordings" in said(app)
    assert "python -m ser_core data add savee FOLDER" in said(app)
    assert [found.label for found in app.button] == [
        "Accept CC BY-NC-SA 4.0, get speech",
        "Accept CC BY-NC-SA 4.0, get song",
        "Accept CC BY-NC-ND 4.0, get it",
        "Accept ODbL 1.0, get it",
    ]
    assert not app.header[0].value.startswith("Labelled")
    assert "The model hears" in said(app) and ": wrong" not in said(app)


def wait_for(corpus):
    """Wait until a download has ended; one that was quick may have been noticed already."""
    if corpus in getting.downloads():
        getting.downloads()[corpus].wait()


def test_a_corpus_that_cannot_be_got_is_a_sentence_and_one_click_gets_it_later(
    explore,
    zenodo,  # noqa: F811
    data,  # noqa: F811
):
    content = zenodo.files.pop("speech.zip")
    app = explore(data)
    speech = "Accept CC BY-NC-SA 4.0, get speech"
    button(app, speech).click().run()
    wait_for("ravdess")
    app.run()
    assert not app.exception
    (error,) = app.error
    assert error.value.startswith("Sorry: ") and "404" in error.value
    zenodo.files["speech.zip"] = content
    button(app, speech).click().run()
    wait_for("ravdess")
    app.run()
    app.run()
    assert not app.exception and not app.error
    assert labels(app, "corpora") == ["RAVDESS · 2"] and group(app, "corpora").value == ["ravdess"]
    assert "**2** of 2 recordings" in said(app) and "synthetic" not in said(app)
    # The song is still to be had.
    assert [b.label for b in app.button if "RAVDESS" in b.key or "get" in b.key][0].endswith("song")


def test_counts_follow_the_filters(explore, toy_ravdess):
    app = explore(toy_ravdess)
    assert labels(app, "filter-emotion")[0] == "neutral 😐 · 16"
    assert labels(app, "filter-sex") == ["female · 32", "male · 32"]
    assert {found.key for found in app.get("button_group") if "filter" in found.key} == {
        "filter-emotion",
        "filter-speaker",
        "filter-sex",
    }
    choose(app, "filter-emotion", ["angry", "sad"])
    choose(app, "filter-sex", ["female"])
    assert "**16** of 64 recordings" in said(app)
    assert labels(app, "filter-emotion")[0] == "neutral 😐 · 8"
    assert labels(app, "filter-speaker")[:2] == ["RAVDESS actor 01 · 0", "RAVDESS actor 02 · 4"]
    table = app.dataframe[0].value
    assert len(table) == 16 and set(table.Emotion) == {"😠 angry", "😢 sad"}
    assert set(table.Speaker) == {f"RAVDESS actor 0{number}" for number in (2, 4, 6, 8)}
    assert "RAVDESS actor 02 · female" in said(app)
    button(app, "Clear filters").click().run()
    assert "**64** of 64 recordings" in said(app)
    choose(app, "filter-sex", ["female"])
    choose(app, "filter-speaker", ["ravdess-01"])
    assert not app.exception and "No recording passes all" in app.info[0].value


def test_a_chosen_clip_is_shown_with_an_answer_by_a_model_that_never_heard_the_speaker(
    explore, toy_ravdess
):
    app = explore(toy_ravdess)
    answers, told = held(), set()
    threshold = bundle.read_card(locations.find_model("deep")).threshold
    here = answers.confidence[toy_ids(toy_ravdess)]
    for clip in (here.idxmax(), here.idxmin()):  # sure; not sure enough
        app.session_state["explore-clip"] = clip
        app.run()
        assert not app.exception
        answer = answers.loc[clip]
        assert app.header[0].value.replace("\u00a0", " ").startswith(f"Labelled {answer.emotion}")
        verdict = "right" if answer.heard == answer.emotion else "wrong"
        shown = said(app).replace("\u00a0", " ")
        if answer.confidence >= threshold:
            assert f"**{answer.heard} " in shown and f"sure: {verdict}." in shown
            assert "I can't tell" not in shown
        else:
            face, sure = EMOTIONS[answer.heard].emoji, f"{answer.confidence:.0%}"
            assert "would say “I can't tell”" in shown and "sure: " not in shown
            assert f"closest is **{answer.heard} {face}** ({sure}), which is {verdict}." in shown
        told.add(answer.confidence >= threshold)
        assert "never heard the speaker (ravdess-5fold" in said(app)
        assert [chart.proto.alt.split()[0] for chart in app.get("plotly_chart")][1] == "Waveform"
    assert told == {True, False}, "both ways are tried"


def test_mistakes_are_those_of_cross_validation_the_surest_first(explore, toy_ravdess):
    app = explore(toy_ravdess)
    app.toggle[0].set_value(True).run()
    assert not app.exception
    answers = held().loc[toy_ids(toy_ravdess)]
    wrong = answers[answers.heard != answers.emotion].sort_values("confidence", ascending=False)
    table = app.dataframe[0].value
    assert [f"ravdess/{clip}" for clip in table.Clip] == wrong.index.tolist()
    assert [text.split()[1] for text in table["Heard as"]] == wrong.heard.tolist()
    assert f"Wrong for **{len(wrong)}** of 64" in said(app) and "ravdess-5fold" in said(app)
    threshold = bundle.read_card(locations.find_model("deep")).threshold
    withheld = int((wrong.confidence < threshold).sum())
    assert f"instead of {withheld} of these it would say “I can't tell”" in said(app) and withheld


def test_of_a_voice_it_was_trained_with_no_answer_is_shown(explore, toy_ravdess, tmp_path):
    folder = tmp_path / "ravdess"
    folder.mkdir()
    source = next(toy_ravdess.rglob("*.flac"))
    for emotion in ("03", "04"):
        shutil.copy(source, folder / f"03-02-{emotion}-01-01-01-01.flac")
    app = explore(tmp_path)
    assert "trained with this voice" in said(app) and "The model hears" not in said(app)
    app.toggle[0].set_value(True).run()
    assert not app.exception and not app.dataframe
    assert "2 recordings are left out" in said(app)


def test_of_an_unknown_corpus_the_models_own_answers_count(explore, toy_ravdess, tmp_path):
    for emotion, source in zip(("angry", "sad"), toy_ravdess.rglob("*.flac"), strict=False):
        (tmp_path / "mine" / emotion).mkdir(parents=True)
        shutil.copy(source, tmp_path / "mine" / emotion / "a.flac")
    app = explore(tmp_path)
    assert labels(app, "corpora") == ["mine · 2"]
    assert "unseen corpus" in said(app) and "The model hears" in said(app)


def test_a_recording_that_cannot_be_decoded_is_a_sentence(explore, tmp_path):
    (tmp_path / "ravdess").mkdir()
    (tmp_path / "ravdess" / "03-01-03-01-01-01-01.wav").write_bytes(b"no sound")
    app = explore(tmp_path)
    assert "no sound can be decoded" in app.error[0].value
    assert app.dataframe


def test_a_recording_that_is_not_there_is_a_sentence(explore, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.csv").write_text("path,emotion\nabsent.wav,sad\n")
    app = explore(tmp_path)
    assert "absent.wav is not there" in app.error[0].value.replace("\\", "")


def test_a_table_that_cannot_be_read_is_a_sentence(explore, toy_ravdess, tmp_path):
    shutil.copytree(toy_ravdess / "ravdess", tmp_path / "ravdess")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.csv").write_text("path\na.wav\n")
    app = explore(tmp_path)
    assert "lacks the column 'emotion'" in app.warning[0].value
    assert "**64** of 64 recordings" in said(app)


def test_new_recordings_are_seen_at_the_next_click(explore, toy_ravdess, tmp_path):
    shutil.copytree(toy_ravdess / "ravdess", tmp_path / "ravdess")
    app = explore(tmp_path)
    (tmp_path / "ravdess" / "Actor_08" / "03-01-05-01-01-02-08.flac").unlink()
    app.run()
    assert labels(app, "corpora") == ["RAVDESS · 63"]


def test_a_corpus_without_sound_is_called_so_before_it_is_chosen(explore, toy_ravdess, tmp_path):
    shutil.copytree(toy_ravdess / "ravdess", tmp_path / "ravdess")
    (tmp_path / "crema_d_logmel").mkdir()
    (tmp_path / "crema_d_logmel" / "names.txt").write_text("1001_DFA_ANG_XX\n")
    (tmp_path / "crema_d_logmel" / "logmel_u8.npy.xz").touch()
    app = explore(tmp_path)
    assert labels(app, "corpora") == ["RAVDESS · 64", "CREMA-D · 1, no sound"]


def begun(app, monkeypatch, clips):
    """A game of so many recordings has begun."""
    monkeypatch.setattr(game, "CLIPS", clips)
    choose(app, "explore-view", "Game")
    button(app, "Play").click().run()
    return app


def test_a_game_is_played_to_its_end(explore, toy_ravdess, monkeypatch):
    app = begun(explore(toy_ravdess), monkeypatch, clips=4)
    played = app.session_state.game
    answers = held()
    for at, path in enumerate(played.paths):
        assert not app.exception
        assert f"Recording {at + 1} of 4" in app.get("progress")[0].proto.text
        assert len(app.get("audio")) == 1 and path.stem not in said(app)
        choose(app, f"guess-{at}", "angry")
        truth = answers.emotion[f"ravdess/{path.stem}"]
        assert f"meant to be **{truth}" in said(app).replace("\u00a0", " ")
        button(app, "Next" if at < 3 else "See the result").click().run()
    clips = [f"ravdess/{path.stem}" for path in played.paths]
    heard = answers.loc[clips, TOY_EMOTIONS].idxmax(axis=1)
    you = int((answers.emotion[clips] == "angry").sum())
    model = int((answers.emotion[clips] == heard).sum())
    assert [metric.value for metric in app.metric] == [f"{you} of 4", f"{model} of 4", "67%"]
    assert "ravdess-5fold" in said(app) and "67%" in said(app) and "are few" in said(app)
    assert "both had to guess: elsewhere it says “I can't tell”" in said(app)
    assert "In 2 games" not in said(app)
    button(app, "Play again").click().run()
    for at in range(4):
        choose(app, f"guess-{at}", "sad")
        button(app, "Next" if at < 3 else "See the result").click().run()
    assert not app.exception and "In 2 games: you " in said(app)


def click_twice(app, label):
    """Click on a button, and again, when it is not there any more."""
    clicked = button(app, label).click()
    clicked.run()
    states = app._tree.get_widget_states()
    states.widgets.append(clicked._widget_state)
    app._run(states)
    assert not app.exception


def test_a_second_click_does_nothing(explore, toy_ravdess, monkeypatch):
    app = begun(explore(toy_ravdess), monkeypatch, clips=2)
    choose(app, "guess-0", "angry")
    click_twice(app, "Next")
    choose(app, "guess-1", "angry")
    click_twice(app, "See the result")
    assert len(app.session_state.games) == 1
    button(app, "Play again").click().run()
    click_twice(app, "Stop playing")
    assert button(app, "Play")


def test_a_second_click_takes_nothing_from_the_first(explore, toy_ravdess, monkeypatch):
    app = begun(explore(toy_ravdess), monkeypatch, clips=1)
    choose(app, "guess-0", "angry")
    with interrupted(monkeypatch, game, "score"):
        button(app, "See the result").click().run()
    assert not app.exception and len(app.session_state.games) == 1


def test_that_there_is_no_other_game_is_told(explore, toy_ravdess, monkeypatch):
    app = begun(explore(toy_ravdess), monkeypatch, clips=1)
    choose(app, "guess-0", "angry")
    button(app, "See the result").click().run()
    choose(app, "filter-emotion", ["angry"])
    button(app, "Play again").click().run()
    assert not app.exception and "fewer than two emotions" in app.info[0].value


def test_too_few_recordings_for_a_game_is_a_sentence(explore, toy_ravdess):
    app = explore(toy_ravdess)
    choose(app, "filter-speaker", ["ravdess-01"])
    choose(app, "explore-view", "Game")
    button(app, "Play").click().run()
    assert not app.exception and "fewer than 10 recordings" in app.info[0].value


def test_without_a_model_there_is_one_sentence(explore, toy_ravdess, tmp_path, monkeypatch):
    monkeypatch.setattr(locations, "MODELS", tmp_path)
    st.cache_resource.clear()
    app = explore(toy_ravdess)
    assert len(app.error) == 1 and "swift" in app.error[0].value


@pytest.mark.parametrize("view", ["Browse", "Compare", "Stats", "Map", "Game"])
def test_every_view_opens(explore, toy_ravdess, view):
    app = explore(toy_ravdess)
    choose(app, "explore-view", view)
    assert not app.error


@pytest.mark.realdata
def test_real_corpora_are_here_with_their_counts(explore, data_dir):
    app = explore(data_dir)
    assert labels(app, "corpora") == [
        "RAVDESS · 2,452",
        "TESS · 2,798",
        "SAVEE · 480",
        "CREMA-D · 7,429, no sound",
    ]
    assert labels(app, "filter-emotion") == [
        "neutral 😐 · 188",
        "calm 😌 · 376",
        "happy 😄 · 376",
        "sad 😢 · 376",
        "angry 😠 · 376",
        "fearful 😨 · 376",
        "disgust 🤢 · 192",
        "surprised 😲 · 192",
    ]
    choose(app, "filter-channel", ["speech"])
    assert "angry 😠 · 192" in labels(app, "filter-emotion")
    app.toggle[0].set_value(True).run()
    answers = held()
    assert f"Wrong for **{(answers.heard != answers.emotion).sum()}** of 1,440" in said(app)
    app.toggle[0].set_value(False).run()
    choose(app, "filter-channel", [])
    choose(app, "corpora", list(CORPORA))
    assert "**13,159** of 13,159 recordings" in said(app)


@pytest.mark.realdata
def test_clips_without_sound_can_be_seen_and_judged_but_not_heard(explore, runs, data_dir):
    app = explore(data_dir)
    choose(app, "corpora", ["crema-d"])
    assert "spectrograms without sound" in said(app) and not app.get("audio")
    assert "no sound of this clip" in app.info[0].value
    assert app.get("plotly_chart")[-1].proto.alt.startswith("Mel spectrogram of")
    assert "trained with this voice" in said(app)
    choose(app, "explore-view", "Map")
    assert not app.error and "“deep” answers only where there is sound" in app.info[0].value
    choose(app, "explore-view", "Browse")
    app.toggle[0].set_value(True).run()
    assert not app.error and "“deep” answers only where there is sound" in said(app)
    app.toggle[0].set_value(False).run()
    mine = shutil.copytree(locations.find_model("swift"), runs / "mine" / "model")
    card = bundle.read_card(mine)
    training = dataclasses.replace(card.training, corpora={"ravdess": "CC BY-NC-SA 4.0"})
    bundle.write_card(dataclasses.replace(card, training=training), mine)
    shelf.activate("mine")
    app.run()
    assert "unseen corpus" in said(app)
    choose(app, "explore-view", "Game")
    button(app, "Play").click().run()
    assert "fewer than 10 recordings to hear" in app.info[0].value
