import io
import sys
from contextlib import contextmanager
from functools import cache

import numpy as np
import pytest
import soundfile
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx, script_runner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest

from pages.parts import entrance
from ser_core import bundle
from tests.helpers import ROOT, speech_like


def wav(samples) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV")
    return buffer.getvalue()


@contextmanager
def interrupted(monkeypatch, module, name):
    """Let the visitor click on something while a function of a module is called for the first time.

    Streamlit breaks off what it runs, a callback too, where that turns to it next.
    """
    real, calls = getattr(module, name), []

    def called(*arguments, **options):
        result = real(*arguments, **options)
        calls.append(name)
        if len(calls) == 1:
            context = get_script_run_ctx()
            runner = context._enqueue.__self__
            runner.request_rerun(RerunData(page_script_hash=context.page_script_hash))
        return result

    with monkeypatch.context() as patched:
        patched.setattr(module, name, called)
        yield calls
    assert calls


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """Streamlit leaves the script that it ran as `__main__`, from which new processes begin."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session", autouse=True)
def once():
    """What each test's app would do anew, and takes half of its time, is done once.

    That is to ask what components are installed, to compile the pages, and to read a network. And
    Keras, which the app never loads, but other tests have, is not told to forget everything.
    """
    scan, compiled, run = (
        manifest_scanner.scan_component_manifests, ScriptCache.get_bytecode, bundle._session
    )  # fmt: skip
    scripts, sessions = ScriptCache(), {}

    def session(file):
        key = bundle.sha256(file)
        if key not in sessions:
            sessions[key] = run(file)
        return sessions[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(manifest_scanner, "scan_component_manifests", cache(scan))
        patched.setattr(ScriptCache, "get_bytecode", lambda _, path: compiled(scripts, path))
        patched.setattr(bundle, "_session", session)
        patched.setattr(script_runner, "_clean_problem_modules", lambda: None)
        yield


@pytest.fixture
def unopened(monkeypatch) -> AppTest:
    """The app before any page has been opened, nothing cached by earlier tests."""
    # AppTest forgets before each run that `st.navigation` has run; a server does not.
    monkeypatch.setattr(entrance, "through_app", lambda: None)
    st.cache_resource.clear()
    st.cache_data.clear()
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=600)


@pytest.fixture
def app(unopened) -> AppTest:
    """The app, its first page open."""
    return unopened.run()


@pytest.fixture
def talk_wav() -> bytes:
    return wav(speech_like())


@pytest.fixture
def silence_wav() -> bytes:
    return wav(np.zeros(32_000, np.float32))
