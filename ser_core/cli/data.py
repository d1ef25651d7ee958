"""Commands about corpora."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ser_core.cli.common import Json, print_json, progress_bars, show_progress
from ser_core.errors import UndertoneError
from ser_core.wording import counted, people

app = typer.Typer(help="Corpora on this machine.")


@app.command("list")
def data_list(as_json: Json = False) -> None:
    """List the corpora: those that can be had, and your own."""
    from ser_core import corpora
    from ser_core.corpora import ready_made

    spectrograms = ready_made.manifest()
    here = {name: _counted(name) for name in corpora.installed()}
    rows = [
        {
            "corpus": name,
            "title": corpus.TITLE,
            "licence": corpus.LICENCE,
            "home": corpus.HOME,
            **here.pop(name, {"recordings": 0}),
            "complete": corpus.CLIPS,
        }
        for name, corpus in corpora.CORPORA.items()
    ]
    rows += [{"corpus": name, **counted} for name, counted in here.items()]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        if "error" in row:
            print(f"{row['corpus']}: {row['error']}")
        elif "title" not in row:
            print(f"{row['corpus']}: {row['recordings']} recordings of your own")
        elif row["recordings"]:
            print(f"{row['corpus']}: {row['recordings']} of {row['complete']} recordings")
        else:
            print(f"{row['corpus']}: not here; {row['complete']} recordings, {row['licence']}")
    if spectrograms is not None:
        print(f"{ready_made.CORPUS}, as spectrograms without sound: {len(spectrograms)}")


def _counted(name: str) -> dict:
    """Return how many recordings lie in a corpus folder, or why that cannot be told."""
    from ser_core import corpora
    from ser_core.corpora.scanning import look

    try:
        return {"recordings": len(look(name, corpora.corpus_dir(name)).manifest)}
    except corpora.CorpusError as error:
        return {"recordings": 0, "error": str(error)}


@app.command("get")
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
        with progress_bars(in_bytes=True) as progress:
            task, totals = progress.add_task(name, visible=False), []

            def on_total(more: int) -> None:
                totals.append(more)
                show_progress(progress, task, total=sum(totals))

            found = install.get(
                name,
                accepts=accepts,
                channels=tuple(channel),
                on_total=on_total,
                on_bytes=lambda more: progress.advance(task, more),
            )
    _show_installed(name, found, corpora.corpus_dir(name), as_json)


@app.command("add")
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
    left_out = len(found.duplicates) + len(found.unknown) + len(found.bad)
    if as_json:
        print_json(
            {
                "corpus": name,
                "folder": folder,
                "recordings": count,
                "speakers": speakers,
                "left_out": left_out,
            }
        )
    else:
        check = f"python -m ser_core data check {name}"
        of_whom = f"{counted(count, 'recording')} of {people(found.manifest.speaker)}"
        without = f", {counted(left_out, 'file')} left out" if left_out else ""
        print(f"{folder}: {of_whom}{without}; now `{check}`")


@app.command("check")
def data_check(
    name: Annotated[str | None, typer.Argument(help="A corpus; all here if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Listen to every recording and list what is left out: damaged, contradictory, repeated."""
    from ser_core import corpora

    names = [name] if name else corpora.installed()
    if not names:
        raise UndertoneError(f"there is no corpus in {corpora.data_dir()}; see `data list`")
    scans, unchecked = {}, {}
    with progress_bars() as progress:
        for corpus in names:
            task = progress.add_task(corpus, visible=False)

            def on_clip(total: int, task: int = task) -> None:
                show_progress(progress, task, total=total, advance=1)

            try:
                scans[corpus] = corpora.check(corpus, on_clip=on_clip)
            except corpora.CorpusError as error:
                if name:
                    raise
                unchecked[corpus] = str(error)
    if as_json:
        print_json(
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
            + [{"corpus": corpus, "error": reason} for corpus, reason in unchecked.items()]
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
    for corpus, reason in unchecked.items():
        print(f"{corpus}: {reason}")


@app.command("manifest")
def data_manifest(
    name: Annotated[str, typer.Argument(help="A corpus.")], as_json: Json = False
) -> None:
    """Print a corpus's utterances, as CSV or JSON."""
    from ser_core import corpora

    frame = corpora.scan(name).manifest
    if as_json:
        print_json(frame.astype(object).where(frame.notna(), None).to_dict("records"))
    else:
        frame.to_csv(sys.stdout, index=False)
