import asyncio
import sys
import weakref
from types import SimpleNamespace

import pytest
from streamlit.runtime.memory_session_storage import MemorySessionStorage
from streamlit.runtime.session_manager import SessionInfo

import server


@pytest.mark.parametrize(
    "ready, status", [((True, "ok"), 200), ((False, "unavailable"), 503)], ids=["up", "not yet"]
)
def test_health_is_whether_visitors_can_be_served(monkeypatch, ready, status):
    async def asked():
        return ready

    runtime = SimpleNamespace(is_ready_for_browser_connection=asked())
    monkeypatch.setattr(server.Runtime, "instance", lambda: runtime)
    answer = asyncio.run(server.healthz(None))
    assert (answer.status_code, answer.body.decode()) == (status, ready[1])


class Visit:
    """What a session is to those who let it go."""

    def __init__(self, name):
        self.id, self.ended = name, False
        self._session_state = {"history": ["a voice"]}
        self._fragment_storage = {"chart": "of a voice"}

    def shutdown(self):
        self.ended = True


def test_after_an_error_visits_are_still_let_go(monkeypatch):
    outcomes = iter([RuntimeError("one visit cannot"), asyncio.CancelledError()])

    def let_go():
        raise next(outcomes)

    monkeypatch.setattr(server, "let_go", let_go)
    monkeypatch.setattr(server, "TIDYING", 0)
    with pytest.raises(asyncio.CancelledError):  # by the second attempt, not by the first
        asyncio.run(server.forget())


@pytest.mark.parametrize("anybody", [True, False])
def test_a_visit_that_is_over_is_let_go_though_no_other_ends(monkeypatch, anybody):
    over, kept = Visit("over"), Visit("kept")
    storage, tidied, files = MemorySessionStorage(ttl_seconds=100), [], ["of a voice"]
    for visit, saved in ((over, 0), (kept, 50)):
        monkeypatch.setattr(storage._cache, "_timer", lambda saved=saved: saved)
        storage.save(SessionInfo(client=None, session=visit, script_run_count=1))
    monkeypatch.setattr(storage._cache, "_timer", lambda: 120)
    manager = SimpleNamespace(_session_storage=storage, num_active_sessions=lambda: anybody)
    media = SimpleNamespace(remove_orphaned_files=files.clear)
    runtime = SimpleNamespace(_session_mgr=manager, media_file_mgr=media)
    monkeypatch.setattr(server.Runtime, "instance", lambda: runtime)
    monkeypatch.setitem(sys.modules, "__main__", SimpleNamespace(entry="a voice"))
    monkeypatch.setattr(server, "TIDYING", 0)
    monkeypatch.setattr(server, "tidy_up", lambda: tidied.append(over.ended))

    async def serve():
        async with server.tidily(None):
            while len(tidied) < 1 + anybody:
                await asyncio.sleep(0)

    asyncio.run(serve())
    assert all(tidied)
    assert over.ended and not (len(over._session_state) or over._fragment_storage or files)
    assert not hasattr(sys.modules["__main__"], "entry")
    assert not kept.ended and kept._session_state and kept._fragment_storage
    assert [it.session for it in storage.list()] == [kept]


def test_garbage_is_collected():
    visit = Visit("garbage")
    visit._session_state["visit"] = visit
    left = weakref.ref(visit)
    del visit
    server.tidy_up()
    assert left() is None
