"""The command line: `python -m ser_core …`.

Exit codes: 0 done, 2 the caller's mistake (one line on stderr), 1 ours. With `--json`, stdout holds
one JSON document and nothing else. Commands import what they need, so that `predict` starts fast.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ser_core.errors import UndertoneError

app = typer.Typer(
    help="Undertone hears the emotion in speech.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Corpora on this machine.")
models_app = typer.Typer(help="Models on this machine.")
app.add_typer(data_app, name="data")
app.add_typer(models_app, name="models")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Model = Annotated[str, typer.Option(help="A model's name or folder.")]
Settings = Annotated[
    list[str], typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe.")
]


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


def _print_json(value) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Recordings in any format.")],
    model: Model = "swift",
    timeline: Annotated[bool, typer.Option(help="Show each window.")] = False,
    voice: Annotated[
        Path | None, typer.Option(help="A voice profile of who speaks, kept by the app.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which emotion each recording carries."""
    from ser_core import audio, profile
    from ser_core.recognizer import Recognizer

    recognizer = Recognizer.from_name(model)
    if voice and not voice.is_file():
        raise UndertoneError(f"there is no file '{voice}'; give a voice profile")
    known = profile.from_json(voice.read_bytes(), recognizer.bundle) if voice else None
    documents, unreadable = [], 0
    for file in files:
        try:
            prediction = recognizer.predict(audio.read(file))
            if known:
                prediction = recognizer.with_voice(prediction, known)
        except audio.AudioError as error:
            unreadable += 1
            print(f"error: {file}: {error}", file=sys.stderr)
            continue
        if as_json:
            documents.append({"file": str(file)} | prediction.as_dict())
        else:
            _show(file, prediction, timeline)
    if as_json:
        _print_json(documents)
    if unreadable:
        raise typer.Exit(2)


def _show(file: Path, prediction, timeline: bool) -> None:
    best = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    if prediction.abstained:
        print(f"{file}: can't tell. {prediction.reason}")
    else:
        print(f"{file}: {prediction.label} ({prediction.confidence:.0%})")
    if prediction.label:
        print("  " + ", ".join(f"{name} {p:.0%}" for name, p in best[:4]))
    for issue in prediction.quality.issues:
        if issue.text != prediction.reason:
            print(f"  note: {issue.text}")
    if timeline:
        for window in prediction.windows:
            label = max(window.probabilities, key=window.probabilities.get)
            span = f"{_clock(window.start)}–{_clock(window.end)}"
            print(f"  {span}  {label} {window.probabilities[label]:.0%}")


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or path.")],
    run_dir: Annotated[Path | None, typer.Option(help="Where; runs/RECIPE if not given.")] = None,
    settings: Settings = [],  # noqa: B006 - Typer's own way to say "none"
    evaluation: Annotated[
        list[Path], typer.Option(help="Output of `crossval --json`, for the model card.")
    ] = [],  # noqa: B006
    heldout: Annotated[
        list[Path], typer.Option(help="File of `crossval --heldout`, to be kept with the model.")
    ] = [],  # noqa: B006
) -> None:
    """Train a model for use, on all speakers but those that decide when to stop."""
    from ser_core import crossval as protocols
    from ser_core import dataset
    from ser_core import heldout as heldouts
    from ser_core import recipe as recipes
    from ser_core.recognizer import runs_dir

    loaded = recipes.load(recipe, settings)
    rows = tuple(row for path in evaluation for row in protocols.read_evaluations(path, loaded))
    tables = [heldouts.read(path, recipe=loaded.digest) for path in heldout]
    folder = run_dir or runs_dir() / loaded.name
    with _progress() as progress:
        clips, epochs = (progress.add_task(name, visible=False) for name in ("features", ""))

        def on_epoch(event: dict) -> None:
            text = f"training (validation UAR {event['val_uar']:.1%})"
            done = {"completed": event["epoch"], "total": event["epochs"]}
            _show_progress(progress, epochs, description=text, **done)

        data = dataset.load(
            loaded, on_clip=lambda total: _show_progress(progress, clips, total=total, advance=1)
        )
        from ser_core import training  # not before the data is known to be good: it takes seconds

        card = training.train(
            loaded,
            data,
            folder,
            evaluations=rows,
            heldout_tables=tables,
            on_epoch=on_epoch,
        )
    print(
        f"{folder / 'model'}: weights of epoch {card.training.epochs}; "
        f"use them with --model {folder / 'model'}"
    )


@app.command()
def crossval(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or path.")],
    protocol: Annotated[str, typer.Option(help="How speakers are divided.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of the whole protocol.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Folds trained at once.")] = os.cpu_count() or 1,
    voices: Annotated[
        list[int],
        typer.Option(
            "--voice", metavar="K", min=1, help="Measure also after K clips of each test speaker."
        ),
    ] = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
    heldout: Annotated[
        Path | None, typer.Option(help="Write what was heard in each recording here (Parquet).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a recipe by a protocol: every fold under every seed; goes on where it stopped."""
    from ser_core import crossval as protocols
    from ser_core import dataset, splits
    from ser_core import heldout as heldouts
    from ser_core import recipe as recipes
    from ser_core.recognizer import runs_dir

    splits.fold_count(protocol)
    loaded = recipes.load(recipe, settings)
    folder = runs_dir() / "crossval" / f"{loaded.name}-{loaded.digest}" / protocol
    with _progress() as progress:
        clips, folds = (progress.add_task(name, visible=False) for name in ("features", "folds"))
        # Once here, with every core, so that the folds find the cache filled.
        data = dataset.load(
            loaded, on_clip=lambda total: _show_progress(progress, clips, total=total, advance=1)
        )

        def on_fold(result: protocols.FoldResult, total: int) -> None:
            _show_progress(progress, folds, total=total, advance=1)
            progress.console.print(
                f"seed {result.seed} fold {result.fold}: UAR {result.uar:.1%}, accuracy "
                f"{result.accuracy:.1%}, epoch {result.epoch}, {result.seconds:.0f} s"
            )

        results = protocols.crossval(
            loaded, protocol, folder, seeds=seeds, jobs=jobs, on_fold=on_fold
        )
    if heldout:
        table = protocols.heldout_table(loaded, protocol, data.manifest, results)
        heldouts.write([table], heldout)
    command = protocols.command(recipe, protocol, seeds, voices=voices, settings=settings)
    rows = [protocols.summarise(loaded, protocol, results, command)]
    for clips in voices:
        known = protocols.with_voice(loaded, results, folder, clips=clips)
        rows.append(protocols.summarise(loaded, f"{protocol}+voice({clips})", known, command))
    if as_json:
        _print_json(protocols.document(loaded, rows, results))
        return
    for row in rows:
        print(
            f"{loaded.name}, {row.protocol}, {row.seeds} seeds: UAR {row.uar:.1%} ± "
            f"{row.uar_sd:.1%}, accuracy {row.accuracy:.1%} ± {row.accuracy_sd:.1%}, macro F1 "
            f"{row.macro_f1:.1%}, ECE {row.ece:.1%}; {row.coverage:.0%} answered, of which "
            f"{row.selective_accuracy:.1%} right"
        )
    print(f"every fold in {folder}")


@app.command()
def evaluate(
    model: Model = "swift",
    corpus: Annotated[str | None, typer.Option(help="A corpus by name.")] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="A CSV with path, emotion and, if known, speaker.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score a model on a corpus or on recordings of your own."""
    from ser_core import scoring
    from ser_core.corpora import own
    from ser_core.recognizer import Recognizer

    if (corpus is None) == (manifest is None):
        raise UndertoneError("name either --corpus or --manifest")
    frame = own.read_table(manifest) if manifest else scoring.corpus_manifest(corpus)
    recognizer = Recognizer.from_name(model)
    with _progress() as progress:
        task = progress.add_task("recordings", total=len(frame))
        result = scoring.score(recognizer, frame, on_clip=lambda: progress.advance(task))
    if as_json:
        _print_json(result.as_dict())
        return
    report = result.report
    print(
        f"{result.model}, {result.protocol}: UAR {report.uar:.1%}, accuracy {report.accuracy:.1%}, "
        f"macro F1 {report.macro_f1:.1%}, ECE {report.ece:.1%} on {report.n} recordings, "
        f"{result.answered:.0%} answered"
    )
    for label, row in report.per_class.items():
        print(f"  {label:<10} recall {row.recall:6.1%}  precision {row.precision:6.1%}")
    for path, reason in result.skipped.items():
        print(f"  left out: {path}: {reason}")


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the corpora: those that can be had, and your own."""
    from ser_core import corpora
    from ser_core.corpora import ready_made

    spectrograms = ready_made.manifest()
    here = {name: len(corpora.scan(name).manifest) for name in corpora.installed()}
    rows = [
        {
            "corpus": name,
            "title": corpus.TITLE,
            "licence": corpus.LICENCE,
            "home": corpus.HOME,
            "recordings": here.pop(name, 0),
            "complete": corpus.CLIPS,
        }
        for name, corpus in corpora.CORPORA.items()
    ]
    rows += [{"corpus": name, "recordings": count} for name, count in here.items()]
    if as_json:
        _print_json(rows)
        return
    for row in rows:
        if "title" not in row:
            print(f"{row['corpus']}: {row['recordings']} recordings of your own")
        elif row["recordings"]:
            print(f"{row['corpus']}: {row['recordings']} of {row['complete']} recordings")
        else:
            print(f"{row['corpus']}: not here; {row['complete']} recordings, {row['licence']}")
    if spectrograms is not None:
        print(f"{ready_made.CORPUS}, as spectrograms without sound: {len(spectrograms)}")


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(help="A corpus.")],
    channel: Annotated[list[str], typer.Option(help="Only this: speech or song.")] = [],  # noqa: B006
    kaggle: Annotated[bool, typer.Option(help="Its copy on Kaggle, with kagglehub.")] = False,
    accept_licence: Annotated[bool, typer.Option(help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Download a corpus; goes on where it stopped, and does nothing if all is there."""
    from ser_core import corpora
    from ser_core.corpora import install

    def accepts(corpus: corpora.Corpus) -> bool:
        about = f"{corpus.TITLE} ({corpus.CITATION}; {corpus.HOME})"
        print(f"{about} is under this licence: {corpus.LICENCE}.", file=sys.stderr)
        if accept_licence or not sys.stdin.isatty():
            return accept_licence
        return typer.confirm("Do you accept it?", err=True)

    if kaggle:
        found = install.from_kaggle(name, accepts=accepts)
    else:
        with _progress(in_bytes=True) as progress:
            task, totals = progress.add_task(name, visible=False), []

            def on_total(more: int) -> None:
                totals.append(more)
                _show_progress(progress, task, total=sum(totals))

            found = install.get(
                name,
                accepts=accepts,
                channels=tuple(channel),
                on_total=on_total,
                on_bytes=lambda more: progress.advance(task, more),
            )
    _show_installed(name, found, corpora.corpus_dir(name), as_json)


@data_app.command("add")
def data_add(
    name: Annotated[str, typer.Argument(help="A corpus, or a new name for your own.")],
    source: Annotated[Path, typer.Argument(help="A folder, a ZIP archive, or a table.")],
    as_json: Json = False,
) -> None:
    """Take a corpus from where it lies: a published one, or your own.

    Your own is a folder for each emotion, or a CSV or Parquet table with the columns path, emotion
    and, if known, speaker, sex, language.
    """
    from ser_core import corpora
    from ser_core.corpora import install

    found = install.add(name, source)
    _show_installed(name, found, corpora.corpus_dir(name), as_json)


def _show_installed(name: str, found, folder: Path, as_json: bool) -> None:
    count, speakers = len(found.manifest), len(set(found.manifest.speaker) - {""})
    if as_json:
        _print_json({"corpus": name, "folder": folder, "recordings": count, "speakers": speakers})
    else:
        check = f"python -m ser_core data check {name}"
        print(f"{folder}: {count} recordings of {speakers or 'unnamed'} speakers; now `{check}`")


@data_app.command("check")
def data_check(
    name: Annotated[str | None, typer.Argument(help="A corpus; all here if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Listen to every recording and list what is left out: damaged, contradictory, repeated."""
    from ser_core import corpora

    names = [name] if name else corpora.installed()
    if not names:
        raise UndertoneError(f"there is no corpus in {corpora.data_dir()}; see `data list`")
    scans = {}
    with _progress() as progress:
        for corpus in names:
            task = progress.add_task(corpus, visible=False)

            def on_clip(total: int, task: int = task) -> None:
                _show_progress(progress, task, total=total, advance=1)

            scans[corpus] = corpora.check(corpus, on_clip=on_clip)
    if as_json:
        _print_json(
            [
                {
                    "corpus": corpus,
                    "utterances": len(found.manifest),
                    "speakers": len(set(found.manifest.speaker) - {""}),
                    "duplicates": found.duplicates,
                    "unknown": found.unknown,
                    "bad": {str(path): reason for path, reason in found.bad.items()},
                    "repeated": {str(path): reason for path, reason in found.repeated.items()},
                }
                for corpus, found in scans.items()
            ]
        )
        return
    for corpus, found in scans.items():
        frame = found.manifest
        speakers = len(set(frame.speaker) - {""}) or "unnamed"
        print(f"{corpus}: {len(frame)} utterances of {speakers} speakers")
        for channel, part in frame.groupby("channel"):
            counts = part.emotion.value_counts()
            print(f"  {channel}: {len(part)}: " + ", ".join(f"{e} {n}" for e, n in counts.items()))
        for path in found.duplicates:
            print(f"  copy, left out: {path}")
        for path in found.unknown:
            print(f"  not of this corpus, left out: {path}")
        for path, reason in found.bad.items():
            print(f"  left out: {path}: {reason}")
        for path, reason in found.repeated.items():
            print(f"  kept, as published: {path}: {reason}")


@data_app.command("manifest")
def data_manifest(
    name: Annotated[str, typer.Argument(help="A corpus.")], as_json: Json = False
) -> None:
    """Print a corpus's utterances, as CSV or JSON."""
    from ser_core import corpora

    frame = corpora.scan(name).manifest
    if as_json:
        _print_json(frame.astype(object).where(frame.notna(), None).to_dict("records"))
    else:
        frame.to_csv(sys.stdout, index=False)


@models_app.command("list")
def models_list(as_json: Json = False) -> None:
    """List the models."""
    from ser_core import bundle, recognizer

    cards = {name: bundle.read_card(path) for name, path in recognizer.model_folders().items()}
    if as_json:
        _print_json([{"model": name} | asdict(card) for name, card in cards.items()])
        return
    for name, card in cards.items():
        print(f"{name}: {card.description} {card.parameters:,} parameters")


@models_app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="A model.")], as_json: Json = False
) -> None:
    """Print a model's card."""
    from ser_core import bundle, card, recognizer

    found = bundle.read_card(recognizer.find_model(name))
    if as_json:
        _print_json(asdict(found))
    else:
        print(card.model_card(found))


@models_app.command("verify")
def models_verify(
    name: Annotated[str, typer.Argument(help="A model.")], as_json: Json = False
) -> None:
    """Check a model's files against its card, and load it."""
    from ser_core import bundle, recognizer

    folder = recognizer.find_model(name)
    bundle.load(folder)
    if as_json:
        _print_json({"model": name, "folder": folder, "verified": True})
        return
    print(f"{folder}: every file is what its card describes, and the model loads")


def _progress(*, in_bytes: bool = False):
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn() if in_bytes else MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        # Gone when it is done, and not there for a file: an error is the one line that stays.
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _show_progress(progress, task: int, **values) -> None:
    """Update a bar, which is not shown before it has something to show."""
    progress.update(task, visible=True, **values)
