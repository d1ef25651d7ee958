import re

from tests.helpers import ROOT

NAME = r"(?:UNDERTONE|SER)_[A-Z]+(?:_[A-Z]+)*"
README = (ROOT / "README.md").read_text("utf-8")


def product_code():
    """The text of every script and module that users run, by path."""
    files = [*ROOT.glob("*.py"), *ROOT.glob("pages/**/*.py"), *ROOT.glob("ser_core/**/*.py")]
    return {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in files}


def settings():
    """The names in the README's table of settings."""
    section = README.partition("\n## Settings\n")[2].partition("\n## ")[0]
    first_columns = re.findall(r"^\|([^|]*)\|", section, re.M)
    return set(re.findall(NAME, " ".join(first_columns)))


def test_the_table_names_what_the_code_reads_and_nothing_else():
    read = {name for text in product_code().values() for name in re.findall(f'"({NAME})"', text)}
    assert {"UNDERTONE_LOG", "SER_DATA_DIR"} < read
    assert settings() == read


def test_every_setting_that_is_spoken_of_is_in_the_table():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*.y*ml")]
    documents += [ROOT / name for name in ("Dockerfile", "Makefile") if (ROOT / name).is_file()]
    texts = product_code() | {file.name: file.read_text("utf-8") for file in documents}
    spoken_of = {name: re.findall(rf"\b{NAME}\b", text) for name, text in texts.items()}
    unknown = {name: set(found) - settings() for name, found in spoken_of.items()}
    assert {name: found for name, found in unknown.items() if found} == {}
