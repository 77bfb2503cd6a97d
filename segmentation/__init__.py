"""Who members are by what they buy: RFM, clusters, cross-sell, the overview; every run recorded.

The modules below are the public surface; names with an underscore are each module's own.
"""

__all__ = [
    "clusters",
    "cross_sell",
    "errors",
    "overview",
    "rfm",
    "rfm_map",
    "runs",
]
