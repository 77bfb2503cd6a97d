"""The statistics of a campaign's effect, against published figures and against themselves."""

import numpy as np
import pytest

import database
from campaigns.holdout import HELD_OUT, held_out
from campaigns.measurement import Arm, difference_of_means, difference_of_shares, measure, power_of, sample_ratio_p


def arm(members: int, buyers: int, spend: int = 0, squared: int = 0) -> Arm:
    return Arm(members=members, buyers=buyers, spend=spend, spend_squared=squared)


def test_newcombe_s_published_example() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80.
    found = difference_of_shares(arm(70, 56), arm(80, 48))
    assert (found.estimate, round(found.low, 4), round(found.high, 4)) == (pytest.approx(0.2), 0.0524, 0.3339)


def test_the_interval_of_means_is_welch_s() -> None:
    treated, control = arm(4, 4, 40, 420), arm(4, 4, 20, 120)  # 5, 15, 5, 15 and sums alike
    found = difference_of_means(treated, control)
    assert found.estimate == 5
    assert found.low < 5 < found.high


def test_power_is_eighty_percent_where_textbooks_say() -> None:
    # 20% against 30%: 291 an arm (unpooled, two-sided 5%, power 80%).
    assert power_of(291, 291, 0.2, 0.3) == pytest.approx(0.8, abs=0.005)


def test_a_broken_split_is_noticed_and_an_ordinary_one_is_not() -> None:
    assert sample_ratio_p(8000, 2000, 20) == pytest.approx(1)
    assert sample_ratio_p(8300, 1700, 20) < 0.001


@pytest.mark.parametrize(
    ("treated", "control", "open_until", "verdict", "because"),
    [
        (arm(8000, 2400), arm(2000, 400), "", "effective", "above zero"),
        (arm(8000, 1200), arm(2000, 400), "", "harmful", "below zero"),
        (arm(8000, 1605), arm(2000, 400), "", "no effect shown", "holds zero"),
        (arm(80, 40), arm(20, 2), "", "no verdict", "too little data: 20 members"),
        (arm(160, 60), arm(40, 2), "", "no verdict", "too little data: the expected effect"),
        (arm(8000, 2400), arm(1500, 300), "", "no verdict", "assignment is broken"),
        (arm(8000, 2400), arm(2000, 400), "2026-05-01", "no verdict", "open until 2026-05-01"),
    ],
)
def test_the_verdict_and_its_reason(treated: Arm, control: Arm, open_until: str, verdict: str, because: str) -> None:
    found = measure(
        treated, control, holdout_percent=20, expected_response=0.3, expected_uplift=0.1, open_until=open_until
    )
    assert found.verdict == verdict
    assert because in found.because


def test_without_an_effect_one_in_twenty_is_called_significant() -> None:
    rng = np.random.default_rng(7)
    arms = zip(rng.binomial(1400, 0.25, 4000).tolist(), rng.binomial(600, 0.25, 4000).tolist(), strict=True)
    found = [difference_of_shares(arm(1400, treated), arm(600, control)) for treated, control in arms]
    assert 0.04 < sum(not one.low <= 0 <= one.high for one in found) / 4000 < 0.06


async def test_the_control_is_sticky_salted_and_the_same_in_sql() -> None:
    members = list(range(1, 3001))
    here = [held_out("salt", member, percent=20) for member in members]
    sql = HELD_OUT.format(salt="'salt'", member="m", percent="20")
    rows = await database.rows(
        f"SELECT {sql} AS held FROM unnest($1::bigint[]) WITH ORDINALITY u (m, place) ORDER BY place", members
    )
    assert [row["held"] for row in rows] == here
    assert 0.17 < sum(here) / len(here) < 0.23
    assert here != [held_out("pepper", member, percent=20) for member in members]
