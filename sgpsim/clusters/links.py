"""Links: networks by name, with where their figures come from.

The rule: a value here is a line rate, a payload share and a latency that a document or a simulator gives, never one
fitted to the paper that is to be reproduced; fits are in `calibration`.
"""

from __future__ import annotations

from sgpsim.clusters.hockney import Hockney

ETHERNET_10G = Hockney(latency=50e-6, bandwidth=1.25e9, efficiency=0.94)
"""10 Gb/s Ethernet under TCP: 1.25 GB/s line rate, of which large messages get 0.94 as payload (the bandwidth factor
0.940694 above 64 KiB in SimGrid's SMPI model, Models.rst; its LV08 model has 0.97), 50 us end to end (two hops of about
24 us, the link latency of SimGrid's griffon.xml platform). A single TCP stream often stays below this (recalled)."""

INFINIBAND_EDR = Hockney(latency=2e-6, bandwidth=12.5e9, efficiency=0.96)
"""100 Gb/s InfiniBand EDR: 12.5 GB/s line rate, 0.96 of it reached (NCCL's tuning model takes 12.0 GB/s for a 100 Gb/s
net, src/graph/topo.h), 2 us end to end (recalled: MPI measures 1 to 2)."""

NCCL_NET_STEP = 14e-6
"""Seconds that one step between nodes costs in NCCL's tuning model (src/graph/tuning.cc, hardware latency of the
network in the Simple protocol), latency of the wire included."""
