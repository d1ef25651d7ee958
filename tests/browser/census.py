"""Streamlit, in a process that tells what lives in it: a GET to `CENSUS_PORT` answers in JSON."""

import asyncio
import gc
import json
import os
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, HTTPServer

from streamlit.runtime import Runtime
from streamlit.web.cli import main

from ser_core.history import Entry
from ser_core.live import Buffer

# Pools that Streamlit and asyncio keep for whatever comes next, and one thread a running script.
_POOLS = ("asyncio_", "AnyIO", "ScriptRunner", "ThreadPoolExecutor")


class Census(BaseHTTPRequestHandler):
    """Counts threads and tasks by name, the samples that buffers hold, and what visitors gave."""

    def do_GET(self) -> None:  # noqa: N802
        """Answer."""
        gc.collect()
        loop = Runtime.instance()._get_async_objs().eventloop
        threads = Counter(thread.name for thread in threading.enumerate())
        tasks = Counter(task.get_coro().__qualname__ for task in asyncio.all_tasks(loop))
        counted = {
            "threads": {name: n for name, n in threads.items() if not name.startswith(_POOLS)},
            "tasks": {name: n for name, n in tasks.items() if "RTC" in name or "_run" in name},
            "samples": sum(len(it.read()[0]) for it in gc.get_objects() if type(it) is Buffer),
            "given": {
                "uploads": len(Runtime.instance()._uploaded_file_mgr.file_storage),
                "answers": sum(type(it) is Entry for it in gc.get_objects()),
                "sounds": len(Runtime.instance().media_file_mgr._storage._files_by_id),
            },
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(counted).encode())

    def log_message(self, *arguments) -> None:
        """Keep quiet."""


if __name__ == "__main__":
    port = int(os.environ["CENSUS_PORT"])
    server = HTTPServer(("127.0.0.1", port), Census)
    threading.Thread(target=server.serve_forever, name="census", daemon=True).start()
    main()
