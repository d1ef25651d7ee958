"""From the names in a corpus's folder to a manifest."""

import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd

from ser_core import emotions
from ser_core.corpora import archive, own
from ser_core.corpora.catalogue import CORPORA, Corpus, corpus_dir
from ser_core.corpora.errors import CorpusError
from ser_core.corpora.utterance import Utterance
from ser_core.errors import UndertoneError

SUFFIXES = {".wav", ".flac"}
_COLUMNS = [field.name for field in fields(Utterance)]


@dataclass(frozen=True)
class Scan:
    """What lies in a corpus folder.

    Attributes:
        manifest: one row an utterance, columns as in `Utterance`, sorted by `id`.
        duplicates: files left out because the same utterance lies elsewhere in the folder.
        unknown: audio files whose names the corpus module cannot read.
        bad: files left out for what is wrong with them, and what that is.
        repeated: recordings of a published corpus that stay though they repeat another one.
    """

    manifest: pd.DataFrame
    duplicates: list[Path]
    unknown: list[Path]
    bad: dict[Path, str]
    repeated: dict[Path, str] = field(default_factory=dict)


def scan(name: str, root: Path | None = None) -> Scan:
    """Find every utterance of a corpus by name, each once, at any folder depth.

    Corpora are commonly unpacked with a second copy of the tree inside; of several files with the
    same utterance the one nearest the top counts, and a `.flac` before a `.wav`. A file whose
    folder says something else than its name (`Actor_03`, `OAF_angry`, `sad`) is left out. An
    archive of the corpus that has not been unpacked yet is unpacked beside itself.

    Args:
        name: a key of `CORPORA`, or the name of a folder of one's own.
        root: the corpus folder; `data_dir() / name` if not given.

    Raises:
        CorpusError: the corpus is unknown, or there is no folder or no utterance of it.
    """
    root = corpus_dir(name) if root is None else Path(root)
    if not root.is_dir():
        can_be_fetched = name in CORPORA and CORPORA[name].SOURCES
        order = f"get {name}" if can_be_fetched else f"add {name} FOLDER"
        raise CorpusError(
            f"there is no folder {root} for the corpus '{name}'; bring it here with "
            f"`python -m ser_core data {order}`, unpack it there, or set SER_DATA_DIR"
        )
    found = look(name, root)
    if name in CORPORA and _unpack_waiting(CORPORA[name], root, set(found.manifest.id)):
        found = look(name, root)
    if found.manifest.empty:
        raise CorpusError(
            f"no recording of the corpus '{name}' was found in {root}; unpack it there"
        )
    return found


def manifest_of(utterances: Iterable[Utterance]) -> pd.DataFrame:
    """Return a manifest, one row an utterance, sorted by `id`."""
    frame = pd.DataFrame(map(vars, utterances), columns=_COLUMNS)
    frame["age"] = frame.age.astype("Int64")  # or one unknown age would turn all into floats
    return frame.sort_values("id", ignore_index=True)


def look(name: str, root: Path) -> Scan:
    """Do what `scan` does, but unpack nothing and let there be nothing."""
    utterances: dict[str, Utterance] = {}
    duplicates, unknown, bad = [], [], {}
    for found in _utterances(name, root):
        if isinstance(found, Path):
            unknown.append(found)
        elif (reason := _contradiction(name, root, found)) is not None:
            bad[found.path] = reason
        elif found.id in utterances:
            duplicates.append(found.path)
        else:
            utterances[found.id] = found
    return Scan(manifest_of(utterances.values()), duplicates, unknown, bad)


def _utterances(name: str, root: Path) -> Iterator[Utterance | Path]:
    if name not in CORPORA:
        yield from own.utterances(name, root)
        return
    for path in audio_files(root):
        yield CORPORA[name].parse(path) or path


def audio_files(root: Path) -> list[Path]:
    """Return the audio files in a folder, those nearest the top first."""
    return sorted(_audio(root), key=lambda path: (len(path.parts), path.suffix.lower(), str(path)))


def has_audio(root: Path) -> bool:
    """Say whether there is any audio file in a folder, or in folders of it."""
    return any(True for _ in _audio(root))


def _audio(root: Path) -> Iterator[Path]:
    # Unlike `rglob`, `walk` does not mind a folder that is renamed while it looks: what is being
    # unpacked is.
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            # macOS leaves "._name.wav" shadows in archives; they hold no sound.
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                yield path


def _contradiction(name: str, root: Path, utterance: Utterance) -> str | None:
    """Say where a folder contradicts the file's name, if one does."""
    if name not in CORPORA:
        return None  # there the folder, or the table, is all that says anything
    for folder in utterance.path.relative_to(root).parts[:-1]:
        for key, claim in _claims(CORPORA[name], folder).items():
            if getattr(utterance, key) != claim:
                return f"its name says {getattr(utterance, key)}, its folder {folder} {claim}"
    return None


def _claims(corpus: Corpus, folder: str) -> dict[str, str]:
    plain = folder.lower()
    if plain in corpus.FOLDERS:
        return corpus.FOLDERS[plain]
    try:
        return {"emotion": emotions.canonical(plain)}
    except UndertoneError:
        return {}


def _unpack_waiting(corpus: Corpus, root: Path, known: set[str]) -> bool:
    """Unpack the archives in a corpus folder that hold utterances not found yet."""
    waiting = []
    for path in sorted(root.glob("*.zip")):
        try:
            with zipfile.ZipFile(path) as opened:
                inside = (corpus.parse(Path(member)) for member in opened.namelist())
                new = {found.id for found in inside if found} - known
        except (OSError, zipfile.BadZipFile):
            continue  # a download that is not finished, or none of ours
        if new and not (root / path.stem).exists():
            waiting.append(path)
    for path in waiting:
        archive.unpack(path, root / path.stem)
    return bool(waiting)
