"""A line of JSON a prediction, on stderr: for whoever runs Undertone, nothing about who spoke.

`UNDERTONE_LOG` says what is written: `off` (or nothing at all), `info` for each recording, `debug`
for each moment on the Live page, too.
"""

import functools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from ser_core.recognizer import Prediction

_LEVELS = {"off": logging.CRITICAL, "info": logging.INFO, "debug": logging.DEBUG}


@contextmanager
def prediction(
    source: str, *, level: int = logging.INFO
) -> Iterator[Callable[[Prediction], Prediction]]:
    """Write one line when a recording has been judged, or could not be.

    Only what is listed here is ever written: when, from where, by which model, how many seconds of
    sound, how many milliseconds it took, whether it abstained, and which kind of error ended it.

    Args:
        source: where the recording is from: `recorded`, `upload`, `sample`, `live`, `kept` (from
            the Live page), `again` (by another model), `cli`.
        level: of the standard library's logging.

    Yields:
        What to hand the prediction to; it gives it back.
    """
    started = time.perf_counter()
    line = dict.fromkeys(("model", "seconds", "abstained", "error")) | {"source": source}

    def heard(found: Prediction) -> Prediction:
        line.update(model=found.model, abstained=found.abstained)
        line["seconds"] = round(found.quality.duration, 2)
        return found

    try:
        yield heard
    except BaseException as error:  # what stops a script in Streamlit is none of `Exception`'s
        line["error"] = type(error).__name__
        raise
    finally:
        line["ms"] = round(1000 * (time.perf_counter() - started), 1)
        _logger().log(level, line)


@functools.cache
def _logger() -> logging.Logger:
    logger = logging.getLogger(__name__)
    logger.propagate = False  # or whoever listens to all logs would write it again, as a dict
    handler = logging.StreamHandler()
    handler.setFormatter(_AsJson())
    logger.handlers = [handler]
    wanted = os.environ.get("UNDERTONE_LOG", "").lower() or "off"
    if wanted not in _LEVELS:
        logging.getLogger("ser_core").warning(
            "UNDERTONE_LOG is '%s'; it means 'info' (choose off, info or debug)", wanted
        )
    logger.setLevel(_LEVELS.get(wanted, logging.INFO))
    return logger


class _AsJson(logging.Formatter):
    """Writes a record whose message is a dict."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return json.dumps({"time": moment, "level": record.levelname.lower()} | record.msg)
