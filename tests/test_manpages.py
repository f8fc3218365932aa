"""The manual pages say what the manual says, and the manual has every option that there is."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from twisted.python import usage

from twisted_ft.cli.main import cli
from twisted_ft.tap import Options

DOCS = Path(__file__).parent.parent / "docs"
MAKING = runpy.run_path(str(DOCS / "make_manpages.py"))
PAGES: dict[str, str] = MAKING["pages"]((DOCS / "manual.md").read_text())


def shown(source: str) -> str:
    """``source`` as it is read, in one line; fails where it has a warning."""
    if shutil.which("groff") is None:
        pytest.skip("there is no groff, which shows manual pages")
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=200n"]
    ran = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return " ".join(ran.stdout.split())


def page_of(markdown: str) -> str:
    source = MAKING["pages"](f"## ft\n\n    ft  does\n\n{markdown}")["ft.1"]
    assert isinstance(source, str)
    return source


def terms_of(source: str) -> list[str]:
    """What a page explains, as it is typed: commands and options."""
    terms = re.findall(r"^\.TP\n(.*)$", source, re.MULTILINE)
    return [re.sub(r"\\f[BIR]", "", term).replace(r"\-", "-").replace(",", "") for term in terms]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    file = (DOCS / "man" / name).read_text()
    assert MAKING["current"](name, PAGES[name], file) == file, "run: python docs/make_manpages.py"


def test_there_are_no_other_pages() -> None:
    assert sorted(PAGES) == sorted(each.name for each in (DOCS / "man").iterdir())
    assert sorted(PAGES) == ["ft.1", "twistd-filetransfer.1"]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_shown_without_a_warning(name: str) -> None:
    text = shown((DOCS / "man" / name).read_text())
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"):
        assert f" {heading} " in text


@pytest.mark.parametrize("name", cli.commands)
def test_a_command_is_in_its_page_with_each_of_its_options(name: str) -> None:
    terms = terms_of(PAGES["ft.1"])
    assert any(term.split()[:2] == ["ft", name] for term in terms)
    for option in cli.commands[name].params:
        if isinstance(option, click.Option) and not option.hidden:
            for written in option.opts:
                assert any(written in term.split() for term in terms), written


@pytest.mark.parametrize("option", sorted({*Options().longOpt} - {*usage.Options().longOpt}))
def test_an_option_of_the_server_is_in_its_page(option: str) -> None:
    terms = terms_of(PAGES["twistd-filetransfer.1"])
    assert any(f"--{option.rstrip('=')}" in term.split() for term in terms)


def test_the_date_stays_while_nothing_else_is_new() -> None:
    made = MAKING["current"]("ft.1", "text\n", "")
    assert re.match(r'\.TH FT 1 \d{4}-\d\d-\d\d "twisted-ft [\d.]+" "User Commands"\ntext\n', made)
    old = re.sub(r"\d{4}-\d\d-\d\d", "2001-01-01", made)
    assert MAKING["current"]("ft.1", "text\n", old) == old
    assert "2001" not in MAKING["current"]("ft.1", "other text\n", old)
    assert "2001" not in MAKING["current"]("ft.1", "text\n", old.replace("ft ", "ft 9."))


@pytest.mark.parametrize(
    "text",
    [
        "`.dot` first",
        "`'quote` first",
        r"`a\b` and `~^` and `--x-y`",
        "`.ft-….part` …",
        '`eval "$(ft completion bash)"`',
        "**bold with `--code` in it** and *more*",
    ],
)
def test_what_is_read_is_what_is_written(text: str) -> None:
    plain = re.sub(r"[`*]", "", text)
    assert f" {plain} SEE ALSO" in shown(f".TH FT 1 2001-01-01\n{page_of(text)}")


def test_lists_tables_and_code_are_read() -> None:
    text = shown(
        ".TH FT 1 2001-01-01\n"
        + page_of("- one\n- two\n\n1. first\n\n| a | |\n|--|--|\n| `-x` | does it |\n\n    .code\n")
    )
    assert " • one • two 1. first -x does it .code SEE ALSO" in text


def test_what_has_no_form_is_not_left_out_in_silence() -> None:
    with pytest.raises(ValueError, match="hr, for which"):
        page_of("one\n\n---\n\ntwo")
