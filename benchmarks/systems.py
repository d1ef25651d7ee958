"""The systems that the field publishes, as published and on people they have never heard.

Every recipe which says what its authors claim is run under their protocol and under
`ravdess-5fold`, three seeds each; a fold that was run is not run again. With two cores it takes
some hours, the baselines minutes.

    python -m benchmarks.systems [RECIPE …]
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ser_core import crossval, dataset, recipe
from ser_core.recognizer import runs_dir

RESULTS = Path(__file__).parent / "results" / "systems.json"
UNSEEN = "ravdess-5fold"
SEEDS = 3


def published() -> list[str]:
    """Return the names of the recipes that somebody else published."""
    names = sorted(path.stem for path in recipe.RECIPES.glob("*.toml"))
    return [name for name in names if recipe.load(name).published]


def measure(name: str) -> dict:
    """Run a recipe by both protocols and return what came out."""
    loaded = recipe.load(name)
    dataset.load(loaded)  # with every core, so that the folds find its features
    found = {
        "recipe": name,
        "digest": loaded.digest,
        "data": f"{loaded.data.corpus} ({', '.join(loaded.data.channels)})",
        "labels": len(loaded.labels),
        "published": asdict(loaded.published),
    }
    for protocol in (loaded.published.protocol, UNSEEN):
        folder = runs_dir() / "crossval" / f"{name}-{loaded.digest}" / protocol
        results = crossval.crossval(
            loaded,
            protocol,
            folder,
            seeds=SEEDS,
            jobs=os.cpu_count() or 1,
            on_fold=lambda result, total, protocol=protocol: print(
                f"{name} {protocol} seed {result.seed} fold {result.fold}: {result.uar:.1%}",
                file=sys.stderr,
                flush=True,
            ),
        )
        command = crossval.command(name, protocol, SEEDS)
        found[protocol] = asdict(crossval.summarise(loaded, protocol, results, command))
        found["parameters"] = results[0].parameters
        found["environment"] = results[0].environment
    return found


def table(rows: list[dict]) -> str:
    """Return the results as a Markdown table, in per cent."""
    lines = [
        "| recipe | labels | claimed | accuracy, random split | macro F1 | "
        f"UAR, unseen speakers (`{UNSEEN}`) | parameters | s a fold |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        claim, seen, unseen = row["published"], row[row["published"]["protocol"]], row[UNSEEN]
        said = "–" if claim["accuracy"] is None else f"{100 * claim['accuracy']:.0f}"
        lines.append(
            f"| `{row['recipe']}` | {row['labels']} | {said} | "
            f"{_mean_sd(seen, 'accuracy')} | {100 * seen['macro_f1']:.1f} | "
            f"{_mean_sd(unseen, 'uar')} | {row['parameters']:,} | {unseen['fold_seconds']:.0f} |"
        )
    return "\n".join(lines)


def _mean_sd(row: dict, score: str) -> str:
    return f"{100 * row[score]:.1f} ± {100 * row[score + '_sd']:.1f}"


def main(names: list[str]) -> None:
    """Measure some recipes, or all; keep what was measured of the others."""
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
    rows = {row["recipe"]: row for row in known}
    for name in names or published():
        rows[name] = measure(name)
        kept = [rows[other] for other in sorted(rows)]
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    print(table([rows[name] for name in sorted(rows)]))


if __name__ == "__main__":
    main(sys.argv[1:])
