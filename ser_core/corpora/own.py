"""Recordings of your own: a folder for each emotion, or a table that lists them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from ser_core import audio, emotions
from ser_core.corpora.errors import CorpusError
from ser_core.corpora.utterance import Utterance
from ser_core.errors import UndertoneError

# As a folder, in a speaker's name and in `corpus = "ravdess+mine"`.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
TABLES = ("manifest.csv", "manifest.parquet")
# With what describes them; a corpus needs nothing else, so that nothing else is copied or unpacked.
KEPT = audio.SUFFIXES | {".csv", ".parquet", ".txt"}
SECONDS = (0.1, 7200.0)

_SEXES = {"f": "female", "female": "female", "woman": "female"}
_SEXES |= {"m": "male", "male": "male", "man": "male"}


def is_corpus(root: Path) -> bool:
    """Say whether a folder holds a table of recordings, or a folder named after an emotion."""
    if any((root / table).is_file() for table in TABLES):
        return True
    return root.is_dir() and any(path.is_dir() and _emotion(path.name) for path in root.iterdir())


def utterances(name: str, root: Path) -> Iterator[Utterance | Path]:
    """Yield what a folder of one's own holds; a path alone where no folder names an emotion.

    With a table (`manifest.csv` or `manifest.parquet`), only what it lists counts.

    Raises:
        CorpusError: the table is not what is expected.
    """
    table = next((root / table for table in TABLES if (root / table).is_file()), None)
    if table is not None:
        for row in read_table(table).itertuples():
            yield _utterance(name, root, row.path, row.emotion, row.speaker, row.sex, row.language)
        return
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in audio.SUFFIXES and not path.name.startswith("."):
            folders = reversed(path.relative_to(root).parts[:-1])
            emotion = next(filter(None, map(_emotion, folders)), None)
            yield _utterance(name, root, path, emotion) if emotion else path


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV or Parquet table of recordings.

    Relative paths count from the table's folder. Emotions may go by any name that
    `emotions.canonical` knows.

    Returns:
        Columns `path`, `emotion` and, empty where not known, `speaker`, `sex`, `language`.

    Raises:
        CorpusError: the file, a column or a value is not what is expected.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path).astype(object).fillna("").astype(str)
        else:
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"{path} cannot be read as a table: {_why(error)}; give a CSV (UTF-8) or Parquet file "
            "with the columns path and emotion"
        ) from None
    lacking = {"path", "emotion"} - set(frame.columns)
    if lacking:
        raise CorpusError(f"{path} lacks the column '{min(lacking)}'")
    if frame.empty:
        raise CorpusError(f"{path} lists no recording")
    unknown = pd.Series("", index=frame.index)
    try:
        emotion = [emotions.canonical(name) for name in frame.emotion]
    except UndertoneError as error:
        raise CorpusError(f"{path}: {error}") from None
    return pd.DataFrame(
        {
            "path": [path.parent / item for item in frame.path],
            "emotion": emotion,
            "speaker": frame.get("speaker", unknown).str.strip(),
            "sex": [_SEXES.get(sex.strip().lower(), "") for sex in frame.get("sex", unknown)],
            "language": frame.get("language", unknown).str.strip(),
        }
    )


def _why(error: Exception) -> str:
    """Return in plain words why a table could not be read."""
    kinds = {
        FileNotFoundError: "there is no such file",
        IsADirectoryError: "it is a folder",
        UnicodeDecodeError: "it is not text in UTF-8",
        pd.errors.EmptyDataError: "it is empty",
        pd.errors.ParserError: "a row has more columns than the first, or a quote is never closed",
    }
    told = next((words for kind, words in kinds.items() if isinstance(error, kind)), "")
    return told or getattr(error, "strerror", None) or "it is of another kind, or damaged"


def write_table(source: Path, root: Path) -> None:
    """Write a table of recordings into a corpus folder; the recordings stay where they are.

    Raises:
        CorpusError: the table is not what is expected, or lists a file that is not there.
    """
    frame = read_table(source)
    for path in frame.path:
        if not path.is_file():
            raise CorpusError(f"{source} lists {path}, which is not there")
    frame["path"] = [str(path.resolve()) for path in frame.path]
    frame.to_csv(root / TABLES[0], index=False)


def _utterance(
    name: str,
    root: Path,
    path: Path,
    emotion: str,
    speaker: str = "",
    sex: str = "",
    language: str = "",
) -> Utterance:
    within = path.relative_to(root) if path.is_relative_to(root) else path
    return Utterance(
        path=path,
        corpus=name,
        id=f"{name}/{within.as_posix()}",
        speaker=f"{name}-{speaker}" if speaker else "",
        sex=sex,
        emotion=emotion,
        intensity="",
        sentence="",
        take=1,
        channel="speech",
        language=language,
    )


def _emotion(folder: str) -> str | None:
    try:
        return emotions.canonical(folder)
    except UndertoneError:
        return None
