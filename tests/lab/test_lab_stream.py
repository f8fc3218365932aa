"""The three parts of a stream, put together and taken apart."""

import os
from collections.abc import Iterable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from twisted_ft.errors import BadName, ConnectionFailed
from twisted_ft.lab.stream import HEAD, HEADER, Ambiguous, Split, choose, header, name_field, splits

NAMES = st.one_of(
    st.text("ab019./ é", min_size=1, max_size=120).map(str.encode),
    st.binary(min_size=1, max_size=300),
)
DATA = st.one_of(
    st.text("0123456789", max_size=400).map(str.encode),
    st.binary(max_size=400),
)


def found_in(stream: bytes) -> list[Split]:
    return splits(stream[:HEAD], len(stream))


def lab_stream(name: bytes, data: bytes) -> bytes:
    return name + str(len(data)).encode() + data


# -- to the lab's client -----------------------------------------------------------------


@given(st.text("ab1 é.", min_size=1, max_size=100).map(str.encode).filter(lambda x: len(x) <= 100))
def test_a_name_field_opens_as_the_same_file(name: bytes) -> None:
    assume(name not in (b".", b".."))
    field = name_field(name)
    assert len(field) == 100
    assert os.path.normpath(b"./rec/" + field) == b"rec/" + name


@given(st.integers(0, 2**63 - 1))
def test_a_header_is_two_fields_of_100(size: int) -> None:
    both = header(b"name", size)
    assert len(both) == HEADER
    assert int(both[100:].decode()) == size


def test_a_name_of_100_bytes_has_no_padding() -> None:
    assert name_field(b"n" * 100) == b"n" * 100
    assert name_field(b"n" * 99) == b"/" + b"n" * 99
    assert name_field(b"n" * 98) == b"./" + b"n" * 98
    assert name_field(b"n" * 97) == b".//" + b"n" * 97


def test_what_the_lab_client_cannot_take() -> None:
    with pytest.raises(BadName, match="at most 100 bytes, and this one has 101"):
        name_field(b"n" * 101)
    with pytest.raises(BadName, match="UTF-8"):
        name_field(b"\xff")


# -- from the lab's server ---------------------------------------------------------------


@given(NAMES, DATA)
def test_the_true_split_is_among_the_candidates(name: bytes, data: bytes) -> None:
    stream = lab_stream(name, data)
    true = Split(name, len(stream) - len(data), len(data))
    found = found_in(stream)
    assume(true.begins != HEADER or not any(each.begins == HEADER for each in found))
    assert true in found


@given(NAMES, DATA)
def test_each_candidate_spells_its_size(name: bytes, data: bytes) -> None:
    stream = lab_stream(name, data)
    for split in found_in(stream):
        assert split.begins + split.size == len(stream)
        digits = stream[: split.begins].removeprefix(split.name)
        assert split.begins == HEADER or digits == str(split.size).encode()


@given(
    st.text("ab01é ", min_size=1, max_size=50).map(str.encode),
    DATA,
)
def test_our_own_header_is_understood(name: bytes, data: bytes) -> None:
    stream = header(name, len(data)) + data
    found = found_in(stream)
    assert Split(name, HEADER, len(data)) in found
    assert [split.begins for split in found].count(HEADER) == 1
    assert choose(found, name) == Split(name, HEADER, len(data))


def unseen_lengths(name: bytes, digits: str, starts: Iterable[int]) -> set[int]:
    """Where a stream can be cut so that a part of its digits spells what is left behind them."""
    return {
        len(name) + end + int(digits[start:end])
        for start in starts
        for end in range(start + 1, len(digits) + 1)
        if str(int(digits[start:end])) == digits[start:end]
    }


@given(st.text("ab", min_size=1, max_size=20).map(str.encode), st.integers(0, 300))
def test_a_stream_that_was_cut_short(name: bytes, size: int) -> None:
    """It goes unnoticed at few lengths of many, and at fewer where the name is said."""
    stream, digits = lab_stream(name, b"-" * size), str(size)
    lengths = set(range(len(stream)))
    for length in lengths - unseen_lengths(name, digits, range(len(digits))):
        with pytest.raises(ConnectionFailed, match="cut short"):
            choose(found_in(stream[:length]), None)
    for length in lengths - unseen_lengths(name, digits, [0]):
        with pytest.raises((ConnectionFailed, BadName)):
            choose(found_in(stream[:length]), name)
    assert choose(found_in(stream), name).size == size


def test_zeros_before_a_size_are_no_size() -> None:
    assert found_in(b"name" + b"05" + b"-" * 5) == [Split(b"name0", 6, 5)]


def test_a_name_of_digits() -> None:
    stream = lab_stream(b"2024", b"x" * 9)
    assert choose(found_in(stream), None) == Split(b"2024", 5, 9)


def test_a_size_near_the_end_of_the_head() -> None:
    name = b"d/" * 2047 + b"nn"
    assert len(name) == 4096
    stream = lab_stream(name, b"-" * 123456)
    assert choose(found_in(stream), None).name == name
    assert found_in(lab_stream(name + b"n", b"-")) == []


def test_the_name_decides() -> None:
    stream = b"a1210" + b"-" * 10
    both = found_in(stream)
    assert both == [Split(b"a", 3, 12), Split(b"a12", 5, 10)]
    assert choose(both, b"a") == both[0]
    assert choose(both, b"a12") == both[1]
    with pytest.raises(Ambiguous, match=r"a \(12 bytes\) or a12 \(10 bytes\).*--name"):
        choose(both, None)
    with pytest.raises(BadName, match="and not b"):
        choose(both, b"b")


def test_the_name_may_be_all_of_the_path_or_its_end() -> None:
    found = [Split(b"folder/file", 12, 1)]
    assert choose(found, b"file") == choose(found, b"folder/file") == found[0]


def test_a_name_that_is_not_the_one_that_came_is_an_error() -> None:
    with pytest.raises(BadName, match=r"the server sent other \(1 bytes\), and not mine"):
        choose([Split(b"other", 6, 1)], b"mine")


@pytest.mark.parametrize("name", [b"..", b"a/..", b"a/", b".", b"a\0b", b"n" * 256, b"/"])
def test_a_name_that_cannot_be_used(name: bytes) -> None:
    with pytest.raises(BadName):
        choose(found_in(lab_stream(name, b"data")), None)


def test_a_name_that_cannot_be_used_makes_nothing_ambiguous() -> None:
    usable = Split(b"a", 2, 12)
    assert choose([usable, Split(b"a\0b", 9, 5), Split(b"a/", 8, 6)], None) == usable


def test_a_line_break_is_the_file_s() -> None:
    lines = [Split(b"a", 3, 14), Split(b"a14\n-", 12, 5)]
    assert choose(lines, None) == lines[0]
    assert choose(lines[1:], None) == lines[1]


def test_many_candidates_are_not_all_listed() -> None:
    many = [Split(b"a" * count, count + 1, 5) for count in range(1, 20)]
    with pytest.raises(Ambiguous, match="14 more"):
        choose(many, None)
