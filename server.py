"""What `streamlit run` serves: `app.py`, guarded, and `/healthz` beside it."""

import asyncio
import ctypes
import gc
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import ModuleType

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.formparsers import MultiPartParser
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import net_util
from streamlit.runtime import Runtime
from streamlit.runtime.state import SessionState

# The browser itself sees to it that the page asks no other server for anything, and that no other
# page frames this one, which may hear the microphone. Streamlit and plotly write styles and scripts
# of their own into the page.
HEADERS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "object-src 'none'; base-uri 'self'; frame-ancestors 'self'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

# To judge a connection from a page of another origin, Streamlit (1.67) would ask a server on the
# internet what this computer's address is, and keep everybody waiting for it.
net_util.get_external_ip = lambda: None

TIDYING = 10  # seconds until the next time

# Starlette would put an upload above 1 MB into a file for a while; visitors are told that none is.
MultiPartParser.spool_max_size = 2**30


class Guard:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp):
        """Take what answers."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, guarded)


async def healthz(request: Request) -> PlainTextResponse:
    """Say whether visitors can be served: 200, or 503 and why not."""
    ready, message = await Runtime.instance().is_ready_for_browser_connection
    return PlainTextResponse(message, 200 if ready else 503, {"Cache-Control": "no-store"})


async def forget() -> None:
    """Let go, again and again, of visits that are over, and of the memory that they had."""
    while True:
        await asyncio.sleep(TIDYING)
        try:
            if let_go() or Runtime.instance()._session_mgr.num_active_sessions():
                await asyncio.to_thread(tidy_up)
        except Exception:  # or nobody would ever be let go again
            logging.getLogger(__name__).exception("a visit could not be let go")


def let_go() -> bool:
    """Let go of visits that are over, and say whether there were any.

    Streamlit (1.67) keeps that of a closed tab for two minutes, lest it come back, then until
    another tab is closed, which may be never; of the one that it had to do with last, most even
    after that.
    """
    runtime = Runtime.instance()
    over = runtime._session_mgr._session_storage._cache.expire()
    for _, visit in over:
        visit.session.shutdown()
        visit.session._session_state = SessionState()
        visit.session._fragment_storage.clear()
    if over:
        sys.modules["__main__"] = ModuleType("__main__")  # the script's, with its variables
        runtime.media_file_mgr.remove_orphaned_files()  # what can be downloaded, at the second call
    return bool(over)


def tidy_up() -> None:
    """Collect garbage, and give back the memory that nothing is in any more.

    Streamlit would search for garbage after every run of a script (`runner.postScriptGC`), twice a
    second for each listener, and stop everything for a tenth of a second each time.
    """
    gc.collect()
    with suppress(AttributeError):  # only glibc has to be asked
        ctypes.CDLL(None).malloc_trim(0)


@asynccontextmanager
async def tidily(app: st.App) -> AsyncIterator[None]:
    """Tidy up for as long as it serves."""
    task = asyncio.create_task(forget())
    yield
    task.cancel()


app = st.App(
    "app.py",
    lifespan=tidily,
    routes=[Route("/healthz", healthz)],
    middleware=[Middleware(Guard)],
)
