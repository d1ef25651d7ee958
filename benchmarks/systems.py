"""The systems that the field publishes, as published and on people they have never heard.

Every recipe which says what its authors claim is run under their protocol and under
`ravdess-5fold`; a fold that was run is not run again. With two cores and three seeds it takes some
hours, the baselines minutes. With 0 seeds, what is known of a protocol stays.

    python -m benchmarks.systems [--seeds N] [--unseen-seeds N] [RECIPE …]
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from ser_core import crossval, dataset, figures, recipe
from ser_core.locations import runs_dir

RESULTS = Path(__file__).parent / "results" / "systems.json"
UNSEEN = "ravdess-5fold"
SEEDS = 3  # under which each is to be measured


def published() -> list[str]:
    """Return the names of the recipes that somebody else published."""
    names = sorted(path.stem for path in recipe.RECIPES.glob("*.toml"))
    return [name for name in names if recipe.load(name).published]


def measure(name: str, seeds: int, unseen_seeds: int, known: dict) -> dict:
    """Run a recipe by both protocols and return what came out, beside what is known of it."""
    loaded = recipe.load(name)
    if known.get("digest") != loaded.digest:
        known = {}
    # With every core, so that the folds find its features.
    manifest = dataset.load(loaded).manifest
    found = known | {
        "recipe": name,
        "digest": loaded.digest,
        "data": f"{loaded.data.corpus} ({', '.join(loaded.data.channels)})",
        "labels": len(loaded.labels),
        "published": asdict(loaded.published),
    }
    for protocol, count in ((loaded.published.protocol, seeds), (UNSEEN, unseen_seeds)):
        if not count:
            continue
        folder = runs_dir() / "crossval" / f"{name}-{loaded.digest}" / protocol
        results = crossval.crossval(
            loaded,
            protocol,
            folder,
            seeds=count,
            jobs=os.cpu_count() or 1,
            on_fold=lambda result, total, protocol=protocol: print(
                f"{name} {protocol} seed {result.seed} fold {result.fold}: {result.uar:.1%}",
                file=sys.stderr,
                flush=True,
            ),
        )
        command = crossval.command(name, protocol, count)
        found[protocol] = asdict(figures.summarise(loaded, protocol, manifest, results, command))
        found["parameters"] = results[0].parameters
        found["environment"] = results[0].environment
    return found


def table(rows: list[dict]) -> str:
    """Return the results as a Markdown table, in per cent."""
    lines = [
        "| recipe | labels | claimed | accuracy, random split | macro F1 | "
        f"accuracy, unseen speakers (`{UNSEEN}`) | UAR there | parameters | s a fold |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        claim, unseen = row["published"], row.get(UNSEEN)
        seen = row[claim["protocol"]]
        said = "–" if claim["accuracy"] is None else f"{100 * claim['accuracy']:.0f}"
        lines.append(
            f"| `{row['recipe']}` | {row['labels']} | {said} | "
            f"{_mean_sd(seen, 'accuracy')} | {100 * seen['macro_f1']:.1f} | "
            f"{_mean_sd(unseen, 'accuracy')} | {_mean_sd(unseen, 'uar')} | {row['parameters']:,} | "
            f"{seen['fold_seconds']:.0f} |"
        )
    return "\n".join(lines)


def _mean_sd(row: dict | None, score: str) -> str:
    if row is None:
        return "not yet"
    mean, seeds = f"{100 * row[score]:.1f}", row["seeds"]
    if seeds == 1:
        return f"{mean} (1 seed)"
    spread = f"{mean} ± {100 * row[score + '_sd']:.1f}"
    return spread if seeds >= SEEDS else f"{spread} ({seeds} seeds)"


def main(names: list[str], seeds: int, unseen_seeds: int) -> None:
    """Measure some recipes, or all; keep what was measured of the others."""
    known = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else []
    rows = {row["recipe"]: row for row in known}
    for name in names or published():
        rows[name] = measure(name, seeds, unseen_seeds, rows.get(name, {}))
        kept = [rows[other] for other in sorted(rows)]
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    print(table([rows[name] for name in sorted(rows)]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", help="all that are published, if none is named")
    parser.add_argument(
        "--seeds", type=int, default=SEEDS, help="under the published protocol; 0: no more"
    )
    parser.add_argument(
        "--unseen-seeds", type=int, default=SEEDS, help="on unseen speakers; 0: no more"
    )
    arguments = parser.parse_args()
    main(arguments.recipes, arguments.seeds, arguments.unseen_seeds)
