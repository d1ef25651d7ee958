"""A visitor without a browser: the messages that one sends to Streamlit, over a real WebSocket."""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterable
from contextlib import suppress
from operator import itemgetter

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import UploadedFileInfo
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import connect


class Visitor:
    """One session: what is on its page, and what it does there.

    Attributes:
        failures: exceptions that the page has shown.
        idle: whether the script has run to its end, and everything it shows is here.
    """

    def __init__(self, url: str):
        """Take the server's address; `async with` opens the session."""
        self.url = url
        self.failures: list[str] = []
        self.idle = False
        # By place and by fragment, in which run each came last.
        self._elements: dict[tuple[int, ...], tuple[int, Element]] = {}
        self._reruns: dict[str, tuple[int, float]] = {}
        self._states: dict[str, WidgetState] = {}
        self._pages: dict[str, str] = {}
        self._page, self._session, self._run = "", "", 0
        self._over = False
        self._changed = asyncio.Condition()
        self._urls: asyncio.Queue = asyncio.Queue()

    async def __aenter__(self) -> "Visitor":
        """Open the page."""
        token = await asyncio.to_thread(_token, self.url)
        self._headers = {"Cookie": f"_streamlit_xsrf={token}", "X-Xsrftoken": token}
        self._socket = await connect(
            self.url.replace("http", "ws") + "/_stcore/stream",
            origin=self.url,
            subprotocols=["streamlit"],
            additional_headers={"Cookie": self._headers["Cookie"]},
            max_size=None,
        )
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._again())]
        await self.rerun()
        return self

    async def __aexit__(self, *_) -> None:
        """Close the tab."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._socket.close()

    async def go(self, page: str) -> None:
        """Open another page by its address, such as `live`."""
        await self.until(lambda: page in self._pages)
        self._page, self._states, self._reruns = self._pages[page], {}, {}
        await self.rerun()

    async def rerun(self, *triggered: WidgetState, fragment: str = "") -> None:
        """Let the script run, or a fragment of it."""
        message = BackMsg()
        message.rerun_script.page_script_hash = self._page
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = bool(fragment)
        message.rerun_script.widget_states.widgets.extend([*self._states.values(), *triggered])
        message.rerun_script.context_info.timezone = "UTC"
        await self._socket.send(message.SerializeToString())

    async def press(self, label: str) -> None:
        """Press a button."""
        button = await self.found(lambda it: it.button if it.button.label == label else None)
        await self.rerun(WidgetState(id=button.id, trigger_value=True))

    async def tell(self, component: str, name: str, value) -> None:
        """Say what a component of the page says to the script."""
        part = self.component(component)
        self._states[part.id] = WidgetState(id=part.id, json_value=json.dumps({name: value}))
        await self.rerun()

    def component(self, name: str):
        """Return a component that is on the page, or None."""
        parts = (it.bidi_component for it in self.shown() if it.HasField("bidi_component"))
        return next((it for it in parts if it.component_name.endswith(name)), None)

    async def upload(self, name: str, content: bytes) -> None:
        """Give a file to the first uploader of the page."""
        uploader = await self.found(lambda it: it.file_uploader if it.file_uploader.id else None)
        message = BackMsg()
        message.file_urls_request.request_id = name
        message.file_urls_request.session_id = self._session
        message.file_urls_request.file_names.append(name)
        await self._socket.send(message.SerializeToString())
        [urls] = await self._urls.get()
        await asyncio.to_thread(_put, self.url + urls.upload_url, self._headers, name, content)
        state = self._states.setdefault(uploader.id, WidgetState(id=uploader.id))
        file = UploadedFileInfo(file_id=urls.file_id, name=name, size=len(content), file_urls=urls)
        state.file_uploader_state_value.uploaded_file_info.append(file)
        await self.rerun()

    def shown(self) -> Iterable[Element]:
        """Return what is on the page now, from top to bottom."""
        return [element for _, (_, element) in sorted(self._elements.items(), key=itemgetter(0))]

    async def until(self, holds: Callable[[], object]):
        """Wait until something is so, and return it.

        Raises:
            ConnectionError: the connection has ended.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: holds() or self._over)
            if self._over:
                raise ConnectionError("the server has ended the session")
            return holds()

    async def found(self, pick: Callable[[Element], object]):
        """Wait for something on the page."""
        return await self.until(lambda: next(filter(None, map(pick, self.shown())), None))

    async def _listen(self) -> None:
        try:
            async for data in self._socket:
                async with self._changed:
                    self._take(ForwardMsg.FromString(data))
                    self._changed.notify_all()
        finally:
            self._over = True
            async with self._changed:
                self._changed.notify_all()

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            new = message.new_session
            self._session = new.initialize.session_id or self._session
            self._page = new.page_script_hash
            self._run += 1
            self.idle = False
        elif kind == "navigation":
            pages = message.navigation.app_pages
            self._pages = {it.url_pathname: it.page_script_hash for it in pages}
        elif kind == "delta":
            place = tuple(message.metadata.delta_path)
            if message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                self._elements[place] = (self._run, element)
                if element.HasField("exception"):
                    self.failures.append(element.exception.message)
        elif kind == "auto_rerun":
            self._reruns[message.auto_rerun.fragment_id] = (self._run, message.auto_rerun.interval)
        elif kind == "file_urls_response":
            self._urls.put_nowait(message.file_urls_response.file_urls)
        elif kind == "script_finished":
            self.idle = True
            if message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                # What a whole run has not shown again is there no more.
                self._elements = {at: it for at, it in self._elements.items() if it[0] == self._run}
                self._reruns = {at: it for at, it in self._reruns.items() if it[0] == self._run}

    async def _again(self) -> None:
        while True:
            await asyncio.sleep(min((seconds for _, seconds in self._reruns.values()), default=0.5))
            for fragment in list(self._reruns):
                await self.rerun(fragment=fragment)


def _token(url: str) -> str:
    with urllib.request.urlopen(f"{url}/_stcore/health") as answer:
        return answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]


def _put(url: str, headers: dict[str, str], name: str, content: bytes) -> None:
    edge = b"a-line-that-is-in-no-recording"
    head = f'Content-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'.encode()
    body = b"--" + edge + b"\r\n" + head + content + b"\r\n--" + edge + b"--\r\n"
    kind = {"Content-Type": f"multipart/form-data; boundary={edge.decode()}"}
    request = urllib.request.Request(url, body, headers | kind, method="PUT")
    urllib.request.urlopen(request).close()
