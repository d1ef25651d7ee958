"""The command line: `python -m ser_core …`.

Exit codes: 0 done, 2 the caller's mistake (one line on stderr), 130 Ctrl-C (likewise), 1 ours. With
`--json`, stdout holds one JSON document and nothing else. Commands import what they need, so that
`predict` starts fast.
"""

import os
import sys

import typer

from ser_core.cli import data, listening, models, training
from ser_core.errors import UndertoneError

app = typer.Typer(
    help="Undertone hears the emotion in speech.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (
    listening.predict,
    listening.batch,
    training.train,
    training.crossval,
    listening.evaluate,
):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")

_INTERRUPTED = 130  # Typer's for Ctrl-C, and every shell's
_GOES_ON = {
    "batch": "; what is done stays, and --resume goes on with it",
    "crossval": "; folds that are done stay, and the same command goes on with the others",
    "train": "; epochs that are done stay, and --resume goes on with the next",
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    # Before anything loads TensorFlow, whose messages concern its makers.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(words, standalone_mode=False) or 0
    except (typer.Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    except typer.TyperException as error:
        return _refuse(error.format_message())
    except UndertoneError as error:
        return _refuse(str(error))
    except OSError as error:  # a full disk, a file that may not be read
        what = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{what}{error.strerror or error}{_GOES_ON.get(words[0], '')}")
    if code == _INTERRUPTED:
        _refuse(f"stopped{_GOES_ON.get(words[0], '')}")
    return code


def _refuse(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2
