"""Fleet rounds: the schedule's matrices acting on arrays of all nodes and seeds at once.

The rule: one sparse product per round, over rows that store the own share first and then ascending senders, which adds
in the very order in which a single node adds. A round that is mixed in late acts on two masses stacked: what was kept
of the one, what arrives of the other. Weights are float64; where all weights are 1 and every row of the round sums to 1
in this order, they stay the same array, and cost nothing.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse._sparsetools import csr_matvecs  # pyright: ignore[reportAttributeAccessIssue]

from sgpsim.mass import Mass, typed_as
from sgpsim.schedules.schedule import Round, Schedule

KEPT_MATRICES = 512


class KeptShare:
    """The own shares of round `step` of `mass`: a Mass that is made only if somebody looks at it, since mixing at once takes
    the whole product instead. make: makes it. unguarded: the same without a guard, where it has one."""

    __slots__ = ("_made", "_make", "_unguarded", "mass", "step")

    def __init__(self, step: int, mass: Mass, make: Callable[[], Mass], unguarded: KeptShare | None = None) -> None:
        self.step, self.mass, self._unguarded = step, mass, unguarded
        self._make, self._made = make, None

    @property
    def whole(self) -> KeptShare:
        return self if self._unguarded is None else self._unguarded

    @property
    def _shares(self) -> Mass:
        if self._made is None:
            self._made: Mass | None = self._make()
        return self._made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shares, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._shares)

    def __getitem__(self, place: Any) -> Any:
        return self._shares[place]

    def __len__(self) -> int:
        return len(self._shares)

    def __rmul__(self, share: float) -> Mass:
        return share * self._shares

    def __add__(self, other: Mass) -> Mass:
        return self._shares + other


class FleetRounds:
    """A schedule's rounds on numpy arrays shaped (nodes, seeds, dimension), or on torch tensors of the same shape."""

    def __init__(self, schedule: Schedule, dtype: np.dtype[Any], device: str | None) -> None:
        self.schedule, self.dtype, self.device = schedule, dtype, device
        self._matrices: dict[tuple[Any, ...], Any] = {}
        self._ones: Any = None

    def ones(self) -> Any:
        """The weights at the start, (nodes, 1, 1); one array, known again by identity."""
        if self._ones is None:
            ones = np.ones((self.schedule.size, 1, 1))
            self._ones = ones if self.device is None else self._tensor(ones)
        return self._ones

    def own(self, step: int, mass: Mass) -> Mass:
        """diag(P) mass."""
        phase = self.schedule.phase(step)
        value_shares, weight_shares = self._cached(("own", phase), lambda: self._own(step))
        return Mass(mass.value * value_shares, mass.weight * weight_shares)

    def mix(self, step: int, kept: Mass | KeptShare, mass: Mass) -> Mass:
        """`kept` plus what arrives of `mass` in round `step`."""
        phase = self.schedule.phase(step)
        if isinstance(kept, KeptShare):
            if kept.step == step:
                if mass.weight is self._ones and self._plain(step, phase):
                    return Mass(self._product(("mix", phase), lambda: self.schedule.matrix(step), mass.value), mass.weight)
                return self._both(("mix", phase), lambda: self.schedule.matrix(step), mass)
            own = self.schedule.round(kept.step)
            name = ("late", self.schedule.phase(kept.step), phase)
            return self._both(
                name, lambda: stacked(np.asarray(own.kept), self.schedule.round(step)), _stack(kept.mass, mass)
            )
        ones = np.ones(self.schedule.size)
        return self._both(("late", None, phase), lambda: stacked(ones, self.schedule.round(step)), _stack(kept, mass))

    def sent(self, step: int, mass: Mass) -> list[tuple[Any, Any]]:
        """What the messages of round `step` carry, in float64: values and weights by sender, in as many parts as a sender
        has different shares. A message's value is rounded as it is sent, before it is added to others."""
        parts = self._cached(("sent", self.schedule.phase(step)), lambda: self._sent(step))
        return [
            (typed_as(shares, mass.value) * mass.value * counts, shares * mass.weight * counts)
            for shares, counts in parts
        ]

    def _both(self, name: tuple[Any, ...], make: Any, mass: Mass) -> Mass:
        return Mass(self._product(name, make, mass.value), self._product((*name, "w"), make, mass.weight))

    def _product(self, name: tuple[Any, ...], make: Any, array: Any) -> Any:
        key = (*name, array.dtype)
        placed = self._matrices.get(key)
        if placed is None:
            placed = self._cached(key, lambda: self._placed(make(), array))
        if not isinstance(placed, tuple):
            return (placed @ array.reshape(len(array), -1)).reshape(-1, *array.shape[1:])
        rows, pointers, indices, data = placed
        columns = len(array)
        mixed = np.zeros((rows, *array.shape[1:]), array.dtype)
        flat = np.ascontiguousarray(array).reshape(-1)
        # the kernel behind `matrix @ array`: scipy's dispatch around it costs more than the product for small fleets
        csr_matvecs(rows, columns, flat.size // columns, pointers, indices, data, flat, mixed.reshape(-1))
        return mixed

    def _placed(self, matrix: csr_array, array: Any) -> Any:
        """The matrix where `array` is: (rows, pointers, indices, data) for numpy, a sparse tensor for torch."""
        if isinstance(array, np.ndarray):
            return matrix.shape[0], matrix.indptr, matrix.indices, matrix.data.astype(array.dtype)
        import torch  # only where tensors came in

        ordered = matrix.sorted_indices()  # torch's kernels rely on it, and agree with numpy to rounding only anyhow
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return torch.sparse_csr_tensor(
                torch.as_tensor(ordered.indptr, dtype=torch.int64),
                torch.as_tensor(ordered.indices, dtype=torch.int64),
                torch.as_tensor(ordered.data, dtype=array.dtype),
                size=ordered.shape,
                dtype=array.dtype,
                check_invariants=True,
            ).to(array.device)

    def _sent(self, step: int) -> list[tuple[Any, Any]]:
        """The different shares of every sender, one of each in a part, and how many messages carry it: (nodes, 1, 1)."""
        each = [Counter(share for _, share in sent) for sent in self.schedule.round(step).pushes]
        parts: list[tuple[Any, Any]] = []
        for number in range(max(map(len, each), default=0)):
            of_number = [list(shares.items())[number] if number < len(shares) else (0.0, 0) for shares in each]
            part = np.array(of_number, dtype=np.float64)[:, :, None, None]
            parts.append((part[:, 0], part[:, 1]) if self.device is None else (self._tensor(part[:, 0]), self._tensor(part[:, 1])))
        return parts

    def _own(self, step: int) -> tuple[Any, Any]:
        shares = np.asarray(self.schedule.round(step).kept)[:, None, None]
        if self.device is None:
            return shares.astype(self.dtype), shares
        return self._tensor(shares.astype(self.dtype)), self._tensor(shares)

    def _plain(self, step: int, phase: int) -> bool:
        """Whether every row of the round sums to 1 exactly, in the order in which it is added."""
        found = self._matrices.get(("plain", phase))
        if found is None:
            sums = self.schedule.matrix(step) @ np.ones(self.schedule.size)
            found = self._cached(("plain", phase), lambda: bool((sums == 1.0).all()))
        return found

    def _tensor(self, array: NDArray[Any]) -> Any:
        import torch

        return torch.as_tensor(array, device=self.device)

    def _cached(self, name: tuple[Any, ...], make: Any) -> Any:
        found = self._matrices.get(name)
        if found is None:
            if len(self._matrices) >= KEPT_MATRICES:
                self._matrices.clear()
            found = self._matrices[name] = make()
        return found


def stacked(own: NDArray[np.float64], round_: Round) -> csr_array:
    """[diag(own) | P without its diagonal], (n, 2n), each row its own entry first: acts on (kept from, arriving from)
    stacked."""
    arriving = round_.arriving
    size = round_.size
    first = arriving.indptr[:-1]
    data = np.insert(arriving.data, first, own)
    indices = np.insert(arriving.indices + size, first, np.arange(size))
    return csr_array((data, indices, arriving.indptr + np.arange(size + 1)), shape=(size, 2 * size))


def _stack(first: Mass, second: Mass) -> Mass:
    """Two masses, one above the other."""
    if isinstance(first.value, np.ndarray):
        return Mass(np.concatenate((first.value, second.value)), np.concatenate((first.weight, second.weight)))
    import torch

    return Mass(torch.cat((first.value, second.value)), torch.cat((first.weight, second.weight)))
