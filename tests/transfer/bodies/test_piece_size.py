"""How much is sent at once: what takes about a tenth of a second."""

from twisted_ft.transfer.bodies.outflow import FIRST_PIECE, PIECE, PieceSize


def test_it_grows_on_a_fast_link_up_to_the_largest() -> None:
    size = PieceSize(PIECE, rate=None)
    assert size.bytes == FIRST_PIECE
    for _ in range(20):
        size.took(0.001)
    assert size.bytes == PIECE


def test_it_shrinks_on_a_slow_one_down_to_the_first() -> None:
    size = PieceSize(PIECE, rate=None)
    for _ in range(20):
        size.took(0.001)
    size.took(1.0)
    assert size.bytes == PIECE // 2
    for _ in range(20):
        size.took(1.0)
    assert size.bytes == FIRST_PIECE


def test_it_stays_where_a_piece_takes_its_time() -> None:
    size = PieceSize(PIECE, rate=None)
    size.took(0.2)
    assert size.bytes == FIRST_PIECE


def test_a_limited_rate_limits_it_to_a_tenth_of_a_second_from_the_start() -> None:
    size = PieceSize(PIECE, rate=1000.0)
    assert size.bytes == 100
    size.took(0.001)
    size.took(10.0)
    assert size.bytes == 100
