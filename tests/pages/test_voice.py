import json

import numpy as np
import pytest

from ser_core import profile
from ser_core.recognizer import Recognizer
from tests.helpers import speech_like
from tests.pages.conftest import wav
from tests.pages.test_recognize import TITLES

EVEN = np.full((17, 8), 1 / 8)  # every mood is as likely as the next


@pytest.fixture
def heard(app):
    """The page after three clips, Your voice open."""
    for title in TITLES[:3]:
        app.pills[0].select(title).run()
    app.session_state.profiles = True
    return app.run()


def said(app):
    assert not app.exception
    shown = [*app.markdown, *app.success, *app.caption]
    return " ".join([item.value for item in shown] + [toggle.label for toggle in app.toggle])


def alt(app):
    """What is told of the bars: each emotion's probability."""
    return app.get("plotly_chart")[0].proto.alt


def button(app, label):
    return next(found for found in app.button if found.label == label)


def test_a_voice_is_got_to_know_used_kept_and_forgotten(heard):
    app = heard
    assert "Allow for your voice" not in said(app)
    assert button(app, "Get to know this voice").disabled
    clips = app.multiselect[0]
    assert len(clips.options) == 3
    for option in clips.options:
        clips.select(option)
    app.run()
    button(app, "Get to know this voice").click().run()
    assert "amounts to 3 clips" in said(app)
    assert "Allow for your voice" in said(app)
    predictions = [entry.prediction for entry in app.session_state.history.values()]
    assert app.session_state.voice == profile.get_to_know(
        np.array([prediction.embedding for prediction in predictions])[::-1],
        np.array([list(prediction.probabilities.values()) for prediction in predictions])[::-1],
        Recognizer.from_name("deep").bundle,
    )
    app.pills[0].select(TITLES[3]).run()
    assert "Allow for your voice" in said(app), "also for what is heard next"
    with_it = app.header[0].value, alt(app)
    assert "Without it: " in said(app)
    app.toggle[0].set_value(False).run()
    without = app.header[0].value, alt(app)
    assert "Without it: " not in said(app) and with_it[1] != without[1]
    app.toggle[0].set_value(True).run()
    assert (app.header[0].value, alt(app)) == with_it
    button(app, "Forget it").click().run()
    assert "Allow for your voice" not in said(app)
    assert not app.exception


def some_voice() -> profile.Voice:
    model = Recognizer.from_name("deep").bundle
    return profile.get_to_know(np.full((4, len(model.space.kernel)), 0.5), EVEN[:4], model)


def test_a_profile_that_was_kept_is_used_again(heard):
    voice = some_voice()
    heard.file_uploader[1].upload("mine.json", profile.to_json(voice).encode()).run()
    assert "amounts to 4 clips" in said(heard)
    assert heard.session_state.voice == voice


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, "not a voice profile"),
        ({"weights": "0" * 64, "model": "swift"}, "made for “swift”"),
        ({"offset": [1.0]}, "damaged"),
    ],
)
def test_a_profile_that_does_not_fit_gets_a_sentence(heard, change, says):
    voice = some_voice()
    document = json.loads(profile.to_json(voice)) | change if change else "?"
    heard.file_uploader[1].upload("mine.json", json.dumps(document).encode()).run()
    assert not heard.exception
    assert says in heard.error[0].value
    assert "voice" not in heard.session_state
    assert heard.header, "the answer is still there"


def test_a_long_recording_is_enough(app):
    app.file_uploader[0].upload("talk.wav", wav(speech_like(61.0))).run()
    app.session_state.profiles = True
    app.run()
    assert "Over time:" in said(app)
    (option,) = app.multiselect[0].options
    app.multiselect[0].select(option).run()
    button(app, "Get to know this voice").click().run()
    assert 3 <= app.session_state.voice.clips <= 6, "one for ten seconds of speech"
    assert "Over time, with your voice:" in said(app)
    app.toggle[0].set_value(False).run()
    assert "Over time:" in said(app)
    app.toggle[0].set_value(True).run()
    button(app, "Forget it").click().run()
    assert "Over time:" in said(app)


def test_recordings_count_by_their_length():
    model = Recognizer.from_name("deep").bundle
    size, average = len(model.space.kernel), model.space.moods.mean(axis=0)
    long, brief = (average + np.full(size, value) for value in (1.0, 0.0))
    assert [profile.worth_of(seconds) for seconds in (0.5, 19.9, 20, 3600)] == [1, 1, 2, 360]
    voice = profile.get_to_know(np.array([long, brief]), EVEN[:2], model, worth=[3, 1])
    assert voice.clips == 4 and set(np.round(voice.offset, 3)) == {0.75}
    assert (
        profile.get_to_know(np.array([long, brief]), EVEN[:2], model, worth=[360, 1]).clips
        == profile.MOST
    )
    with pytest.raises(profile.ProfileError, match="3 to 16 clips, not 2; add some"):
        profile.get_to_know(np.array([long, brief]), EVEN[:2], model)
    with pytest.raises(profile.ProfileError, match="not 17; leave out some"):
        profile.get_to_know(np.array([long] * 17), EVEN, model)
