import asyncio
from types import SimpleNamespace

import pytest

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
