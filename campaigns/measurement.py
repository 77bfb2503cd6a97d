"""What a campaign changed: the treated against the held-out control, by intention to treat.

Pure arithmetic on two arms' counts; `report.py` gathers them.
"""

from math import sqrt
from statistics import NormalDist
from typing import Final, Literal

import msgspec

CONFIDENCE: Final = 0.95
POWER_MIN: Final = 0.8
ARM_MIN: Final = 30
SAMPLE_RATIO_P_MIN: Final = 0.001

Verdict = Literal["effective", "harmful", "no effect shown", "no verdict"]


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One arm: members, how many of them bought, and their spend (minor units) with its sum of squares."""

    members: int
    buyers: int
    spend: int
    spend_squared: int

    @property
    def rate(self) -> float:
        return self.buyers / self.members if self.members else 0.0

    @property
    def mean(self) -> float:
        return self.spend / self.members if self.members else 0.0

    @property
    def variance(self) -> float:
        """Of spend between members, unbiased."""
        if self.members < 2:
            return 0.0
        return (self.spend_squared - self.members * self.mean**2) / (self.members - 1)


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate and its 95% interval."""

    estimate: float
    low: float
    high: float


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The measured effect. `response` is a difference of shares, `spend` of minor units a member."""

    response: Interval
    spend: Interval
    power: float
    sample_ratio_p: float
    verdict: Verdict
    because: str


def measure(
    treated: Arm,
    control: Arm,
    *,
    holdout_percent: int,
    expected_response: float,
    expected_uplift: float,
    open_until: str,
) -> Effect:
    """Compare two arms. `open_until` names the end of a window that still runs, or is empty."""
    response = difference_of_shares(treated, control)
    power = power_of(treated.members, control.members, expected_response - expected_uplift, expected_response)
    ratio_p = sample_ratio_p(treated.members, control.members, holdout_percent)
    verdict, because = _verdict(treated, control, response, power, ratio_p, open_until)
    return Effect(
        response=response,
        spend=difference_of_means(treated, control),
        power=round(power, 4),
        sample_ratio_p=round(ratio_p, 6),
        verdict=verdict,
        because=because,
    )


def difference_of_shares(treated: Arm, control: Arm) -> Interval:
    """Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10), which holds up for small counts."""
    estimate = treated.rate - control.rate
    if not treated.members or not control.members:
        return Interval(estimate=estimate, low=-1.0, high=1.0)
    low_t, high_t = _wilson(treated.buyers, treated.members)
    low_c, high_c = _wilson(control.buyers, control.members)
    low = estimate - sqrt((treated.rate - low_t) ** 2 + (high_c - control.rate) ** 2)
    high = estimate + sqrt((high_t - treated.rate) ** 2 + (control.rate - low_c) ** 2)
    return Interval(estimate=estimate, low=low, high=high)


def difference_of_means(treated: Arm, control: Arm) -> Interval:
    """Welch's interval with the normal quantile: a verdict needs arms of at least 30, where it and Student's agree."""
    estimate = treated.mean - control.mean
    if not treated.members or not control.members:
        return Interval(estimate=estimate, low=float("-inf"), high=float("inf"))
    half = _z() * sqrt(treated.variance / treated.members + control.variance / control.members)
    return Interval(estimate=estimate, low=estimate - half, high=estimate + half)


def power_of(treated: int, control: int, rate_control: float, rate_treated: float) -> float:
    """Chance of finding a true difference of shares at 5% two-sided (normal approximation, unpooled)."""
    if not treated or not control:
        return 0.0
    deviation = sqrt(rate_treated * (1 - rate_treated) / treated + rate_control * (1 - rate_control) / control)
    return NormalDist().cdf(abs(rate_treated - rate_control) / deviation - _z()) if deviation else 1.0


def sample_ratio_p(treated: int, control: int, holdout_percent: int) -> float:
    """p-value that arms of these sizes come from the planned split (chi-squared, one degree of freedom)."""
    total = treated + control
    share = holdout_percent / 100
    if not total or share in (0, 1):
        return 1.0
    z = (control - total * share) / sqrt(total * share * (1 - share))
    return 2 * (1 - NormalDist().cdf(abs(z)))


def _verdict(
    treated: Arm, control: Arm, response: Interval, power: float, ratio_p: float, open_until: str
) -> tuple[Verdict, str]:
    smaller = min(treated.members, control.members)
    chance = f"the expected effect would be found with a chance of {power:.0%}"
    doubts = (
        (bool(open_until), f"the response window is open until {open_until}"),
        (smaller < ARM_MIN, f"too little data: {smaller} members in the smaller arm, at least {ARM_MIN} are needed"),
        (ratio_p < SAMPLE_RATIO_P_MIN, "the arms' sizes do not fit the planned holdout: the assignment is broken"),
        (power < POWER_MIN, f"too little data: {chance}, {POWER_MIN:.0%} are needed"),
    )
    for doubtful, because in doubts:
        if doubtful:
            return "no verdict", because
    if response.low > 0:
        return "effective", "the whole interval lies above zero"
    if response.high < 0:
        return "harmful", "the whole interval lies below zero"
    return "no effect shown", f"the interval holds zero; {chance}"


def _wilson(hits: int, members: int) -> tuple[float, float]:
    z, share = _z(), hits / members
    centre = (share + z**2 / (2 * members)) / (1 + z**2 / members)
    half = z * sqrt(share * (1 - share) / members + z**2 / (4 * members**2)) / (1 + z**2 / members)
    return max(0.0, centre - half), min(1.0, centre + half)


def _z() -> float:
    return NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
