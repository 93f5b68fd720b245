"""Collectives in closed form: seconds from the last arrival to the end of an all-reduce.

The rule: an all-reduce starts when the last node has come and all nodes leave together. `efficiency` is a fitted share of the bandwidth, and named
so; at 1 the closed form is that of the literature (Thakur, Rabenseifner and Gropp 2005; Patarasuk and Yuan 2009, recalled).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from sgpsim.errors import SpecificationError, require_positive


class Collective(ABC):
    """How an all-reduce is carried out."""

    @abstractmethod
    def seconds(self, nodes: int, size: float, latency: float, seconds_per_byte: float) -> float:
        """Seconds of one all-reduce of `size` bytes over `nodes` nodes; 0 for one node."""


def require_efficiency(name: str, value: float) -> None:
    """Raise unless the fitted efficiency of a collective lies in (0, 1]."""
    require_positive(f"{name}(fitted_efficiency)", value)
    if value > 1:
        raise SpecificationError(f"{name}(fitted_efficiency) is {value!r}; it must lie in (0, 1]. Give the share of line rate reached, such as 0.15.")


@dataclass(frozen=True)
class Ring(Collective):
    """Bandwidth-optimal ring: 2 (n - 1) (alpha + size / (n * efficiency * bandwidth)).

    fitted_efficiency: share of the bandwidth that the collective reaches, fitted to measured times; 1 is the closed form.
    """

    fitted_efficiency: float = 1.0

    def __post_init__(self) -> None:
        require_efficiency("Ring", self.fitted_efficiency)

    def seconds(self, nodes: int, size: float, latency: float, seconds_per_byte: float) -> float:
        return 2 * (nodes - 1) * (latency + size * seconds_per_byte / (nodes * self.fitted_efficiency))
