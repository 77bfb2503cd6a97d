"""Clusters: groups of members that buy alike, found rather than defined."""

import time
from datetime import UTC, date, datetime
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import database
from segmentation.errors import TooLittleData
from segmentation.runs import digest, moment, open_run
from stores.chain import the_chain
from stores.money import shown

K_RANGE: Final = range(3, 9)
STABILITY_MIN: Final = 0.85
CLUSTER_SHARE_MIN: Final = 0.02
RESAMPLES: Final = 5
RESAMPLE_SHARE: Final = 0.8
FIT_ROWS_MAX: Final = 100_000
STABILITY_ROWS_MAX: Final = 6_000
WINSOR: Final = (0.01, 0.99)
SEED: Final = 20260101
MEMBERS_MIN: Final = 100

Matrix = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

_SCHEMA = pa.schema(
    [(name, pa.int64()) for name in ("member_id", "recency_days", "frequency", "monetary", "stores", "span_days")]
)
FEATURES: Final = ("recency_days", "frequency", "monetary")


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster. Medians: days, receipts, minor units; `words` compares it with the whole base."""

    label: int
    members: int
    share: float
    share_of_value: float
    recency_days: float
    frequency: float
    monetary: float
    basket: float
    stores: float
    words: str


class ClusterResult(msgspec.Struct, frozen=True, kw_only=True):
    """A clustering. `stability` is the mean adjusted Rand index by k; `churn` the share of members whose label changed since
    the run before."""

    run_id: int
    as_of: date
    members: int
    k: int
    stability: dict[int, float]
    churn: float | None
    clusters: list[Cluster]


async def cluster_members(as_of: date) -> ClusterResult:
    """Find clusters of the members who have bought, describe them and store the run."""
    started_at, started = datetime.now(UTC), time.perf_counter()
    chain = await the_chain()
    at = moment(as_of, chain)
    base = await database.columns(_BASE, at, schema=_SCHEMA)
    if base.num_rows < MEMBERS_MIN:
        raise TooLittleData(what="members who have bought", have=base.num_rows, need=MEMBERS_MIN)
    frame = base.to_pandas()
    features = standardised(frame[list(FEATURES)].to_numpy(dtype=float))
    stability = {k: _stability(features, k) for k in K_RANGE}
    k = choose_k(features, stability)
    labels = _ordered(_fit(features, k, n_init=10), frame["monetary"].to_numpy())
    labels, churn = await _matched(frame["member_id"].to_numpy(), labels, k)
    clusters = _describe(frame.assign(cluster=labels), chain.currency)
    result = {"k": k, "clusters": msgspec.to_builtins(clusters), "churn": churn}
    async with database.transaction():
        run_id = await open_run(
            "clusters",
            as_of=at,
            parameters={"features": FEATURES, "winsor": WINSOR, "stability_min": STABILITY_MIN, "seed": SEED},
            window=(None, at),
            row_count=len(frame),
            input_digest=digest(base),
            result=result,
            quality={"stability": {str(key): round(value, 4) for key, value in stability.items()}},
            started_at=started_at,
            seconds=round(time.perf_counter() - started, 3),
        )
        stored = pa.table({"run_id": np.full(len(frame), run_id), "member_id": frame["member_id"], "cluster": labels})
        await database.copy_in("segmentation.cluster_member", stored)
    return ClusterResult(
        run_id=run_id, as_of=as_of, members=len(frame), k=k, stability=stability, churn=churn, clusters=clusters
    )


_BASE = """
SELECT member_id, floor(extract(epoch FROM $1 - max(business_time)) / 86400)::bigint, count(*), sum(gross),
    count(DISTINCT store_id), floor(extract(epoch FROM max(business_time) - min(business_time)) / 86400)::bigint
FROM stores.receipt WHERE member_id IS NOT NULL AND gross > 0 AND business_time < $1
GROUP BY member_id ORDER BY member_id
"""


def standardised(raw: Matrix) -> Matrix:
    """Winsorised, log1p, then mean 0 and deviation 1: shape (n, features). Unlogged spending isolates a few whales."""
    low, high = np.quantile(raw, WINSOR, axis=0)
    logged = np.log1p(np.clip(raw, low, high))
    spread = logged.std(axis=0)
    answer: Matrix = (logged - logged.mean(axis=0)) / np.where(spread == 0, 1, spread)
    return answer


def choose_k(features: Matrix, stability: dict[int, float]) -> int:
    """The largest k that is stable and has no cluster under the floor; the most stable one when none is."""
    for k in sorted(stability, reverse=True):
        smallest = np.bincount(_fit(features, k, n_init=10), minlength=k).min() / len(features)
        if stability[k] >= STABILITY_MIN and smallest >= CLUSTER_SHARE_MIN:
            return k
    return max(stability, key=lambda k: stability[k])


def _fit(features: Matrix, k: int, *, n_init: int) -> Labels:
    """Lloyd's k-means on a sample, then every member assigned to the nearest centre."""
    random = np.random.default_rng(SEED)
    sample = features if len(features) <= FIT_ROWS_MAX else random.choice(features, FIT_ROWS_MAX, replace=False)
    model = KMeans(k, n_init=n_init, random_state=SEED).fit(sample)
    labels: Labels = model.predict(features).astype(np.int64)
    return labels


def _stability(features: Matrix, k: int) -> float:
    """Mean adjusted Rand index (Hubert & Arabie 1985) between the clustering and those of 80% resamples."""
    random = np.random.default_rng(SEED + k)
    rows = min(len(features), STABILITY_ROWS_MAX)
    base = features[random.choice(len(features), rows, replace=False)] if rows < len(features) else features
    whole = KMeans(k, n_init=5, random_state=SEED).fit_predict(base)
    scores = []
    for resample in range(RESAMPLES):
        picked = random.choice(rows, int(rows * RESAMPLE_SHARE), replace=False)
        model = KMeans(k, n_init=5, random_state=SEED + resample).fit(base[picked])
        scores.append(adjusted_rand_score(whole[picked], model.labels_))
    return float(np.mean(scores))


def _ordered(labels: Labels, value: npt.NDArray[np.int64]) -> Labels:
    """Labels renumbered by median value, the most valuable first."""
    medians = pd.Series(value).groupby(labels).median().sort_values(ascending=False)
    renumbered = {old: new for new, old in enumerate(medians.index)}
    return np.array([renumbered[label] for label in labels], dtype=np.int64)


async def _matched(members: npt.NDArray[np.int64], labels: Labels, k: int) -> tuple[Labels, float | None]:
    """Labels renamed so that as many members as possible keep theirs (Hungarian assignment), and the share that did not."""
    before = await database.columns(
        "SELECT member_id, cluster FROM segmentation.cluster_member WHERE run_id = (SELECT max(id) FROM segmentation.run "
        "WHERE kind = 'clusters')",
        schema=pa.schema([("member_id", pa.int64()), ("cluster", pa.int64())]),
    )
    if before.num_rows == 0:
        return labels, None
    both = pd.DataFrame({"member_id": members, "now": labels}).merge(before.to_pandas(), on="member_id")
    if both.empty:
        return labels, None
    size = max(k, int(both["cluster"].max()) + 1)
    shared = np.zeros((size, size), dtype=np.int64)
    np.add.at(shared, (both["now"].to_numpy(), both["cluster"].to_numpy()), 1)
    now, then = linear_sum_assignment(-shared)
    free = iter(sorted(set(range(k)) - {int(t) for n, t in zip(now, then, strict=True) if n < k and t < k}))
    renamed = {int(n): int(t) if t < k else next(free) for n, t in zip(now, then, strict=True) if n < k}
    kept = sum(int(shared[n, t]) for n, t in renamed.items())
    return np.array([renamed[label] for label in labels], dtype=np.int64), round(1 - kept / len(both), 4)


def _describe(frame: pd.DataFrame, currency: str) -> list[Cluster]:
    frame = frame.assign(basket=frame["monetary"] / frame["frequency"])
    names = ["recency_days", "frequency", "monetary", "basket", "stores"]
    base = frame[names].median()
    whole = frame["monetary"].sum()
    clusters = []
    for label, group in frame.groupby("cluster"):
        medians = group[names].median()
        clusters.append(
            Cluster(
                label=int(label),
                members=len(group),
                share=round(len(group) / len(frame), 4),
                share_of_value=round(float(group["monetary"].sum() / whole), 4),
                words=_words(medians, base, currency),
                **{name: float(medians[name]) for name in names},
            )
        )
    return clusters


def _words(medians: pd.Series, base: pd.Series, currency: str) -> str:
    """A sentence about the cluster's median member, beside the base's."""
    return (
        f"{_frequency(medians['frequency'] / base['frequency'])}, {medians['frequency']:.0f} receipts "
        f"(base {base['frequency']:.0f}); spends {shown(round(medians['monetary']), currency)} in all, "
        f"{medians['monetary'] / base['monetary']:.1f} times the base; {shown(round(medians['basket']), currency)} a basket; "
        f"{_recency(medians['recency_days'], base['recency_days'])}, {medians['recency_days']:.0f} days ago "
        f"(base {base['recency_days']:.0f})"
    )


def _frequency(ratio: float) -> str:
    if ratio >= 2:
        return "Buys very often"
    if ratio > 1:
        return "Buys often"
    return "Buys as often as most" if ratio == 1 else "Buys rarely"


def _recency(days: float, base: float) -> str:
    if days <= base / 2:
        return "seen lately"
    return "seen some time ago" if days <= base * 2 else "not seen for long"
