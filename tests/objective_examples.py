"""Objectives that the tests go through: every kind, even and skewed, shared and unequal, one dimension, one node."""

from __future__ import annotations

import numpy as np

from sgpsim.objectives.datasets import SyntheticClassification
from sgpsim.objectives.logistic import LogisticRegression
from sgpsim.objectives.objective import Constant, Objective
from sgpsim.objectives.quadratic import Quadratic, QuadraticArrays
from sgpsim.objectives.sigmoid import SigmoidLoss
from sgpsim.objectives.softmax import SoftmaxRegression
from sgpsim.objectives.split import ByGroup, ByLabel, DirichletSplit

UNLIKE = SyntheticClassification(samples=96, features=5, groups=4, unlikeness=1.0, flipped=0.1)
THREE = SyntheticClassification(samples=60, features=4, classes=3)

EXAMPLES: dict[str, Objective] = {
    "dense": Quadratic(nodes=4, dimension=5),
    "dense, unequal": Quadratic(nodes=4, dimension=5, unequal=True),
    "diagonal": Quadratic(nodes=3, dimension=4, structure="diagonal"),
    "diagonal, unequal": Quadratic(nodes=3, dimension=4, structure="diagonal", unequal=True),
    "scalar, one dimension, no noise": Quadratic(nodes=3, dimension=1, structure="scalar", noise=0.0),
    "scalar, unequal": Quadratic(nodes=3, dimension=2, structure="scalar", unequal=True),
    "one node": Quadratic(nodes=1, dimension=3),
    "arrays, shared": QuadraticArrays(
        np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[1.0, 0.0], [0.0, 3.0], [1.0, 1.0]]), 0.5
    ),
    "arrays, own": QuadraticArrays(np.array([[[2.0]], [[1.0]]]), np.array([[1.0], [0.0]]), 0.5),
    "logistic": LogisticRegression(nodes=4, data=UNLIKE, split=ByGroup(), regularization=0.1),
    "logistic, skewed epochs": LogisticRegression(nodes=5, data=UNLIKE, split=DirichletSplit(0.1), sampling="epochs"),
    "softmax": SoftmaxRegression(nodes=3, data=THREE, split=ByLabel(), regularization=0.1),
    "softmax, skewed": SoftmaxRegression(nodes=4, data=THREE, split=DirichletSplit(0.2), bias=False, batch=3),
    "sigmoid": SigmoidLoss(nodes=4, data=UNLIKE, split=ByGroup()),
    "sigmoid, steep": SigmoidLoss(nodes=3, data=UNLIKE, scale=None, bias=True, sampling="epochs"),
}


def examples(*kinds: type[Objective]) -> list[str]:
    return [name for name, objective in EXAMPLES.items() if isinstance(objective, kinds)]


def value(constant: Constant) -> float:
    """The value of a constant that must be known."""
    assert constant.value is not None
    return constant.value
