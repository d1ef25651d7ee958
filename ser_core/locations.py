"""Where models and trainings lie, by name."""

import os
from pathlib import Path

from ser_core.errors import BundleError

DEFAULT_MODEL = "deep"
# Where being quick counts for more: over whole archives.
QUICK_MODEL = "swift"
MODELS = Path(__file__).parent.parent / "models"


def find_model(name_or_folder: str | Path) -> Path:
    """Return the folder of a model: one of `models/`, of a run under `SER_RUNS_DIR`, or any.

    Raises:
        BundleError: there is none.
    """
    known = model_folders()
    if str(name_or_folder) in known:
        return known[str(name_or_folder)]
    folder = Path(name_or_folder)
    if (folder / "card.json").is_file():
        return folder
    wrong = f"there is no model '{name_or_folder}'"
    if str(name_or_folder) and folder.is_dir():
        wrong = f"the folder '{folder}' is no model: it lacks card.json"
    raise BundleError(f"{wrong}; known are {', '.join(known) or 'none'}, or give a model folder")


def model_folders() -> dict[str, Path]:
    """Return all models by name: the shipped ones, and those of runs that are named otherwise."""
    # Not what begins with a dot: a bundle that is being written.
    shipped = {card.parent.name: card.parent for card in MODELS.glob("[!.]*/card.json")}
    runs = runs_dir().glob("[!.]*/model/card.json")
    trained = {card.parents[1].name: card.parent for card in runs}
    return dict(sorted((trained | shipped).items()))


def runs_dir() -> Path:
    """Return the folder of trainings: `SER_RUNS_DIR`, or `runs`."""
    return Path(os.environ.get("SER_RUNS_DIR", "runs"))
