"""The trace of a fleet: the same spans and messages that the event simulation keeps, from the max-plus clock of the
first seed."""

from __future__ import annotations

from sgpsim.backends.fleet.clock import FleetClock, Times
from sgpsim.results.trace import Trace, TraceBuilder


class FleetTrace:
    """Watches a clock's first column."""

    def __init__(self, clock: FleetClock, seed: int, message_size: float) -> None:
        self.clock, self.builder, self.message_size = clock, TraceBuilder(seed), message_size

    def computed(self, step: int, before: Times) -> None:
        """All nodes have computed a gradient since the clock stood at `before`."""
        for node, (begin, end) in enumerate(zip(before[:, 0].tolist(), self.clock.now[:, 0].tolist(), strict=True)):
            self.builder.spans.append((node, "compute", "gradient", step, begin, end))

    def sent(self, step: int) -> None:
        """All nodes have sent their messages of round `step`."""
        assert self.clock.departures is not None
        columns = (times[:, 0].tolist() for times in (*self.clock.departures, self.clock.arrivals(step)))
        round_ = self.clock.schedule.round(step)
        pairs = ((sender, receiver) for receiver in range(round_.size) for sender in round_.senders[receiver])
        for (sender, receiver), begin, end, arrival in zip(pairs, *columns, strict=True):
            self.builder.messages.append((sender, receiver, "round", step, begin, end, arrival, self.message_size))

    def waited(self, step: int, round_: int, before: Times) -> None:
        """All nodes have waited for round `round_` since the clock stood at `before`."""
        for node, (begin, end) in enumerate(zip(before[:, 0].tolist(), self.clock.now[:, 0].tolist(), strict=True)):
            if end > begin:
                self.builder.spans.append((node, "wait", f"round {round_}", step, begin, end))

    def met(self, step: int, before: Times) -> None:
        """All nodes have joined a collective since the clock stood at `before`."""
        latest = float(before[:, 0].max())
        end = float(self.clock.now[0, 0])
        for node, begin in enumerate(before[:, 0].tolist()):
            if latest > begin:
                self.builder.spans.append((node, "wait", "barrier", step, begin, latest))
            if end > latest:
                self.builder.spans.append((node, "receive", "all-reduce", step, latest, end))

    def build(self) -> Trace:
        return self.builder.build()
