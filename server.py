"""What `streamlit run` serves: `app.py`, guarded, and `/healthz` beside it."""

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


app = st.App("app.py", routes=[Route("/healthz", healthz)], middleware=[Middleware(Guard)])
