"""The spectral gap of the static exponential graph, for odd sizes."""

from __future__ import annotations

import math

import numpy as np

from theory.setting import Setting
from theory.spectrum import second_modulus, static_exponential
from theory.theorem import Curve, Hypothesis, Theorem


class StaticExponentialGapOdd(Theorem):
    """For odd n >= 3 the gap of the static exponential graph is at least that of even sizes: |lambda_2| <= (l-1)/(l+1), l
    = ceil(log2 n).

    No frequency of an odd circulant is exactly pi.
    """

    name = "static exponential gap, odd"
    kind = "pathwise"
    provenance = "recalled"
    source = "Ying et al. 2021, static exponential graph (recalled); checked for every n from 4 to 65"

    def hypotheses(self, setting: Setting) -> list[Hypothesis]:
        nodes = setting.nodes
        odd = Hypothesis("n is odd, and at least 3", "holds" if nodes % 2 == 1 and nodes >= 3 else "fails", f"n = {nodes}")
        return [static_exponential(setting), odd]

    def predicted(self, setting: Setting, evidence: None) -> Curve:
        levels = math.ceil(math.log2(setting.nodes))
        return Curve.of("n", setting.nodes, (levels - 1) / (levels + 1))

    def measured(self, setting: Setting, evidence: None) -> Curve:
        return Curve.of("n", setting.nodes, second_modulus(setting.chain.round(0)), np.array(16.0 * setting.nodes))
