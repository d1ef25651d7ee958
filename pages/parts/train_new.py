"""A new training: what to train, with which recordings, tested how."""

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from pages.parts import train_now
from pages.parts.answer import named
from pages.parts.hearing import plain, sorry
from pages.parts.library import title
from ser_core import jobs, plan, recipe
from ser_core.card import LEAKY, protocol_in_words
from ser_core.emotions import EMOTIONS
from ser_core.errors import UndertoneError
from ser_core.jobs import Order
from ser_core.locations import QUICK_MODEL
from ser_core.plan import PlanError
from ser_core.recipe import Recipe
from ser_core.recipe_text import settings_of, spelled, to_toml
from ser_core.splits import PROTOCOLS, Split, fold_count
from ser_core.wording import counted, duration, people

_PEOPLE = "Keep some people aside"
_FIFTH = "Keep a random fifth of the recordings aside"
_NOTHING = "No test: learn from nearly everybody"
_WHY = {
    _PEOPLE: "The honest way: it is tested on voices that it has never heard.",
    _FIFTH: "As most papers do: it is tested on new recordings of voices that it knows.",
    _NOTHING: "For a model that you want to use. A few people are still kept aside to check it.",
}
_RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
_BATCHES = (8, 16, 32, 64, 128)
_EXAMPLE = "[network]\nfilters = [64, 128]\n\n[training]\npatience = 20"


@st.cache_data(max_entries=32, show_spinner=False)
def protocols(digest: str, rows: int, _loaded: Recipe, _manifest: pd.DataFrame) -> dict[str, str]:
    """Return `plan.protocols`, which takes some seconds the first time."""
    return plan.protocols(_loaded, _manifest)


@st.cache_data(max_entries=32, show_spinner=False)
def _split(
    digest: str, seed: int, rows: int, protocol: str | None, fold: int, _loaded, _manifest
) -> Split:
    return plan.split(_loaded, _manifest, protocol, fold)


def nothing_here() -> None:
    """Say where recordings are to be had."""
    st.info("There are no recordings to learn from yet. Get some on the Explore page first.")
    st.page_link("pages/explore.py", label="Get recordings", icon=":material/library_music:")


def show(manifests: Mapping[str, pd.DataFrame]) -> None:
    """Let a training be put together, show what it will do, and start it."""
    train_now.refused()
    if not manifests:
        nothing_here()
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        name = st.selectbox(
            "Recipe",
            list(plan.shipped()),
            format_func=called,
            key="train-recipe",
            persist_state="session",
        )
        quick = [name for name, loaded in plan.shipped().items() if plan.is_baseline(loaded)]
        st.caption(
            f"New to this? Begin with {QUICK_MODEL}. For a first look that takes seconds, but "
            f"leaves no model to use: {', '.join(quick)}."
        )
        describe(plan.shipped()[name])
        try:
            loaded = _settings(name, manifests)
            manifest = plan.recordings(loaded, manifests)
            protocol, fold = _test(loaded, manifest)
            known = (loaded.digest, loaded.training.seed, len(manifest))
            split = _split(*known, protocol, fold, loaded, manifest)
        except UndertoneError as error:
            st.error(sorry(error))
            return
    with right, st.container(border=True, key="train-preview"):
        _preview(loaded, manifest, split, protocol)
        _start(Order(loaded, protocol, fold))


def called(name: str) -> str:
    """Return what to call a recipe in a list."""
    loaded = plan.shipped()[name]
    if plan.is_baseline(loaded):
        return f"{name} · takes seconds, gives figures only"
    return f"{name} · ours" if loaded.published is None else name


def describe(loaded: Recipe) -> None:
    """Say what a recipe is, and what its authors claim."""
    claim, said = loaded.published, plain(loaded.description)
    if claim is None:
        st.markdown(said)
    elif claim.accuracy is None:
        st.markdown(f"{said} Its authors give no figure.")
    else:
        known = ", tested on voices that it knows" if claim.protocol == LEAKY else ""
        st.markdown(
            f"{said} Its authors claim **{claim.accuracy:.0%} right**{known} ({claim.protocol})."
        )


def _settings(name: str, manifests: Mapping[str, pd.DataFrame]) -> Recipe:
    """Let everything about a recipe be changed; return what it is then."""
    own = plan.shipped()[name]
    first = recipe.load(name, plan.suited(own, manifests))
    corpora = st.pills(
        "Recordings",
        list(manifests),
        selection_mode="multi",
        default=first.data.corpora,
        format_func=title,
        key=f"train-corpora-{name}",
        persist_state="session",
    )
    if not corpora:
        raise PlanError("choose what it is to learn from")
    if absent := [title(corpus) for corpus in own.data.corpora if corpus not in manifests]:
        st.caption(f"The recipe also names {', '.join(absent)}, not to be had here.")
    suited = plan.suited(own, manifests, corpora)
    base = recipe.load(name, suited)
    key = f"{name}-{'+'.join(corpora)}"
    present = pd.concat([manifests[corpus] for corpus in corpora])
    with st.expander("Emotions and settings", icon=":material/tune:"):
        settings = _data(base, present, key)
        settings += _knobs(base, name)
        text = st.text_area(
            "Anything else, as TOML",
            key=f"train-toml-{name}",
            placeholder=_EXAMPLE,
            height=130,
            persist_state="session",
            help="Lines here win over everything above. The whole recipe, as it will be trained, "
            "is shown below.",
        )
        loaded = recipe.load(name, [*suited, *settings, *settings_of(text)])
        st.caption("The whole recipe")
        st.code(to_toml(loaded), language="toml", height=220)
    return loaded


def _data(base: Recipe, present: pd.DataFrame, key: str) -> list[str]:
    channels = sorted(set(present.channel))
    if len(channels) > 1:
        channels = st.pills(
            "Spoken or sung",
            channels,
            selection_mode="multi",
            default=base.data.channels,
            key=f"train-channels-{key}",
            persist_state="session",
        )
        if not channels:
            raise PlanError("choose whether spoken, sung or both")
    heard = set(present.emotion[present.channel.isin(channels)])
    order = [*base.labels, *(label for label in EMOTIONS if label not in base.labels)]
    labels = st.pills(
        "Emotions",
        [label for label in order if label in heard],
        selection_mode="multi",
        default=[label for label in base.labels if label in heard],
        format_func=named,
        key=f"train-labels-{key}",
        persist_state="session",
        wrap=True,
    )
    if len(labels) < 2:
        raise PlanError("choose at least two emotions")
    # In the recipe's order, not in that of the clicks.
    labels = [label for label in order if label in labels]
    return [f"data.channels={spelled(list(channels))}", f"labels={spelled(labels)}"]


def _knobs(base: Recipe, name: str) -> list[str]:
    """Let the main settings be changed, within sane limits."""
    config, found = base.training, {}

    def keep(setting: str) -> dict:
        return {"key": f"train-{setting}-{name}", "persist_state": "session"}

    one, two = st.columns(2)
    if not plan.is_baseline(base):
        found["training.epochs"] = one.number_input(
            "Rounds (epochs), at most", 1, 500, config.epochs, **keep("epochs")
        )
        found["training.batch_size"] = two.select_slider(
            "Recordings in a step (batch size)",
            sorted({*_BATCHES, config.batch_size}),
            config.batch_size,
            **keep("batch"),
        )
        found["training.learning_rate"] = one.select_slider(
            "Learning rate",
            sorted({*_RATES, config.learning_rate}),
            config.learning_rate,
            format_func=lambda rate: f"{rate:g}",
            **keep("rate"),
        )
        found["network.dropout"] = two.slider(
            "Dropout", 0.0, 0.8, base.network.dropout, 0.05, **keep("dropout")
        )
        if known := plan.starts(base):
            found["training.start"] = two.selectbox(
                "Begin with",
                ["", *known],
                format_func=lambda model: f"what {model} has learned" if model else "nothing",
                help="A model that has learned from others learns sooner from recordings of your "
                "own. Nobody whom it has heard can test it then.",
                **keep("start"),
            )
    found["training.seed"] = one.number_input(
        "Seed",
        0,
        9999,
        config.seed,
        help="Of everything drawn by chance: the same seed gives the same result.",
        **keep("seed"),
    )
    found["training.class_weights"] = st.toggle(
        "Let rare emotions count as much as frequent ones (class weights)",
        config.class_weights,
        **keep("weights"),
    )
    if base.augmentation != type(base.augmentation)():
        varied = st.toggle(
            "Also learn from changed copies of the recordings (augmentation)",
            True,
            **keep("augmentation"),
        )
        if not varied:
            found["augmentation"] = None
    return [f"{key}={'{}' if value is None else spelled(value)}" for key, value in found.items()]


def _test(loaded: Recipe, manifest: pd.DataFrame) -> tuple[str | None, int]:
    """Let the test be chosen; return its protocol and fold."""
    found = protocols(loaded.digest, len(manifest), loaded, manifest)
    fit = [name for name, reason in found.items() if not reason and name != LEAKY]
    ways = [way for way in _WHY if way != _PEOPLE or fit]
    way = st.radio(
        "How to test it",
        ways,
        captions=[_WHY[way] for way in ways],
        key="train-way",
        persist_state="session",
    )
    if not fit:
        st.caption(
            "People can be kept aside only as published tests do it, which takes a complete copy "
            "of RAVDESS, SAVEE, TESS or CREMA-D."
        )
    if way == _NOTHING:
        return None, 0
    if way == _FIFTH:
        return LEAKY, 0
    one, two = st.columns([3, 1])
    protocol = one.selectbox(
        "Which people",
        fit,
        format_func=lambda name: protocol_in_words(name, PROTOCOLS),
        key=f"train-protocol-{'+'.join(fit)}",
        persist_state="session",
    )
    folds = fold_count(protocol)
    fold = two.selectbox(
        "Group (fold)",
        range(folds),
        format_func=lambda fold: f"{fold + 1} of {folds}",
        key=f"train-fold-{protocol}",
        persist_state="session",
    )
    st.caption(f"That is the protocol {protocol}.")
    return protocol, fold


def _preview(loaded: Recipe, manifest: pd.DataFrame, split: Split, protocol: str | None) -> None:
    """Say what will be trained."""
    st.markdown("**What will happen**")
    with st.container(horizontal=True):
        st.metric("Recordings", f"{len(manifest):,}")
        st.metric("People", len(set(manifest.speaker) - {""}) or "not named")
        st.metric("Emotions", len(loaded.labels))
    counts = manifest.emotion.value_counts()
    st.caption(" · ".join(f"{named(label)} {counts[label]:,}" for label in loaded.labels))
    runs = jobs.runs()
    weights = plan.parameters(loaded, runs)
    lines = [
        *_parts(loaded, manifest, split, protocol),
        *([f"It has {weights:,} weights to set"] if weights else []),
        _time(loaded, runs, len(split.train)),
    ]
    st.markdown("\n".join(f"- {line}" for line in lines))


def _parts(loaded: Recipe, manifest: pd.DataFrame, split: Split, protocol: str | None) -> list[str]:
    def said(rows) -> str:
        return f"{counted(len(rows), 'recording')} of {people(manifest.speaker.iloc[rows])}"

    lines = [f"It learns from {said(split.train)}"]
    if plan.is_baseline(loaded):
        task = "show how sure it may be"
    elif loaded.training.refit:
        task = "show how sure it may be; then it learns from them, too"
    else:
        task = "decide when it stops"
    lines += [f"{said(split.validation)} {task} (validation)"]
    if protocol is None:
        return [*lines, "Nothing tests it"]
    whom = "the same people" if protocol == LEAKY else "whom it has never heard"
    return [*lines, f"{said(split.test)} test it, {whom}"]


def _time(loaded: Recipe, runs: list[str], clips: int) -> str:
    found = plan.speed(loaded, runs)
    if found is None:
        if plan.is_baseline(loaded):
            return "Time: seconds, after preparing the recordings"
        return "Time: not known before its first rounds are over"
    minutes = plan.minutes(loaded, found, clips)
    told = duration(max(1, minutes * 60))
    whose = (
        f"the speed of “{plain(found.run)}” here" if found.run else "its speed on two cores of ours"
    )
    return f"Time: {told} at most, by {whose}, and what preparing the recordings takes"


def _start(order: Order) -> None:
    busy = jobs.running()
    st.button(
        "Start training",
        type="primary",
        icon=":material/play_arrow:",
        disabled=bool(busy),
        on_click=train_now.start,
        args=[[order]],
        width="stretch",
    )
    if busy:
        st.caption(
            f"“{plain(busy[0])}” is being trained, started here or on another page. Yours can "
            "start when that is over."
        )
    elif plan.is_baseline(order.recipe):
        st.caption("This one leaves figures, but no model that the app could use.")
