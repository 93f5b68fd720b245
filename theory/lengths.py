"""Lengths: the product lengths at which claims about contraction are looked at, and the largest kernel entries there.

The rule: every length up to the horizon or LONGEST, whichever is less, and for each length every start whose kernel
can differ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from theory.setting import Setting

LONGEST = 80


def lengths(setting: Setting) -> NDArray[np.int64]:
    """m = 0, 1, ..., min(horizon, LONGEST)."""
    return np.arange(min(setting.mixing.horizon, LONGEST) + 1)


def largest_entries(setting: Setting) -> NDArray[np.float64]:
    """max_ij |[E_{s+m:s}]_ij| over all starts s, real rows and all columns, for each m."""
    return np.array([float(np.abs(found).max()) for found in setting.mixing.kernels(int(lengths(setting)[-1]))])


def rounding(setting: Setting) -> NDArray[np.float64]:
    """Roundings in a kernel of m rounds, times the size of its entries."""
    return (lengths(setting) + 2) * (setting.mixing.states + 4) / setting.mixing.least_weight
