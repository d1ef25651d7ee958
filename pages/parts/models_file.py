"""Models as files: used, taken away, renamed, deleted, added."""

from collections.abc import Callable

import streamlit as st

from pages.parts.hearing import plain, sorry
from ser_core import export, importing, shelf
from ser_core.errors import UndertoneError
from ser_core.locations import model_folders
from ser_core.shelf import Model, Origin

_FORMATS = {
    "onnx": ("ONNX", "Small and fast, for nearly every language and device."),
    "keras": ("Keras", "To train it further or to build on it, in Python."),
    "litert": ("LiteRT", "For phones and small devices, one window of sound at a time."),
    "bundle": ("Everything", "The whole folder, to be added to another Undertone."),
}


@st.cache_data(max_entries=2, show_spinner="Exporting …")
def _archive(name: str, stamp: int, format: str) -> bytes:
    return export.as_bytes(name, format)


def actions(model: Model, used: str, *, use: Callable[[str], None]) -> None:
    """Offer what can be done with a model, and say what of it could not be done last."""
    refused()
    with st.container(horizontal=True):
        if not shelf.locked():
            st.button(
                "In use" if model.name == used else "Use this model",
                type="primary",
                icon=":material/check:",
                disabled=model.name == used,
                on_click=use,
                args=[model.name],
            )
        with st.popover("Export", icon=":material/download:", key="export"):
            _export(model)
        if model.origin is Origin.SHIPPED or shelf.locked():
            return
        with st.popover("Rename", icon=":material/edit:", key="rename"):
            st.text_input("New name", key="new-name", placeholder=model.name, max_chars=64)
            st.button("Rename it", on_click=_rename, args=[model.name])
        with st.popover("Delete", icon=":material/delete:", key="delete"):
            if model.name == used:
                st.markdown("It is in use. Use another model first.")
                return
            also = " and all that its training has written"
            st.markdown(
                f"This deletes **{plain(model.name)}**"
                f"{also if model.origin is Origin.TRAINED else ''}, for good."
            )
            st.button("Delete it", type="primary", on_click=_delete, args=[model.name])


def refused(key: str = "models-refused") -> None:
    """Say, once, what could not be done."""
    if said := st.session_state.pop(key, None):
        st.error(said)


def _export(model: Model) -> None:
    # Converting takes a processor for a while, which strangers are not to have for a click.
    formats = {key: told for key, told in _FORMATS.items() if key != "litert" or not shelf.locked()}
    format = st.radio(
        "As",
        list(formats),
        format_func=lambda key: formats[key][0],
        captions=[caption for _, caption in formats.values()],
        key="format",
    )
    st.caption("A ZIP file with instructions: what goes in, what comes out, an example.")
    wanted = (model.name, shelf.stamp(model.name), format)
    if st.button("Prepare the file", disabled=st.session_state.get("exported") == wanted):
        st.session_state.exported = wanted
    if st.session_state.get("exported") != wanted:
        return
    try:
        content = _archive(*wanted)
    except UndertoneError as error:
        st.error(sorry(error))
        return
    st.download_button(
        f"Download ({len(content) / 1e6:.1f} MB)",
        content,
        file_name=f"{model.name}-{format}.zip",
        mime="application/zip",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
    )


def _rename(name: str) -> None:
    new = st.session_state["new-name"].strip()
    try:
        shelf.rename(name, new)
    except UndertoneError as error:
        st.session_state["models-refused"] = sorry(error)
        return
    st.session_state["new-name"] = ""
    st.session_state["look-at"] = new
    if st.session_state.get("in-use") == name:
        st.session_state["in-use"] = new


def _delete(name: str) -> None:
    try:
        shelf.delete(name)
    except UndertoneError as error:
        st.session_state["models-refused"] = sorry(error)
        return
    st.toast(f"“{plain(name)}” is deleted.", icon=":material/delete:")


def added() -> str | None:
    """Return, once, the name of a model that was added just now."""
    return _last_import().pop("new", None)


def _last_import() -> dict[str, str]:
    """Return what came of the last import.

    To be changed in place: a click breaks a script off where it changes the session's state.
    """
    return st.session_state.setdefault("import", {})


def _take_in(file) -> dict[str, str]:
    try:
        name = importing.take_in_apart(file, file.name)
    except UndertoneError as error:
        return {"error": f"Sorry, “{plain(file.name)}” is not added: {plain(str(error))}."}
    return {"file": file.name, "name": name, "new": name}


def add() -> None:
    """Take a model from a file."""
    if shelf.locked():
        st.caption("Models cannot be changed here.")
        return
    st.header("Add a model", anchor=False)
    tries, last = st.session_state.setdefault("imports", 0), _last_import()
    file = st.file_uploader(
        "From a file that an Undertone has exported as “Everything”",
        type="zip",
        key=f"import-{tries}",
        max_upload_size=importing.MOST_BYTES // 2**20,
    )
    if file is not None:
        with st.spinner("Checking it …"):
            # An uploader that is empty again; before, lest a click meanwhile bring the file twice.
            st.session_state.imports += 1
            last.clear()
            last.update(_take_in(file))
        st.rerun()  # what is drawn just before may never be seen
    if "error" in last:
        st.error(last["error"])
    elif last.get("name") in model_folders():  # until it is renamed or deleted
        st.success(plain(f"“{last['file']}” is added, as “{last['name']}”."))
    st.caption(
        "It is checked before it is added: every file against its checksum, and that nothing in it "
        "could run code of its maker's or read other files."
    )
