"""A folder of Parquet files that is written part by part, each whole or not at all.

Beside the parts lies `_plan.json`: what the folder is the result of. Readers of Parquet folders
skip names that begin with an underscore or a dot.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from uuid import uuid4

from ser_core.errors import UndertoneError
from ser_core.recognizer import Prediction
from ser_core.recordings import place, reason

SIZE = 256  # recordings a part

_PLAN = "_plan.json"
_PART = re.compile(r"part-(\d{6,})\.parquet")
_ASIDE = re.compile(r"\.(part-\d{6,}\.parquet|_plan\.json)-[0-9a-f]{32}")


class OutputError(UndertoneError):
    """The folder cannot be begun, gone on with or written; the message says why."""


@dataclass(frozen=True)
class Plan:
    """What a folder of parts is the result of; equal plans have equal results.

    Attributes:
        recordings: how many.
        listed: sha256 of their names in order.
        model: its name, or its folder.
        card: sha256 of the model's card, which has those of the model's files.
        size: recordings a part.
    """

    recordings: int
    listed: str
    model: str
    card: str
    size: int = SIZE

    @property
    def parts(self) -> int:
        """How many parts there will be."""
        return -(-self.recordings // self.size)


def check_new(output: str) -> None:
    """Make sure that there is nothing yet.

    Args:
        output: the folder; a path or a URL.

    Raises:
        OutputError: there is something.
    """
    with _said(output, _MEND):
        fs, folder = place(output)
        there = fs.exists(folder)
    if there:
        raise OutputError(
            f"{output} exists; --resume goes on with it, if it is of the same recordings and model"
        )


def done(output: str, plan: Plan) -> set[int]:
    """Return the numbers of the parts that are there.

    Args:
        output: the folder, which need not be there.
        plan: of what is to be written.

    Raises:
        OutputError: the folder is of another plan, or of something else.
    """
    with _said(output):
        fs, folder = place(output)
        names = _names(fs, folder) if fs.exists(folder) else set()
    # A process may have been killed before it had written the plan.
    if any(not _ASIDE.fullmatch(name) for name in names):
        _compare(output, _read_plan(output), plan)
    return {int(found[1]) for found in map(_PART.fullmatch, names) if found}


def with_errors(output: str, numbers: Iterable[int]) -> set[int]:
    """Return which of some parts have a recording that could not be used, or cannot be read.

    Raises:
        OutputError: the folder is out of reach.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = set()
    with _said(output):
        fs, folder = place(output)
        for number in numbers:
            with fs.open(f"{folder}/{_name(number)}", "rb") as file:
                try:
                    errors = pq.read_table(file, columns=["error"])["error"]
                except pa.ArrowException:
                    found.add(number)
                    continue
            if errors.null_count < len(errors):
                found.add(number)
    return found


def begin(output: str, plan: Plan) -> None:
    """Write the plan into a folder, which is made if need be.

    Raises:
        OutputError: it cannot be written.
    """
    with _said(output, _MEND):
        fs, folder = place(output)
        fs.makedirs(folder, exist_ok=True)
        _write(fs, folder, _PLAN, json.dumps(asdict(plan), indent=2).encode())


def write(
    output: str, number: int, rows: Sequence[dict], plan: Plan, labels: Sequence[str]
) -> None:
    """Write a part; a second time, the same again.

    Args:
        output: the folder.
        number: of the part, from 0.
        rows: from `row` and `failure`.
        plan: what the folder is the result of.
        labels: of the model.

    Raises:
        OutputError: it cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(labels).with_metadata({"model": plan.model, "card": plan.card})
    stream = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), stream, compression="zstd")
    with _said(output):
        fs, folder = place(output)
        _write(fs, folder, _name(number), stream.getvalue())


def tidy(output: str) -> None:
    """Remove what processes that were killed have left of parts they were writing."""
    with _said(output):
        fs, folder = place(output)
        for name in filter(_ASIDE.fullmatch, _names(fs, folder)):
            fs.rm_file(f"{folder}/{name}")


def row(name: str, prediction: Prediction) -> dict:
    """Return a part's row of a recording: what `predict --json` shows, but for the time taken."""
    shown = prediction.as_dict()
    del shown["model"], shown["seconds"]
    return {"file": _text(name), "error": None} | shown


def failure(name: str, error: str) -> dict:
    """Return a part's row of a recording that could not be used: all but the error is null."""
    return {"file": _text(name), "error": _text(error)}


def _name(number: int) -> str:
    return f"part-{number:06}.parquet"


def _schema(labels: Sequence[str]):
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    probabilities = pa.struct([(label, number) for label in labels])
    issue = pa.struct([("code", text), ("severity", text), ("text", text)])
    figures = ("speech_seconds", "peak", "clipped_fraction", "snr_db")
    window = pa.struct([("start", number), ("end", number), ("probabilities", probabilities)])
    return pa.schema(
        [
            ("file", text),
            ("error", text),
            ("label", text),
            ("confidence", number),
            ("abstained", pa.bool_()),
            ("reason", text),
            ("probabilities", probabilities),
            ("duration", number),
            ("quality", pa.struct([(n, number) for n in figures] + [("issues", pa.list_(issue))])),
            ("windows", pa.list_(window)),
        ]
    )


def _text(name: str) -> str:
    """Return a name as Parquet can hold it: file systems allow for what is no UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode()


def _read_plan(output: str) -> Plan:
    try:
        fs, folder = place(output)
        return Plan(**json.loads(fs.cat_file(f"{folder}/{_PLAN}")))
    except FileNotFoundError:
        raise OutputError(f"{output} is no result of `batch`; name another --output") from None
    except (ValueError, TypeError):
        raise OutputError(f"{output}/{_PLAN} is damaged; name another --output") from None


def _compare(output: str, before: Plan, now: Plan) -> None:
    if before.listed != now.listed:
        raise OutputError(
            f"{output} was begun with other recordings ({before.recordings} then, "
            f"{now.recordings} now); give the same, or another --output"
        )
    if before.card != now.card:
        raise OutputError(
            f"{output} was begun with another model ({before.model}, as it was then); give the "
            "same, or another --output"
        )
    if before.size != now.size:
        raise OutputError(f"{output} is of another version of Undertone; name another --output")


def _names(fs, folder: str) -> set[str]:
    """Return the names of what is in a folder."""
    fs.invalidate_cache(folder)
    paths = fs.ls(folder, detail=False)
    return {path.rstrip("/").rpartition("/")[2] for path in paths if path != folder}


def _write(fs, folder: str, name: str, content: bytes) -> None:
    """Write a file under a hidden name, then rename it.

    In an object store, renaming is copying and deleting. The copy, too, is there whole or not at
    all; what may be left over after a fault is the hidden one.
    """
    aside = f"{folder}/.{name}-{uuid4().hex}"
    try:
        with fs.open(aside, "wb") as file:
            file.write(content)
            if "file" in fs.protocol:
                # Else a power cut might leave an empty file of the right name.
                file.flush()
                os.fsync(file.fileno())
        fs.mv(aside, f"{folder}/{name}")
    except BaseException:
        with suppress(Exception):
            fs.rm_file(aside)
        raise


_MEND = "mend that, or name another --output"  # where there need not be anything that could stay


@contextmanager
def _said(
    output: str, then: str = "what is done stays, and --resume goes on with it"
) -> Iterator[None]:
    """Turn what any driver raises into one sentence, which ends with what is then to be done."""
    try:
        yield
    except UndertoneError:
        raise
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own
        raise OutputError(f"{output} cannot be written ({reason(error)}); {then}") from None
