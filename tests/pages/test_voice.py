import json

import numpy as np
import pytest

from ser_core import profile
from ser_core.recognizer import Recognizer
from tests.pages.test_recognize import TITLES


@pytest.fixture
def heard(app):
    """The page after three clips, Your voice open."""
    for title in TITLES[:3]:
        app.pills[0].select(title).run()
    app.session_state.profiles = True
    return app.run()


def said(app):
    assert not app.exception
    return " ".join(item.value for item in [*app.markdown, *app.success])


def button(app, label):
    return next(found for found in app.button if found.label == label)


def test_a_voice_is_got_to_know_used_kept_and_forgotten(heard):
    app = heard
    assert "With your voice" not in said(app)
    assert button(app, "Get to know this voice").disabled
    clips = app.multiselect[0]
    assert len(clips.options) == 3
    for option in clips.options:
        clips.select(option)
    app.run()
    button(app, "Get to know this voice").click().run()
    assert "known from 3 clips" in said(app)
    assert "With your voice" in said(app)
    voice = app.session_state.voice
    assert voice.clips == 3
    app.pills[0].select(TITLES[3]).run()
    assert "With your voice" in said(app), "also for what is heard next"
    button(app, "Forget it").click().run()
    assert "With your voice" not in said(app)
    assert not app.exception


def some_voice() -> profile.Voice:
    model = Recognizer.from_name("deep").bundle
    return profile.get_to_know(np.full((4, len(model.space.population)), 0.5), model)


def test_a_profile_that_was_kept_is_used_again(heard):
    voice = some_voice()
    heard.file_uploader[1].upload("mine.json", profile.to_json(voice).encode()).run()
    assert "known from 4 clips" in said(heard)
    assert heard.session_state.voice == voice


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, "not a voice profile"),
        ({"weights": "0" * 64, "model": "swift"}, "made for “swift”"),
        ({"mean": [1.0]}, "damaged"),
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
