"""Compare, Statistics and Map, each alone on a page, over recordings as they are on disk."""

import json
import os
import re

import pandas as pd
import pytest
import soundfile
import streamlit as st
from streamlit.testing.v1 import AppTest

from ser_core import audio, corpora, history
from ser_core.corpora import ready_made
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like


def _view():
    """What the Explore page does, but for the choosing."""
    import importlib

    import streamlit as st

    view = importlib.import_module(f"pages.parts.{st.session_state.view}")
    view.show(st.session_state.manifest)


@pytest.fixture
def toy(toy_ravdess, tmp_path, monkeypatch) -> pd.DataFrame:
    """The toy corpus's manifest; a cache that knows nothing."""
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    return corpora.scan("ravdess", toy_ravdess / "ravdess").manifest


def view(name, manifest, **state) -> AppTest:
    st.cache_resource.clear()
    st.cache_data.clear()
    app = AppTest.from_function(_view, default_timeout=600)
    for key, value in ({"view": name, "manifest": manifest.reset_index(drop=True)} | state).items():
        app.session_state[key] = value
    app.run()
    assert not app.exception
    return app


def said(app) -> str:
    texts = (*app.markdown, *app.caption, *app.info, *app.error, *app.subheader)
    return " ".join(item.value for item in texts)


def charts(app) -> list:
    return app.get("plotly_chart")


def sounds(app) -> list:
    return app.get("audio")


def button(app, start):
    return next(found for found in app.button if found.label.startswith(start))


def test_compare_shows_one_speaker_in_many_emotions(toy):
    app = view("compare", toy)
    assert app.selectbox[0].value == "ravdess-01"
    assert app.selectbox[0].options[0] == "RAVDESS actor 01"
    assert len(charts(app)) == len(sounds(app)) == 4
    words = said(app)
    # The toy corpus's happy one is at 340 Hz, its neutral one at 90.
    assert "**Happy" in words
    assert "Against neutral: **an octave and" in words
    assert re.search("Pitch 9. Hz, over [1-4] semitones", words)
    assert "10 dB more sound about twice as loud" in words


def test_compare_lets_speaker_and_emotions_be_chosen(toy):
    app = view("compare", toy)
    app.selectbox[0].select("ravdess-05").run()
    app.pills[0].unselect("angry").unselect("sad").run()
    assert not app.exception
    assert len(charts(app)) == 2
    for emotion in ("neutral", "happy"):
        app.pills[0].unselect(emotion)
    app.run()
    assert not app.exception
    assert "Choose an emotion" in said(app)


def test_compare_prefers_what_is_acted_strongly(toy):
    softly = toy.assign(intensity="normal")
    loudly = toy[toy.emotion != "neutral"].assign(intensity="strong")
    loudly = loudly.assign(id=loudly.id + "-strong")
    app = view("compare", pd.concat([softly, loudly]))
    assert [m.value for m in app.markdown if m.value.startswith("**Happy")] == [
        "**Happy\u00a0😄** · strong"
    ]
    assert "**Neutral\u00a0😐** · normal" in said(app), "as it is, where it is not acted so"


@pytest.mark.parametrize(
    "change",
    [{"sentence": ""}, {"speaker": ""}, {"emotion": "sad"}],
    ids=["no sentences", "no speakers", "one emotion"],
)
def test_compare_says_when_there_is_nothing_to_compare(toy, change):
    app = view("compare", toy.assign(**change))
    assert "Nobody among these recordings says the same words in two emotions" in said(app)
    assert not charts(app)


def test_compare_gives_a_sentence_for_a_damaged_recording(toy, tmp_path):
    (tmp_path / "bad.flac").write_bytes(b"no sound")
    toy.loc[toy.speaker == "ravdess-01", "path"] = tmp_path / "bad.flac"
    app = view("compare", toy)
    assert "Sorry: " in app.error[0].value
    (tmp_path / "bad.flac").unlink()
    assert "Sorry: " in view("compare", toy).error[0].value


def test_statistics_count_at_once_and_measure_when_asked(toy):
    app = view("statistics", toy[toy.emotion != "sad"])
    assert len(charts(app)) == 2
    app = view("statistics", toy[(toy.emotion != "sad") | (toy.speaker == "ravdess-02")])
    assert "among these:** of RAVDESS no sad by 7 of its 8 speakers." in said(app)
    assert len(charts(app)) == 2, "nothing is decoded before it is asked for"
    button(app, "Listen to 50 recordings").click().run()
    assert not app.exception
    assert len(charts(app)) == 6, "duration, loudness, and pitch of women and of men"
    assert "From 50 recordings." in said(app)
    assert not app.button


def test_statistics_of_some_say_nothing_of_the_others(toy):
    both = view("statistics", toy)
    assert "the fainter part" in said(both)
    one = view("statistics", toy[toy.speaker == "ravdess-01"].reset_index(drop=True))
    assert "missing among these:** of RAVDESS no women" in said(one)
    assert "the fainter part" not in said(one)


def test_statistics_of_two_corpora_name_people_in_words(toy):
    mine = toy.assign(corpus="mine", speaker="mine-ann", id="mine/" + toy.id)
    (spec,) = (chart.proto.spec for chart in charts(view("statistics", pd.concat([toy, mine])))[1:])
    (speakers,) = (trace["x"] for trace in json.loads(spec)["data"])
    assert speakers[:2] == ["mine speaker ann", "RAVDESS actor 01"]


def test_statistics_remember_what_was_measured(toy):
    button(view("statistics", toy.iloc[:20]), "Listen to 20 recordings").click().run()
    assert len(charts(view("statistics", toy.iloc[:20]))) > 2
    assert button(view("statistics", toy.iloc[:30]), "Listen to 10 recordings")


def test_statistics_leave_out_what_cannot_be_read(toy, tmp_path):
    (tmp_path / "bad.flac").write_bytes(b"no sound")
    some = toy.iloc[:10].reset_index(drop=True)
    some.loc[3, "path"] = tmp_path / "bad.flac"
    app = view("statistics", some)
    button(app, "Listen to 10 recordings").click().run()
    assert not app.exception
    assert "From 9 recordings; 1 is without sound or cannot be read" in said(app)
    shown = len(charts(app))
    app.run()
    assert len(charts(app)) == shown > 2 and not app.button, "it is not asked for again"
    button(view("statistics", toy.iloc[:11]), "Listen to 2 recordings and measure them")


def test_statistics_of_one_recording_more(toy):
    button(view("statistics", toy.iloc[:1]), "Listen to 1 recording and measure it").click().run()
    assert "From 1 recording." in said(view("statistics", toy.iloc[:1]))


def test_statistics_of_recordings_without_labels_say_so(toy):
    assert "which emotion it shows" in said(view("statistics", toy.assign(emotion="")))


def own_entry() -> dict:
    clip = audio.Clip(speech_like(1.5, 340.0), audio.SAMPLE_RATE, "mine")
    entries = {}
    history.remember(
        entries, clip, Recognizer.from_name("deep").predict(clip), title="Me *and* you"
    )
    return entries


def test_map_shows_every_recording_and_asks_for_the_visitors(toy):
    app = view("embedding_map", toy)
    assert len(charts(app)) == 1
    assert not sounds(app), "nothing is decoded before it is asked for"
    assert "Record yourself" in said(app)
    assert app.get("button_group")[1].options == ["Distances (PCA)", "Neighbours (UMAP)"]
    assert "what is far apart here sounds different" in said(app)


def test_a_server_for_strangers_lays_out_by_what_is_quick(toy, monkeypatch):
    monkeypatch.setenv("UNDERTONE_TRAINING", "off")
    app = view("embedding_map", toy)
    assert len(charts(app)) == 1 and len(app.get("button_group")) == 1
    assert "what is far apart here sounds different" in said(app)


def test_map_tells_what_is_closest_to_the_visitor(toy):
    app = view("embedding_map", toy, history=own_entry())
    assert app.subheader[0].value == "Closest to you"
    assert r"Me \*and\* you" in said(app)
    assert len(sounds(app)) == 3
    # The toy corpus's happy ones are made of just such a voice.
    assert len(re.findall(r"\*\*RAVDESS actor 0\d, happy\*\*", said(app))) == 3


def test_map_does_not_mix_up_models(toy):
    from dataclasses import replace

    (entry,) = own_entry().values()
    other = replace(entry, prediction=replace(entry.prediction, weights="another"))
    assert "Record yourself" in said(view("embedding_map", toy, history={"k": other}))


@pytest.mark.parametrize("colour", ["speaker", "sex"])
def test_map_is_coloured_by_what_is_chosen(toy, colour):
    app = view("embedding_map", toy)
    control = app.get("button_group")[0]
    assert len(control.options) == 3, "one corpus alone is nothing to colour by"
    control.set_value(colour).run()
    assert not app.exception
    assert len(charts(app)) == 1
    groups = {trace["name"] for trace in json.loads(charts(app)[0].proto.spec)["data"]}
    people = {f"RAVDESS actor 0{number}" for number in range(1, 9)}
    assert groups == (people if colour == "speaker" else {"female", "male"})


@pytest.mark.parametrize(
    ("speaker", "told"),
    [
        (None, "trained with the speakers of these recordings (RAVDESS)"),
        ("ravdess-99", "has heard none of these speakers before"),
    ],
)
def test_map_says_whom_the_model_has_heard(toy, speaker, told):
    assert told in said(view("embedding_map", toy.assign(speaker=speaker or toy.speaker)))


def test_map_of_one_recording_is_a_sentence(toy):
    app = view("embedding_map", toy.iloc[:1])
    assert "at least 2 recordings" in app.error[0].value


@pytest.fixture
def silent(tmp_path, monkeypatch):
    """The ready-made spectrograms' manifest."""
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    found = ready_made.manifest() if "SER_DATA_DIR" in os.environ else None
    if found is None:
        pytest.skip("no ready-made spectrograms in SER_DATA_DIR")
    return found[found.speaker == "crema-d-1001"]


@pytest.mark.realdata
def test_spectrograms_without_sound_are_seen_not_heard(silent):
    app = view("compare", silent)
    assert len(charts(app)) == 4
    assert not sounds(app)
    assert "nothing to play, no pitch" in said(app)
    app = view("statistics", silent)
    assert len(charts(app)) == 2
    assert "nothing to measure" in said(app)
    app = view("embedding_map", silent, history=own_entry())
    assert not app.exception
    assert not sounds(app)


def test_a_corpus_of_ones_own_without_speakers_is_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SER_DATA_DIR", str(tmp_path))
    for emotion, pitch in (("happy", 300.0), ("sad", 120.0)):
        (tmp_path / "mine" / emotion).mkdir(parents=True)
        for take in range(2):
            file = tmp_path / "mine" / emotion / f"{take}.wav"
            soundfile.write(file, speech_like(1.0, pitch, seed=take), audio.SAMPLE_RATE)
    manifest = corpora.scan("mine").manifest
    assert "Nobody" in said(view("compare", manifest))
    button(view("statistics", manifest), "Listen to 4").click().run()
    app = view("statistics", manifest)
    assert "speakers of unknown sex" in said(app)
    app = view("embedding_map", manifest, history=own_entry())
    assert "**mine, happy**" in said(app)
