"""The command line: `python -m ser_core …`.

Exit codes: 0 done, 2 the caller's mistake (one line on stderr), 1 ours. With `--json`, stdout holds
one JSON document and nothing else. Commands import what they need, so that `predict` starts fast.
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


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    # Before anything loads TensorFlow, whose messages concern its makers.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        words = sys.argv[1:] if arguments is None else arguments
        return app(words or ["--help"], standalone_mode=False) or 0
    except (typer.Abort, KeyboardInterrupt):
        return _refuse("stopped")
    except typer.TyperException as error:
        return _refuse(error.format_message())
    except UndertoneError as error:
        return _refuse(str(error))


def _refuse(message: str) -> int:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    return 2
