import io
import sys

import numpy as np
import pytest
import soundfile
import streamlit as st
from streamlit.testing.v1 import AppTest

from pages.parts import entrance
from tests.helpers import ROOT, speech_like


def wav(samples) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """Streamlit leaves the script that it ran as `__main__`, from which new processes begin."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def app(monkeypatch) -> AppTest:
    """The app, its first page open, nothing cached by earlier tests."""
    # AppTest forgets before each run that `st.navigation` has run; a server does not.
    monkeypatch.setattr(entrance, "through_app", lambda: None)
    st.cache_resource.clear()
    st.cache_data.clear()
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=600).run()


@pytest.fixture
def talk_wav() -> bytes:
    return wav(speech_like())


@pytest.fixture
def silence_wav() -> bytes:
    return wav(np.zeros(32_000, np.float32))
