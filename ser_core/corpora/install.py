"""Getting corpora onto this machine: from their publishers, from Kaggle, or from a folder."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from ser_core.corpora import archive, own
from ser_core.corpora.catalogue import CORPORA, Corpus, data_dir
from ser_core.corpora.download import Http, Remote, fetch
from ser_core.corpora.errors import CorpusError
from ser_core.corpora.scanning import Scan, look, manifest_of, scan
from ser_core.corpora.sources import Source, is_complete

# Git LFS leaves a pointer of some 130 bytes where a recording was not fetched.
_SMALLEST_RECORDING = 1000

# A ZIP archive and what is in it, at the ratio that sound compresses to, both on disk for a while.
_ROOM_FOR_ARCHIVE = 5


@contextmanager
def _refused_in_a_sentence() -> Iterator[None]:
    """Raise what a disk refuses as a `CorpusError`."""
    try:
        yield
    except OSError as error:
        raise CorpusError(
            f"{error.filename or data_dir()} cannot be written: {error.strerror or error}; mend "
            "that, or set SER_DATA_DIR to another folder"
        ) from None


@_refused_in_a_sentence()
def get(
    name: str,
    *,
    accepts: Callable[[Corpus], bool],
    channels: tuple[str, ...] = (),
    http: Http | None = None,
    on_total: Callable[[int], None] = lambda total: None,
    on_bytes: Callable[[int], None] = lambda more: None,
) -> Scan:
    """Download what is missing of a corpus, from its publisher, into `data_dir() / name`.

    What was downloaded before is not downloaded again, and a download that was cut goes on.

    Args:
        name: a key of `CORPORA`.
        accepts: asked, before anything is downloaded, whether the person agrees to the licence.
        channels: only these (`speech`, `song`); all if empty.
        http: timeouts and attempts.
        on_total: called with the bytes to come from each source.
        on_bytes: called with the bytes of each piece, from several threads.

    Returns:
        What lies in the corpus folder then.

    Raises:
        CorpusError: there is no such corpus or it is not to be downloaded, the licence was not
            accepted, the download failed, or the disk refuses what came.
    """
    corpus, root = _known(name), data_dir() / name
    if not corpus.SOURCES:
        raise CorpusError(
            f"'{name}' is given out by its makers only: register at {corpus.HOME}, then "
            f"`python -m ser_core data add {name} FOLDER_OR_ZIP`, or take Kaggle's copy (--kaggle)"
        )
    sources = [source for source in corpus.SOURCES if not channels or source.channel in channels]
    if not sources:
        raise CorpusError(f"'{name}' has no {' or '.join(channels)}")
    http, present = http or Http(), _present(name, root)
    missing = [source for source in sources if not is_complete(source, present)]
    if missing:
        _ask(name, accepts)
    for source in missing:
        _get(source, name, root, http, on_total, on_bytes)
    found = scan(name)
    for source in sources:
        there = int((found.manifest.channel == source.channel).sum())
        if there < source.clips:
            raise CorpusError(
                f"{root} has {there} of the {source.clips} recordings ({source.channel}) of "
                f"'{name}'; try again, and if that does not help, its publisher has changed it: "
                "what is there can be used"
            )
    return found


@_refused_in_a_sentence()
def add(name: str, source: Path, *, into: str | None = None) -> Scan:
    """Take a corpus from a folder, a ZIP archive or, if it is one's own, a table of recordings.

    Sound and tables are copied into `data_dir() / name`; a table alone is copied with the paths
    made absolute, and the recordings stay where they are. All or nothing.

    Args:
        name: a key of `CORPORA`, or a new name for recordings of one's own.
        source: a folder or ZIP archive with the corpus at any depth; of one's own, a folder for
            each emotion, or a CSV or Parquet table (see `own.read_table`).
        into: the folder made in the corpus folder; the source's name if not given.

    Returns:
        What lies in the corpus folder then.

    Raises:
        CorpusError: nothing of the corpus is in the source, the target is taken, or the disk
            refuses it.
    """
    source = Path(source)
    if name not in CORPORA and not own.NAME.fullmatch(name):
        raise CorpusError(
            f"'{name}' cannot name a corpus; use small letters, digits, '-' and '_' only"
        )
    if not source.exists():
        raise CorpusError(f"there is no {source} to add")
    target = data_dir() / name
    if name in CORPORA:
        target /= into or source.stem
    if target.exists():
        raise CorpusError(f"{target} is there already; remove it first, or choose another name")
    data_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=data_dir()) as scratch:
        staged = Path(scratch) / "staged"
        if source.is_dir():
            _copy(name, source, staged)
        elif _is_zip(source):
            archive.unpack(source, staged)
        elif name not in CORPORA:
            staged.mkdir()
            own.write_table(source, staged)
        else:
            raise CorpusError(f"{source} is neither a folder nor a ZIP archive")
        top = staged if name in CORPORA else _top(staged)
        _refuse_empty(name, top, source)
        target.parent.mkdir(parents=True, exist_ok=True)
        top.rename(target)
    return scan(name)


def from_kaggle(name: str, *, accepts: Callable[[Corpus], bool]) -> Scan:
    """Take a published corpus from its copy on Kaggle, with the user's own `kagglehub`.

    Raises:
        CorpusError: `kagglehub` is not installed or cannot get the copy, or as `get` and `add` do.
    """
    corpus = _known(name)
    _ask(name, accepts)
    try:
        import kagglehub
    except ImportError:
        raise CorpusError(
            "a copy on Kaggle needs the package kagglehub; `pip install kagglehub` first"
        ) from None
    try:
        folder = kagglehub.dataset_download(corpus.KAGGLE)
    except Exception as error:  # whatever kagglehub and what it uses may raise
        raise CorpusError(f"Kaggle's {corpus.KAGGLE} cannot be had: {error}") from None
    return add(name, Path(folder), into="kaggle")


def _known(name: str) -> Corpus:
    if name not in CORPORA:
        raise CorpusError(f"there is no corpus '{name}' to get; known are {', '.join(CORPORA)}")
    return CORPORA[name]


def _ask(name: str, accepts: Callable[[Corpus], bool]) -> None:
    corpus = CORPORA[name]
    if not accepts(corpus):
        raise CorpusError(
            f"'{name}' is under this licence: {corpus.LICENCE} (see {corpus.HOME}); it must be "
            "accepted first, with --accept-licence"
        )


def _get(
    source: Source,
    name: str,
    root: Path,
    http: Http,
    on_total: Callable[[int], None],
    on_bytes: Callable[[int], None],
) -> None:
    root.mkdir(parents=True, exist_ok=True)
    present = _present(name, root)
    elsewhere = dict(zip(present.id, present.path, strict=True))

    def is_missing(file: Remote) -> bool:
        """Say whether a file does not lie elsewhere in the folder already, in another layout."""
        utterance = CORPORA[name].parse(root / file.path)
        return utterance is None or elsewhere.get(utterance.id, utterance.path) == utterance.path

    missing = [file for file in source.files(root, http) if is_missing(file)]
    room = [(_ROOM_FOR_ARCHIVE if _is_zip(file.path) else 1) * (file.size or 0) for file in missing]
    archive.need_space(root, sum(room))
    on_total(sum(file.size or 0 for file in missing))
    with ThreadPoolExecutor(min(8, max(1, len(missing)))) as pool:
        try:
            paths = list(pool.map(lambda file: fetch(file, root, http, on_bytes), missing))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # or thousands would go on before the message
            raise
    for path in filter(_is_zip, paths):
        if not path.with_suffix("").exists():
            archive.unpack(path, path.with_suffix(""))
        path.unlink()


def _is_zip(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ".zip"


def _present(name: str, root: Path) -> pd.DataFrame:
    """Return the recordings in a corpus folder that are more than a pointer to a recording."""
    try:
        manifest = scan(name, root).manifest
    except CorpusError:
        return manifest_of([])
    return manifest[[path.stat().st_size >= _SMALLEST_RECORDING for path in manifest.path]]


def _refuse_empty(name: str, folder: Path, source: Path) -> None:
    if look(name, folder).manifest.empty:
        what = f"recording of the corpus '{name}'" if name in CORPORA else "folder of an emotion"
        raise CorpusError(f"there is no {what} in {source}; nothing was added")


def _copy(name: str, source: Path, target: Path) -> None:
    _refuse_empty(name, source, source)

    def others(folder: str, names: list[str]) -> set[str]:
        files = (Path(folder) / name for name in names)
        return {
            path.name for path in files if path.is_file() and path.suffix.lower() not in own.KEPT
        }

    try:
        files = (path for path in source.rglob("*") if path.suffix.lower() in own.KEPT)
        archive.need_space(target.parent, sum(path.stat().st_size for path in files))
        shutil.copytree(source, target, ignore=others)
    except (OSError, shutil.Error) as error:
        raise CorpusError(f"{source} cannot be copied: {error}") from None


def _top(folder: Path) -> Path:
    """Return the folder inside that holds the emotions' folders, or the table."""
    while not own.is_corpus(folder):
        inside = [path for path in folder.iterdir() if path.is_dir()]
        if len(inside) != 1:
            break
        folder = inside[0]
    return folder
