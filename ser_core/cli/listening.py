"""Commands that hear recordings: predict, batch, evaluate."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ser_core.cli.common import (
    Fold,
    Json,
    Model,
    ModelInUse,
    fold_of,
    print_json,
    progress_bars,
    recognizer_of,
    show_progress,
    show_robustness,
)
from ser_core.errors import UndertoneError

if TYPE_CHECKING:  # only to be named
    from ser_core.audio import Clip
    from ser_core.recognizer import Prediction, Recognizer

_LONG = 60.0  # seconds of sound, above which somebody who waits is shown how far it is


def predict(
    files: Annotated[list[Path], typer.Argument(help="Recordings in any format.")],
    model: ModelInUse = None,
    timeline: Annotated[bool, typer.Option(help="Show each window.")] = False,
    voice: Annotated[
        Path | None, typer.Option(help="A voice profile of who speaks, kept by the app.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which emotion each recording carries."""
    from ser_core import audio, log, profile

    recognizer = recognizer_of(model)
    if voice and not voice.is_file():
        wrong = f"'{voice}' is not a file" if voice.exists() else f"there is no file '{voice}'"
        raise UndertoneError(f"{wrong}; give a voice profile")
    try:
        known = profile.from_json(voice.read_bytes(), recognizer.bundle) if voice else None
    except OSError as error:
        raise UndertoneError(
            f"'{voice}' cannot be read ({error.strerror}); try another copy"
        ) from None
    documents, unreadable = [], 0
    for file in files:
        try:
            with log.prediction("cli") as heard:
                prediction = heard(_heard(recognizer, audio.read(file)))
            if known:
                prediction = recognizer.with_voice(prediction, known)
        except audio.AudioError as error:
            unreadable += 1
            named = f"'{file}'" in str(error)
            print(f"error: {error}" if named else f"error: {file}: {error}", file=sys.stderr)
            continue
        if as_json:
            documents.append({"file": str(file)} | prediction.as_dict())
        else:
            _show(file, prediction, timeline)
    if as_json:
        print_json(documents)
    if unreadable:
        raise typer.Exit(2)


def _heard(recognizer: "Recognizer", clip: "Clip") -> "Prediction":
    """Predict one clip; a long one with a bar."""
    if clip.duration < _LONG:
        return recognizer.predict(clip)
    with progress_bars() as progress:
        task = progress.add_task("per cent heard", total=100)

        def tell(done: float) -> None:
            progress.update(task, completed=round(100 * done))

        return recognizer.predict(clip, on_batch=tell)


def _show(file: Path, prediction, timeline: bool) -> None:
    from ser_core.wording import percent

    best = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    heard = f"{file}, heard by {prediction.model}"
    if prediction.abstained:
        print(f"{heard}: can't tell. {prediction.reason}")
    else:
        print(f"{heard}: {prediction.label} ({percent(prediction.confidence)})")
    if prediction.has_guess:
        print("  " + ", ".join(f"{name} {percent(p)}" for name, p in best[:4]))
    for issue in prediction.quality.issues:
        if issue.text != prediction.reason:
            print(f"  note: {issue.text}")
    if timeline and prediction.has_guess:
        for window in prediction.windows:
            label = max(window.probabilities, key=window.probabilities.get)
            span = f"{_clock(window.start)}–{_clock(window.end)}"
            print(f"  {span}  {label} {percent(window.probabilities[label])}")


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def batch(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A folder, a glob, a CSV with the column path, or a URL."
        ),
    ],
    output: Annotated[str, typer.Option(help="A new folder, for Parquet files.")],
    model: Model = "swift",
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask cluster's; all cores here if not given."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was cut off.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="So, and hear again what could not be used.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Hear an archive of any size on all cores, or on a cluster, into a folder of Parquet files."""
    from ser_core import batch as archives

    with progress_bars() as progress:
        task = progress.add_task("recordings", visible=False)
        heard = archives.hear(
            source,
            output,
            model=model,
            scheduler=scheduler,
            resume=resume,
            retry=retry,
            on_progress=lambda done, total: _tell_progress(progress, task, done, total),
        )
    if as_json:
        print_json({"output": output, "model": model} | asdict(heard))
        return
    before = f", {heard.resumed} of them before" if heard.resumed else ""
    found, files = _counted(heard.recordings, "recording"), _counted(heard.parts, "file")
    print(f"{output}: {found}{before}, in {files}")
    if heard.unusable:
        print(
            f"  {heard.unusable} could not be used; the column error says why, and --retry hears "
            "them again"
        )
    if heard.others:
        one = "file with another ending was left out; a glob can name it"
        several = "files with other endings were left out; a glob can name them"
        print(f"  {heard.others} {one if heard.others == 1 else several}")


def _counted(count: int, word: str) -> str:
    """Return a number of things, without the commas that a program would stumble over."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _tell_progress(progress, task: int, done: int, total: int) -> None:
    """Show how far it is, and how long it will take: a bar, or a line now and then in a log."""
    from ser_core.wording import duration

    before = progress.tasks[task].completed
    show_progress(progress, task, completed=done, total=total)
    if progress.disable and done * 10 // total > before * 10 // total:
        seconds = progress.tasks[task].time_remaining
        left = f", about {duration(seconds)} left" if seconds else ""
        print(f"recordings: {done} of {total}{left}", file=sys.stderr, flush=True)


def evaluate(
    model: ModelInUse = None,
    corpus: Annotated[str | None, typer.Option(help="A corpus by name.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="A CSV with path, emotion and, if known, speaker.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Score only whom this protocol tests, of a corpus.")
    ] = None,
    fold: Fold = None,
    voices: Annotated[
        list[int] | None,
        typer.Option(
            "--voice",
            metavar="K",
            help="Score also with each voice known from K others, 3 to 16.",
        ),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Score changed recordings, too: noise, codecs, …")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score a model on a corpus or on recordings of your own."""
    from ser_core import robustness as robust
    from ser_core import scoring
    from ser_core.corpora import own

    if (corpus is None) == (manifest is None):
        raise UndertoneError("name either --corpus or --manifest")
    if protocol and manifest:
        raise UndertoneError("a --protocol is for a --corpus, whose speakers it knows")
    fold = fold_of(protocol, fold)
    if manifest:
        frame = own.read_table(manifest)
    elif protocol:
        frame = scoring.tested(corpus, protocol, fold)
    else:
        frame = scoring.corpus_manifest(corpus)
    recognizer = recognizer_of(model)
    with progress_bars() as progress:
        task = progress.add_task("recordings", total=len(frame))
        result, *known = scoring.score(
            recognizer, frame, voices=voices or (), on_clip=lambda: progress.advance(task)
        )
        rows = []
        if robustness:
            task = progress.add_task("changed recordings", total=len(frame))
            _, rows = robust.measure(recognizer, frame, on_clip=lambda: progress.advance(task))
    if as_json:
        more = {
            "voices": [score.as_dict() for score in known],
            "robustness": [asdict(row) for row in rows],
        }
        print_json(result.as_dict() | more)
        return
    for score in (result, *known):
        _show_score(score)
    for label, row in result.report.per_class.items():
        print(f"  {label:<10} recall {row.recall:6.1%}  precision {row.precision:6.1%}")
    for path, reason in result.skipped.items():
        print(f"  left out: {path}: {reason}")
    show_robustness(rows)


def _show_score(score) -> None:
    report, recordings = score.report, _counted(score.report.n, "recording")
    print(
        f"{score.model}, {score.protocol}: UAR {report.uar:.1%}, accuracy {report.accuracy:.1%}, "
        f"macro F1 {report.macro_f1:.1%}, ECE {report.ece:.1%} on {recordings}, "
        f"{score.answered:.0%} answered"
        + (f", {score.selective_accuracy:.1%} of those right" if score.answered else "")
    )
