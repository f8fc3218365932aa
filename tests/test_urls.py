"""URLs: what they name, and what none is."""

from __future__ import annotations

import pytest

from twisted_ft.urls import Location, is_url, parse_url


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("ft://host", Location("ft", "host", 22222, b"")),
        ("ft://host/", Location("ft", "host", 22222, b"")),
        ("ft://host/a/b.txt", Location("ft", "host", 22222, b"a/b.txt")),
        ("ft://host/folder/", Location("ft", "host", 22222, b"folder/")),
        ("fts://host:1/a", Location("fts", "host", 1, b"a")),
        ("ft://host:65535/a", Location("ft", "host", 65535, b"a")),
        ("ft://host:/a", Location("ft", "host", 22222, b"a")),
        ("FT://HOST/Case", Location("ft", "host", 22222, b"Case")),
        ("Fts://Host/a", Location("fts", "host", 22222, b"a")),
        ("ft://127.0.0.1/a", Location("ft", "127.0.0.1", 22222, b"a")),
        ("ft://[::1]/a", Location("ft", "::1", 22222, b"a")),
        ("ft://[2001:DB8::1]:9/a", Location("ft", "2001:db8::1", 9, b"a")),
        ("ft://[fe80::1%25lo]/a", Location("ft", "fe80::1%lo", 22222, b"a")),
        ("ft://[FE80::1%25Eth0]:9/a", Location("ft", "fe80::1%Eth0", 9, b"a")),
        ("ft://[fe80::1%lo]/a", Location("ft", "fe80::1%lo", 22222, b"a")),
        ("ft://[fe80::1%25a%2Db]/a", Location("ft", "fe80::1%a-b", 22222, b"a")),
        ("ft://host/with space", Location("ft", "host", 22222, b"with space")),
        ("ft://host/with%20space", Location("ft", "host", 22222, b"with space")),
        ("ft://host/100%25", Location("ft", "host", 22222, b"100%")),
        ("ft://host/100%", Location("ft", "host", 22222, b"100%")),
        ("ft://host/a%zz", Location("ft", "host", 22222, b"a%zz")),
        ("ft://host/why?yes=no", Location("ft", "host", 22222, b"why?yes=no")),
        ("ft://host/number#1", Location("ft", "host", 22222, b"number#1")),
        ("ft://host/a;b&c=d+e", Location("ft", "host", 22222, b"a;b&c=d+e")),
        ("ft://host/a@b:c", Location("ft", "host", 22222, b"a@b:c")),
        ("ft://host/a%2Fb", Location("ft", "host", 22222, b"a/b")),
        ("ft://host//etc/passwd", Location("ft", "host", 22222, b"/etc/passwd")),
        ("ft://host/../up", Location("ft", "host", 22222, b"../up")),
        ("ft://host/%ff%00", Location("ft", "host", 22222, b"\xff\0")),
        ("ft://host/\udcff", Location("ft", "host", 22222, b"\xff")),
        ("ft://host/\u00e9", Location("ft", "host", 22222, b"\xc3\xa9")),
    ],
)
def test_what_a_url_names(url: str, location: Location) -> None:
    assert is_url(url)
    assert parse_url(url) == location


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/a",
        "host:22222/a",
        "ft:/host/a",
        "ft:host",
        "://host/a",
        "http://host/a",
        "ftp://host/a",
        "ft://",
        "ft:///a",
        "ft://:22222/a",
        "ft://host:0/a",
        "ft://host:65536/a",
        "ft://host:-1/a",
        "ft://host:port/a",
        "ft://host:1:2/a",
        "ft://[::1/a",
        "ft://::1/a",
        "ft://user@host/a",
        "ft://user:password@host/a",
        "ft://@host/a",
        "ft://host?query",
        "ft://host#fragment",
        "ft://ho st/a",
        "ft://ho\nst/a",
        "ft://host\x1b[2J/a",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_url(url)


@pytest.mark.parametrize(
    "location",
    [
        Location("ft", "host", 22222, b""),
        Location("fts", "host", 1, b"a/b"),
        Location("ft", "::1", 22222, b"a"),
        Location("ft", "::1", 5, b"a"),
        Location("ft", "fe80::1%lo", 5, b"a"),
        Location("ft", "host", 22222, b"100% \xff?#[]@\0"),
        Location("ft", "host", 22222, b"/a//b/"),
    ],
)
def test_as_text_and_back(location: Location) -> None:
    assert parse_url(str(location)) == location
    assert str(location).isascii()


def test_a_port_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="port is a number from 1"):
        parse_url("ft://host:0/a")


def test_a_user_is_told_that_there_is_no_login() -> None:
    with pytest.raises(ValueError, match="log in"):
        parse_url("ft://someone@host/a")


@pytest.mark.parametrize("text", ["a.txt", "/a/b", "C:\\a", "a:b", "./ft://a", "", "ft", "ft:/a"])
def test_local_paths_are_no_urls(text: str) -> None:
    assert not is_url(text)


@pytest.mark.parametrize(
    ("url", "name", "folder", "tls", "server"),
    [
        ("ft://host/a/b", b"b", False, False, ("ft", "host", 22222)),
        ("fts://host:7/a/b/", b"b", True, True, ("fts", "host", 7)),
        ("ft://host", b"", True, False, ("ft", "host", 22222)),
    ],
)
def test_what_is_asked_of_a_location(
    url: str, name: bytes, folder: bool, tls: bool, server: tuple[str, str, int]
) -> None:
    location = parse_url(url)
    assert (location.name, location.names_folder, location.tls) == (name, folder, tls)
    assert location.server == server


@pytest.mark.parametrize(
    ("path", "is_one"),
    [("*.md", True), ("a?", True), ("[ab]", True), ("a[1", False), ("a]", False), ("[/]", False)],
)
def test_what_is_a_pattern(path: str, is_one: bool) -> None:
    """A bracket that isn't closed in its name stands for itself."""
    assert (parse_url(f"ft://host/{path}").pattern is not None) is is_one
