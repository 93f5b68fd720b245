"""Which functions and methods of numpy and torch, by name, act within one node's numbers.

The rule: a name stands here only if numpy and torch mean the same by it wherever both have it, and the result has the
same bits for one node as for many together. What does not stand here is refused on guarded arrays.
"""

from __future__ import annotations


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


EACH = _names(
    "abs absolute add astype ceil clamp clip clone conj copy cos div divide double eq exp expm1 fabs float floor"
    " floor_divide full_like ge gt isclose isfinite isinf isnan le log log1p logical_and logical_not logical_or lt maximum"
    " minimum mul multiply nan_to_num ne neg negative ones_like pow power real reciprocal relu round rsqrt sigmoid sign"
    " sin softplus sqrt square sub subtract tanh to true_divide where zeros_like"
)
"""Those that treat every number alone."""
ONE_OF_EACH = _names(
    "all amax amin any argmax argmin average count_nonzero logsumexp max mean median min nanmax nanmean nanmin nansum"
    " norm percentile prod ptp quantile std sum var vector_norm"
)
"""Those that make one number of an axis: with axis=-1 and keepdims=True."""
ALONG = _names("argsort cumprod cumsum flip partition softmax sort take_along_axis")
"""Those that keep an axis and look along it: with axis=-1."""
