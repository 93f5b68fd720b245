"""Exact moments: mean and covariance of stochastic gradient push on quadratics, so that claims about expectations
need no sampling.

The rule: with f_i(x) = (1/2)(x - b_i)' H_i (x - b_i) and g_i = H_i (z_i - b_i) + xi_i, the noise additive with
covariance C_i, a step is affine in X: X' = P (X - gamma (H diag(w)^{-1} X - H b + xi)), so mean and covariance of X
(all states, those of messages under way included) follow by one matrix product each, and every figure in Moments is
the expectation of a quadratic form: E v'v = tr(F S F') + |F m + c|^2 for v = F X + c. Curvature may differ from node
to node. Nothing here knows of sgpsim's algorithms or objectives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sgpsim.errors import SpecificationError
from sgpsim.objectives.objective import Constant, Constants
from theory.chain import Chain
from theory.evidence import FIGURES, Moments
from theory.setting import Setting


@dataclass(frozen=True, eq=False)
class Quadratics:
    """hessians: H_i, (nodes, d, d), symmetric, positive semidefinite. centres: b_i, (nodes, d). noise: C_i, (nodes,
    d, d), covariance of one gradient."""

    hessians: NDArray[np.float64]
    centres: NDArray[np.float64]
    noise: NDArray[np.float64]

    @property
    def minimizer(self) -> NDArray[np.float64]:
        """x* = (sum_i H_i)^{-1} sum_i H_i b_i."""
        return np.linalg.solve(self.hessians.sum(axis=0), np.einsum("ide,ie->d", self.hessians, self.centres))

    @property
    def shared(self) -> bool:
        """Whether all nodes have the same curvature, so that zeta^2 is finite over all points."""
        return bool((self.hessians == self.hessians[0]).all())

    def loss(self, at: NDArray[np.float64]) -> float:
        away = at - self.centres
        return float(np.einsum("id,ide,ie->", away, self.hessians, away) / (2 * len(self.centres)))

    def constants(self) -> Constants:
        """L and mu from the eigenvalues, sigma^2 = max_i tr C_i, zeta^2 = (1/n) sum_i |H (b_i - bbar)|^2 if curvature
        is shared, f* = f(x*)."""
        curvatures = np.linalg.eigvalsh(self.hessians)
        pulls = np.einsum("ide,ie->id", self.hessians, self.centres - self.centres.mean(axis=0))
        unlike = Constant(float((pulls**2).sum(axis=1).mean()), "certified", "gradients differ by H (b_i - b_j) everywhere")
        return Constants(
            smoothness=Constant(float(curvatures.max()), "certified", "largest eigenvalue of any Hessian"),
            convexity=Constant(float(curvatures.min()), "certified", "smallest eigenvalue of any Hessian"),
            variance=Constant(
                float(np.trace(self.noise, axis1=1, axis2=2).max()),
                "certified",
                "largest trace of the noise covariances",
            ),
            heterogeneity=unlike if self.shared else Constant.unknown("curvatures differ, so gradients differ without bound: A2 fails"),
            lowest=Constant(self.loss(self.minimizer), "certified", "f at the minimizer"),
        )

    def setting(self, title: str, chain: Chain, steps: int, step_size: float, start: NDArray[np.float64], **more: object) -> Setting:
        """The setting of SGP on these functions over `chain`, started at `start` (nodes, d)."""
        bare = Setting(title, chain, steps, self.constants(), step_size, start, self.loss(start.mean(axis=0)))
        return replace(bare, sampling="replacement", own_stream=True, **more)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, eq=False)
class _Step:
    """One step's maps. jump, drift: mean' = jump mean + drift. added: what noise adds to the covariance. tall,
    offset: all figures' F and c, stacked; cuts: where each begins; scales: factor of each; squares: F'F of each,
    (figures, size, size)."""

    jump: NDArray[np.float64]
    drift: NDArray[np.float64]
    added: NDArray[np.float64]
    tall: NDArray[np.float64]
    offset: NDArray[np.float64]
    cuts: NDArray[np.int64]
    scales: NDArray[np.float64]
    squares: NDArray[np.float64]

    def figures(self, mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
        """scale (tr(F S F') + |F m + c|^2) of every figure."""
        centred = self.tall @ mean + self.offset
        return self.scales * (np.add.reduceat(centred * centred, self.cuts) + np.tensordot(self.squares, covariance, 2))


def exact_moments(setting: Setting, functions: Quadratics) -> Moments:
    """The expectations of all figures for k = 0..K-1 (loss and distance to K), on the setting's rounds, delays
    included. SpecificationError where the setting's constants are those of other functions."""
    assert setting.step_size is not None and setting.start is not None
    _require_functions(setting, functions)
    chain, (nodes, dimension) = setting.mixing, functions.centres.shape
    size = chain.states * dimension
    mean, covariance = np.zeros(size), np.zeros((size, size))
    mean[: nodes * dimension] = setting.start.ravel()
    found = np.empty((setting.steps + 1, len(FIGURES)))
    sizes, spreads = np.empty(setting.steps + 1), np.empty(setting.steps + 1)
    steps: dict[int, _Step] = {}
    for number in range(setting.steps + 1):
        phase = chain.phase(number)
        step = steps.get(phase) or steps.setdefault(phase, _step(functions, chain, phase, setting.step_size))
        found[number] = step.figures(mean, covariance)
        sizes[number] = np.sqrt(mean @ mean + np.trace(covariance)) / chain.weights[number].min()
        spreads[number] = np.trace(covariance) / chain.weights[number].min() ** 2
        mean = step.jump @ mean + step.drift
        covariance = step.jump @ covariance @ step.jump.T + step.added
    columns = dict(zip(FIGURES, found.T, strict=True))
    columns["loss"] = columns["loss"] + functions.loss(functions.minimizer)
    variance = np.trace(functions.noise, axis1=1, axis2=2).mean()
    columns["drawn"] = columns["drawn"] + variance
    away = np.linalg.norm(functions.centres, axis=1).max()  # gradients are measured from the centres
    reach = (2 * size + 8) * (np.maximum.accumulate(sizes) + away)
    cut = {name: values if name in ("loss", "distance") else values[:-1] for name, values in columns.items()}
    lost = (2 * size + 8) * float(np.finfo(np.float64).eps) * np.maximum.accumulate(spreads)
    return Moments(**cut, noise=np.full(setting.steps, variance), reach=reach, covariance_rounding=lost, origin=setting)


def _require_functions(setting: Setting, functions: Quadratics) -> None:
    known = functions.constants()
    for name in ("smoothness", "convexity", "variance", "lowest"):
        asked, given = getattr(setting.constants, name).value, getattr(known, name).value
        if asked is not None and not np.isclose(asked, given, rtol=1e-9, atol=1e-9 * max(1.0, abs(given))):
            raise SpecificationError(
                f"{name} is {asked:.6g} in the setting and {given:.6g} of the functions; moments are those of the setting's own"
                " functions. Make both from one objective."
            )


def _step(functions: Quadratics, chain: Chain, number: int, step_size: float) -> _Step:
    """The maps of step `number`. F and c of each figure stand beside its definition, as scale |F X + c|^2."""
    nodes, dimension = functions.centres.shape
    real, size, eye = nodes * dimension, chain.states * dimension, np.eye(dimension)
    curvature, noise = np.zeros((size, size)), np.zeros((size, size))
    for node in range(nodes):
        block = slice(node * dimension, (node + 1) * dimension)
        curvature[block, block], noise[block, block] = functions.hessians[node], functions.noise[node]
    pull = np.concatenate((np.einsum("ide,ie->id", functions.hessians, functions.centres).ravel(), np.zeros(size - real)))
    points = np.kron(np.eye(nodes, chain.states) / chain.weights[number][:, None], eye)  # Z = diag(w)^{-1} X of the real nodes
    average = np.kron(np.full((1, chain.states), 1.0 / nodes), eye)  # xbar counts what is under way
    hessian, minimizer = functions.hessians.mean(axis=0), functions.minimizer
    gradients = curvature[:real, :real] @ points
    mean_over_nodes = np.kron(np.full((1, nodes), 1.0 / nodes), eye)
    every = np.kron(np.eye(nodes), hessian)
    zero = np.zeros(real)
    forms = {
        "loss": (np.linalg.cholesky(hessian).T @ average, -np.linalg.cholesky(hessian).T @ minimizer, 0.5),
        "squared_gradient": (hessian @ average, -hessian @ minimizer, 1.0),
        "deviation": (points - np.kron(np.ones((nodes, 1)), average), zero, 1.0 / nodes),
        "mean_gradient": (mean_over_nodes @ gradients, -mean_over_nodes @ pull[:real], 1.0),
        "drawn": (gradients, -pull[:real], 1.0 / nodes),
        "at_nodes": (every @ points, -every @ np.tile(minimizer, nodes), 1.0 / nodes),
        "distance": (average, -minimizer, 1.0),
    }
    mixing = np.kron(chain.round(min(number, chain.horizon - 1)), eye)  # after the last step nothing is mixed
    everywhere = np.concatenate((points, np.zeros((size - real, size))))
    heights = [len(forms[name][1]) for name in FIGURES]
    return _Step(
        jump=mixing @ (np.eye(size) - step_size * curvature @ everywhere),
        drift=step_size * mixing @ pull,
        added=step_size**2 * mixing @ noise @ mixing.T,
        tall=np.concatenate([forms[name][0] for name in FIGURES]),
        offset=np.concatenate([forms[name][1] for name in FIGURES]),
        cuts=np.concatenate(([0], np.cumsum(heights)[:-1])),
        scales=np.array([forms[name][2] for name in FIGURES]),
        squares=np.stack([forms[name][0].T @ forms[name][0] for name in FIGURES]),
    )
