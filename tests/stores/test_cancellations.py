"""Returns find the sale they undo."""

from stores.cancellations import Candidate, Match, match


def candidate(return_id: int, quantity: int, sale_id: int, left: int) -> Candidate:
    return Candidate(return_id, 1, quantity, sale_id, 1, left)


def test_a_return_takes_the_first_candidate_that_has_enough_left() -> None:
    assert match([candidate(9, 5, 1, 3), candidate(9, 5, 2, 6)]) == [Match(9, 1, 2, 1)]


def test_two_returns_never_take_more_than_was_sold() -> None:
    found = match([candidate(8, 4, 1, 6), candidate(9, 4, 1, 6)])
    assert found == [Match(8, 1, 1, 1)]


def test_two_returns_share_a_sale_that_covers_both() -> None:
    found = match([candidate(8, 3, 1, 6), candidate(9, 3, 1, 6)])
    assert found == [Match(8, 1, 1, 1), Match(9, 1, 1, 1)]


def test_a_return_that_fits_nothing_stays_blind() -> None:
    assert match([candidate(9, 5, 1, 3)]) == []
