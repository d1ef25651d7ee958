"""What SECURITY.md promises and no other test holds it to."""

import ast

import pytest

from ser_core import profile, recipe, shelf
from ser_core.errors import UndertoneError
from tests.helpers import ROOT

CODE = [*ROOT.glob("*.py"), *ROOT.glob("pages/**/*.py"), *ROOT.glob("ser_core/**/*.py")]
MODULES = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "pty", "code"}
CALLS = {
    "eval", "exec", "compile", "__import__", "input", "breakpoint", "os.system", "os.popen",
    "yaml.load", "yaml.unsafe_load", "torch.load", "pandas.read_pickle", "streamlit.html",
    "subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp",
}  # fmt: skip
OURS = "st.html(ASSETS / 'style.css')"  # a file of ours, whatever anybody gives
KEYWORDS = {
    ("allow_pickle", True), ("shell", True), ("safe_mode", False), ("verify", False),
    ("unsafe_allow_html", True), ("unsafe_allow_javascript", True),
}  # fmt: skip


def dangers(text):
    """Return what could run what somebody else has written, or show it as HTML, in a module."""
    found, meant = set(), {"np": "numpy", "pd": "pandas", "st": "streamlit"}
    nodes = list(ast.walk(ast.parse(text)))
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {it.name for it in node.names if it.name.partition(".")[0] in MODULES}
            meant |= {it.asname: it.name for it in node.names if it.asname}
        if isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in MODULES:
                found.add(node.module)
            meant |= {it.asname or it.name: f"{node.module}.{it.name}" for it in node.names}
    for node in nodes:
        if isinstance(node, ast.Call) and ast.unparse(node) != OURS:
            first, dot, rest = ast.unparse(node.func).partition(".")
            name = meant.get(first, first) + dot + rest
            found |= {name} & CALLS
            if name.endswith("load_model") and "safe_mode" not in {it.arg for it in node.keywords}:
                found.add(f"{name} without safe_mode")
            for keyword in node.keywords:
                value = getattr(keyword.value, "value", None)
                found |= {f"{keyword.arg}={value}"} if (keyword.arg, value) in KEYWORDS else set()
    return found


@pytest.mark.parametrize("file", CODE, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_nothing_of_a_strangers_is_run_or_shown_as_html(file):
    assert dangers(file.read_text("utf-8")) == set()


@pytest.mark.parametrize(
    "text, danger",
    [
        ("import pickle", "pickle"),
        ("from joblib import load", "joblib"),
        ("def f(x):\n    return eval(x)", "eval"),
        ("np.load(file, allow_pickle=True)", "allow_pickle=True"),
        ("subprocess.run(line, shell=True)", "shell=True"),
        ("yaml.load(text)", "yaml.load"),
        ("keras.models.load_model(file)", "keras.models.load_model without safe_mode"),
        ("load_model(file, safe_mode=False)", "safe_mode=False"),
        ("st.markdown(text, unsafe_allow_html=True)", "unsafe_allow_html=True"),
        ("st.html(text)", "streamlit.html"),
        ("from os import system\nsystem(line)", "os.system"),
        ("import os as o\no.popen(line)", "os.popen"),
        ("from pandas import read_pickle as read\nread(file)", "pandas.read_pickle"),
    ],
)
def test_a_danger_would_be_found(text, danger):
    assert danger in dangers(text)


@pytest.mark.parametrize(
    "wish", ["../../evil", "/etc/passwd", "..", "a/b", "a\\b", ".hidden", "", "a\0b", "x" * 500]
)
def test_whatever_a_recipe_or_a_card_is_called_its_folder_is_a_run(runs, wish):
    name = shelf.free_name(wish)
    assert (runs / name).resolve().parent == runs.resolve()
    assert not name.startswith(".") and len(name) <= 64
    with pytest.raises(UndertoneError):
        shelf.check_name(wish)


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..", "a/b", "a\\b", ".hidden", ""])
def test_a_recipe_whose_name_is_a_path_is_refused(name):
    with pytest.raises(UndertoneError, match="cannot be that of a folder"):
        recipe.load("lstm", [f"name='{name}'"])


def test_a_profile_larger_than_any_is_not_even_read():
    with pytest.raises(profile.ProfileError, match="not a voice profile"):
        profile.from_json(b"[" * (profile.MOST_BYTES + 1), None)
