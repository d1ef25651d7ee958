"""Which models there are and which of them the app uses; switching, renaming, deleting.

A shipped model is a folder in `models/`; a trained or imported one is the folder `model` of a run
in `SER_RUNS_DIR`, and has the run's name. Which one is in use is said by `active.json` beside the
runs, so that it outlasts a restart and is the same for everybody.
"""

import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ser_core import bundle, locations, writing
from ser_core.bundle import BundleError
from ser_core.card import Card
from ser_core.errors import UndertoneError
from ser_core.locations import DEFAULT_MODEL, QUICK_MODEL, model_folders, runs_dir
from ser_core.one_at_a_time import holder
from ser_core.recognizer import Recognizer

IMPORTED = "imported.json"
_OFF = {"off", "false", "no", "0"}
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}[A-Za-z0-9]|[A-Za-z0-9]")


class ShelfError(UndertoneError):
    """A model cannot be switched to, renamed, deleted or imported; the message says why."""


class Origin(StrEnum):
    """Where a model comes from."""

    SHIPPED = "came with Undertone"
    TRAINED = "trained here"
    IMPORTED = "imported"


@dataclass(frozen=True)
class Model:
    """A model on the shelf.

    Attributes:
        name: what it is called here; its card may still have an older name.
        folder: its bundle.
        card: what is known about it.
        origin: where it comes from.
    """

    name: str
    folder: Path
    card: Card
    origin: Origin

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        with suppress(OSError):  # it is being deleted
            return sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        return 0


@dataclass(frozen=True)
class Choice:
    """Which model is in use.

    Attributes:
        name: the model.
        before: the one that was before, to go back to.
        lost: the one that was chosen but is not there any more.
    """

    name: str
    before: str | None = None
    lost: str | None = None


_CHOICE = TypeAdapter(Choice)


def models() -> dict[str, Model]:
    """Return all models with a card that can be read, by name, the shipped ones first."""
    found = {}
    for name, folder in model_folders().items():
        try:
            found[name] = Model(name, folder, bundle.read_card(folder), _origin(folder))
        except BundleError:
            continue  # `damaged` tells of it
    return dict(sorted(found.items(), key=lambda item: item[1].origin is not Origin.SHIPPED))


def damaged() -> dict[str, str]:
    """Return what is wrong with those models whose cards cannot be read, by name."""
    found = {}
    for name, folder in model_folders().items():
        try:
            bundle.read_card(folder)
        except BundleError as error:
            found[name] = str(error)
    return found


def find(name: str) -> Model:
    """Return a model of the shelf.

    Raises:
        ShelfError: there is none of that name.
        BundleError: its card cannot be read.
    """
    folder = _folder(name)
    return Model(name, folder, bundle.read_card(folder), _origin(folder))


def load(name: str) -> Recognizer:
    """Load a model, which answers by the name that it has on the shelf.

    Raises:
        ShelfError: there is none of that name.
        BundleError: it is damaged.
    """
    loaded = bundle.load(_folder(name))
    return Recognizer(replace(loaded, card=replace(loaded.card, name=name)))


def stamp(name: str) -> int:
    """Return a number that changes when a model is replaced by another of the same name.

    Raises:
        ShelfError: there is none of that name, or it is gone at this moment.
    """
    try:
        return (_folder(name) / "card.json").stat().st_mtime_ns
    except OSError:
        raise ShelfError(f"the model “{name}” is being replaced; try again in a moment") from None


def active() -> Choice:
    """Return which model is in use; the usual one if nothing else was chosen, or it is gone."""
    folders = model_folders()
    try:
        chosen = _CHOICE.validate_json(_active_file().read_bytes())
    except (OSError, ValidationError):
        return Choice(usual())
    if chosen.name not in folders:
        return Choice(usual(), lost=chosen.name)
    return replace(chosen, before=chosen.before if chosen.before in folders else None, lost=None)


def usual() -> str:
    """Return which model is in use where nobody has chosen one."""
    return DEFAULT_MODEL if DEFAULT_MODEL in model_folders() else QUICK_MODEL


def for_live(used: str) -> str:
    """Return which model hears live speech: `UNDERTONE_LIVE_MODEL`, or the one that is in use."""
    wanted = os.environ.get("UNDERTONE_LIVE_MODEL", "")
    return wanted if wanted in model_folders() else used


def activate(name: str) -> Choice:
    """Use a model from now on, everywhere.

    Raises:
        ShelfError: there is none of that name, or the shelf is locked.
        BundleError: it is damaged.
    """
    check_unlocked()
    bundle.load(_folder(name))
    before = active().name
    return _choose(Choice(name, before if before != name else None))


def go_back(to: str) -> Choice:
    """Use the model again that was in use before.

    Args:
        to: which one that was when somebody wished so; others may have chosen since.

    Raises:
        ShelfError: there is none, or it is another by now, or the shelf is locked.
        BundleError: it is damaged.
    """
    before = active().before
    if before is None:
        raise ShelfError("there is no model to go back to; choose one")
    if before != to:
        raise ShelfError(
            f"somebody has switched models meanwhile: the one before is “{before}” by now, not "
            f"“{to}”; choose one"
        )
    activate(before)
    return _choose(Choice(before))


def rename(name: str, new: str) -> None:
    """Give a trained or imported model another name.

    Raises:
        ShelfError: it came with Undertone, the new name cannot be one, the shelf is locked, or a
            training that goes on makes it or begins with it.
    """
    check_unlocked()
    run = _run_of(name)
    check_name(new, unless=name)
    chosen = active()
    target = run.with_name(new)
    try:
        run.rename(target)
    except OSError as error:
        raise ShelfError(f"“{name}” cannot be renamed: {error.strerror}") from None
    if name == chosen.name:
        _choose(replace(chosen, name=new))
    elif name == chosen.before:
        _choose(replace(chosen, before=new))


def delete(name: str) -> None:
    """Delete a trained or imported model with all of its run, for good.

    Raises:
        ShelfError: it came with Undertone, is in use, the shelf is locked, or a training that goes
            on makes it or begins with it.
    """
    run = deletable(name)
    try:
        throw_away(run)
    except OSError as error:
        raise ShelfError(f"“{name}” cannot be deleted: {error.strerror}") from None


def throw_away(folder: Path) -> None:
    """Delete a folder at once, in one step; what it held may take its time.

    Raises:
        OSError: it cannot be deleted; it is as it was.
    """
    aside = Path(tempfile.mkdtemp(prefix=".deleted-", dir=folder.parent))
    try:
        folder.rename(aside / folder.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def deletable(name: str) -> Path:
    """Return the folder that `delete` would delete.

    Raises:
        ShelfError: it would refuse.
    """
    check_unlocked()
    run = _run_of(name)
    if active().name == name:
        raise ShelfError(f"“{name}” is in use; use another model first, then delete this one")
    return run


def check_name(name: str, *, unless: str | None = None) -> None:
    """Make sure that a model can be called by a name.

    Args:
        name: the name.
        unless: may be taken: the name that this model has had so far.

    Raises:
        ShelfError: it cannot; nothing would be a folder of that name, or another one is already.
    """
    if not _SAFE.fullmatch(name):
        raise ShelfError(
            f"“{name[:80]}” cannot be a model's name; use up to 64 letters (a–z), digits, and . - "
            "_ between them"
        )
    # Some file systems do not tell upper case from lower case.
    places = (locations.MODELS, runs_dir())
    others = {path.name.lower() for place in places if place.is_dir() for path in place.iterdir()}
    if name == unless or name.lower() in others - {(unless or "").lower()}:
        raise ShelfError(f"there is something called “{name}” already; choose another name")


def free_name(wish: str) -> str:
    """Return a name for a model, as similar as possible to what was wished for."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", wish)[:56].strip("._-") or "model"
    for name in (plain, *(f"{plain}-{number}" for number in range(2, 10_000))):
        try:
            check_name(name)
        except ShelfError:
            continue
        return name
    raise ShelfError(f"there are too many models called “{plain}”; choose another name")


def hidden() -> list[str]:
    """Return the names of runs whose models cannot be seen because shipped ones are called so."""
    folders = model_folders()
    runs = (card.parents[1] for card in runs_dir().glob("[!.]*/model/card.json"))
    return sorted(run.name for run in runs if folders.get(run.name, run / "model").parent != run)


def locked() -> bool:
    """Return whether visitors may look but not change: `UNDERTONE_TRAINING=off`."""
    return os.environ.get("UNDERTONE_TRAINING", "").strip().lower() in _OFF


def check_unlocked() -> None:
    """Make sure that models may be changed.

    Raises:
        ShelfError: they may not, see `locked`.
    """
    if locked():
        raise ShelfError("models cannot be changed here: UNDERTONE_TRAINING is off")


def _folder(name: str) -> Path:
    folders = model_folders()
    if name not in folders:
        raise ShelfError(f"there is no model “{name}”; known are {', '.join(folders) or 'none'}")
    return folders[name]


def _origin(folder: Path) -> Origin:
    if folder.parent == locations.MODELS:
        return Origin.SHIPPED
    return Origin.IMPORTED if (folder.parent / IMPORTED).exists() else Origin.TRAINED


def _run_of(name: str) -> Path:
    folder = _folder(name)
    if _origin(folder) is Origin.SHIPPED:
        raise ShelfError(f"“{name}” came with Undertone and stays as it is")
    for run in (holder() or {}).get("runs", ()):
        if run == name:
            raise ShelfError(f"“{name}” is part of a training that goes on; cancel that first")
        if _begins_with(run, folder):
            raise ShelfError(f"“{name}” is what “{run}”, which is trained now, begins with; wait")
    return folder.parent


def _begins_with(run: str, folder: Path) -> bool:
    """Return whether a run's network begins with what the model in a folder has learned."""
    from ser_core import recipe  # loads pandas

    try:
        start = recipe.load(str(runs_dir() / run / "recipe.toml")).training.start
        return bool(start) and locations.find_model(start).samefile(folder)
    except (UndertoneError, OSError):  # neither can be read
        return False


def _active_file() -> Path:
    return runs_dir() / "active.json"


def _choose(choice: Choice) -> Choice:
    file = _active_file()
    try:
        writing.write_json(file, asdict(choice))
    except OSError as error:
        raise ShelfError(f"the choice cannot be kept in {file}: {error.strerror}") from None
    return choice
