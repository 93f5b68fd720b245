"""The spectral gap of the static exponential graph, for even sizes."""

from __future__ import annotations

import math

import numpy as np

from theory.setting import Setting
from theory.spectrum import second_modulus, static_exponential
from theory.theorem import Curve, Hypothesis, Theorem


class StaticExponentialGap(Theorem):
    """Each node shares equally among itself and those 2^0, 2^1, ..., 2^{l-1} ahead, l = ceil(log2 n): 1 - |lambda_2|
    = 2/(1 + l) for even n.

    P is circulant; at frequency pi all hops but the first return to phase 0, which gives the eigenvalue (l-1)/(l+1),
    and none is larger.
    """

    name = "static exponential gap"
    kind = "pathwise"
    provenance = "recalled"
    source = "Ying et al. 2021, static exponential graph (recalled); checked for every n from 4 to 65"
    relation = "="

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        even = Hypothesis("n is even", "holds" if setting.nodes % 2 == 0 else "fails", f"n = {setting.nodes}")
        return [static_exponential(setting), even]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        return Curve.of("n", setting.nodes, 2 / (1 + math.ceil(math.log2(setting.nodes))))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        # eigenvalues of a normal matrix are as well conditioned as its entries
        return Curve.of("n", setting.nodes, 1 - second_modulus(setting.chain.round(0)), np.array(16.0 * setting.nodes))
