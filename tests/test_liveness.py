"""Who is to blame, told from pulses alone; messages and ledgers over a wire made of queues."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sgpsim.algorithms.sgp import SGP
from sgpsim.backends.processes.liveness import Activity, Pulse, PulseWriter, Verdict, Watch, and_so_the_others
from sgpsim.backends.processes.pulse_boards import FileBoard
from sgpsim.backends.processes.records import Record, read_lines, read_rows, row_type
from sgpsim.backends.processes.transport import MessageLost, PeerLost, Post
from sgpsim.budget import Steps
from sgpsim.experiment import Experiment
from sgpsim.mass import Mass
from sgpsim.objectives.quadratic import Quadratic
from sgpsim.schedules.one_peer_exponential import OnePeerExponential

COMPUTING, WAITING, DONE = Activity.COMPUTING, Activity.WAITING, Activity.DONE


class Clock:
    """Time as the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def _watched(seconds: float, *pulses: list[Pulse], beating: bool = True) -> Verdict | None:
    """Show the watch the same pulses for `seconds`; those whose beats are above 0 go on beating."""
    clock = Clock()
    watch = Watch(len(pulses[0]), timeout=10, start_timeout=60, hung_after=30, clock=clock)
    found: Verdict | None = None
    for shown in pulses:
        begin = clock.now
        while found is None and clock.now <= begin + seconds:
            beats = int(clock.now) if beating else 0
            found = watch.look([pulse._replace(beats=beats) if pulse.beats else pulse for pulse in shown])
            clock.now += 1.0
    return found


def test_who_computes_for_too_long_is_blamed_and_who_waits_for_it_is_not() -> None:
    shown = [Pulse(1, 5, 17, WAITING, 2), Pulse(1, 5, 17, WAITING, 0), Pulse(1, 4, 17, COMPUTING)]
    assert _watched(25, shown) is None, "slow is not dead: its heart beats"
    found = _watched(32, shown)
    assert found is not None and found == Verdict(
        2, "node 2 has not moved for 30 s though its heartbeat goes on (last seen at step 17, while computing)"
    )
    assert and_so_the_others(found, 3) == f"{found.sentence}; nodes 0, 1 were stopped."


def test_a_heart_that_stopped_is_blamed_even_in_a_chain_of_waiting() -> None:
    found = _watched(12, [Pulse(1, 5, 17, WAITING, 1), Pulse(0, 5, 16, WAITING, 0), Pulse(1, 5, 17, WAITING, 1)])
    assert found is not None and found.rank == 1
    assert found.sentence == "node 1 has not moved for 10 s (last seen at step 16, while waiting for node 0)"


def test_if_all_beat_and_wait_they_wait_for_each_other() -> None:
    found = _watched(12, [Pulse(1, 5, 3, WAITING, 1), Pulse(1, 5, 3, WAITING, 0), Pulse(1, 9, 9, DONE)])
    assert found is not None and found.rank is None
    assert "node 0 at step 3 waits for node 1; node 1 at step 3 waits for node 0" in found.sentence


def test_starting_takes_longer_and_done_is_never_late() -> None:
    assert _watched(40, [Pulse(), Pulse(1, 9, 9, DONE)]) is None
    late = _watched(70, [Pulse(), Pulse(1, 9, 9, DONE)])
    assert late is not None and late.sentence == "node 0 has not moved for 60 s (last seen while starting)"


def test_a_process_stopped_while_all_start_is_blamed_within_the_timeout() -> None:
    joining = Pulse(1, 2, 0, Activity.JOINING)
    for stopped in range(3):
        shown = [joining, joining, joining]
        shown[stopped] = Pulse(0, 1, 0, Activity.STARTING)
        found = _watched(12, shown)
        assert found is not None and found.rank == stopped
        assert found.sentence == f"node {stopped} has not moved for 10 s (last seen while starting)"
    assert _watched(50, [joining] * 3) is None, "joining may take as long as starting"
    slow = _watched(65, [joining, joining, Pulse(1, 1, 0, Activity.STARTING)])
    assert slow is not None and slow.rank == 2


@pytest.mark.parametrize("activity", [Activity.STARTING, COMPUTING])
def test_processor_time_is_a_sign_of_life(activity: Activity) -> None:
    """A call that holds the interpreter's lock keeps the heart from beating; so does starting the interpreter."""
    clock = Clock()
    watch = Watch(2, timeout=10, start_timeout=60, hung_after=40, clock=clock)
    blamed: list[Verdict] = []
    for second in range(38):
        clock.now = float(second)
        verdict = watch.look([Pulse(activity=activity)] * 2, [float(min(second, 12)), float(second)])
        blamed += [verdict] if verdict is not None else []
    assert blamed and {verdict.rank for verdict in blamed} == {0}
    assert blamed[0].sentence.startswith("node 0 has not moved for 10 s")


def test_moves_and_a_watch_that_slept_excuse_everybody() -> None:
    moving = [[Pulse(1, number, number, COMPUTING)] for number in range(10)]
    assert _watched(6, *moving) is None
    clock = Clock()
    watch = Watch(1, timeout=10, start_timeout=10, clock=clock)
    assert watch.look([Pulse(1, 1, 1, COMPUTING)]) is None
    clock.now = 100.0
    assert watch.look([Pulse(1, 1, 1, COMPUTING)]) is None


def test_a_board_in_a_file_shows_each_step(tmp_path: Path) -> None:
    mine, theirs = FileBoard(tmp_path / "pulses", 3), FileBoard(tmp_path / "pulses", 3)
    writer = PulseWriter(mine.mine(1))
    writer.beat()
    writer.step(17)
    writer.move(WAITING, 2)
    assert theirs.read() == [Pulse(peer=0), Pulse(1, 2, 17, WAITING, 2, 1), Pulse(peer=0)]
    assert writer.now == theirs.read()[1]


def test_what_was_reported_is_in_the_files_soon_without_an_end(tmp_path: Path) -> None:
    experiment = Experiment(SGP(), Quadratic(2, dimension=5), OnePeerExponential(2), Steps(10))
    kind = row_type(experiment, False)
    record = Record((tmp_path / "rows", tmp_path / "lines"), kind)
    for step in range(3):
        record.report(step, 0.1 * step, Mass(np.ones(5), 1.0), None)
    record.line("note", 1, 0.5)
    record.flush()
    assert len(read_rows(tmp_path / "rows", kind)) == 3 and read_lines(tmp_path / "lines") == [["note", 1, 0.5]]
    record.close()


def test_a_disk_that_cannot_keep_up_or_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sgpsim.backends.processes.records.HELD", 0)
    monkeypatch.setattr("sgpsim.backends.processes.records.SMALL", 0)
    experiment = Experiment(SGP(), Quadratic(2, dimension=5), OnePeerExponential(2), Steps(10))
    record = Record((tmp_path / "rows", tmp_path / "lines"), row_type(experiment, False))
    for step in range(4):
        record.report(step, 0.1 * step, Mass(np.ones(5), 1.0), None)
    record.close()
    assert record.waited > 0 and ["waited", record.waited] in read_lines(tmp_path / "lines")
    full = Record((Path("/dev/full"), tmp_path / "lines"), row_type(experiment, False))
    full.report(0, 0.0, Mass(np.ones(5), 1.0), None)
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_a_row_cut_short_is_left_out(tmp_path: Path) -> None:
    kind = np.dtype([("step", np.int64), ("time", float), ("round", np.int64), ("weight", float)])
    kind = np.dtype([*kind.descr, ("value", np.float32, (3,)), ("move", np.float32, (3,))])
    record = Record((tmp_path / "rows", tmp_path / "lines"), kind)
    for step in range(4):
        record.report(step, step / 4, Mass(np.full(3, step / 2, np.float32), 1.0), None)
    record.line("note", 1, 0.5)
    record.close()
    whole = (tmp_path / "rows").read_bytes()
    (tmp_path / "rows").write_bytes(whole[:-5])
    (tmp_path / "lines").write_text((tmp_path / "lines").read_text() + '["note", 2')
    assert read_rows(tmp_path / "rows", kind)["step"].tolist() == [0, 1, 2]
    assert read_lines(tmp_path / "lines") == [["note", 1, 0.5]]
    assert len(read_rows(tmp_path / "none", kind)) == 0 and read_lines(tmp_path / "none") == []


class Wires:
    """Queues in place of gloo; a None on a queue is a connection that breaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("torch")
        import torch.distributed as dist

        self.queues: dict[tuple[int, int], queue.Queue[bytes | None]] = {}
        monkeypatch.setattr(dist, "isend", self._send)
        monkeypatch.setattr(dist, "irecv", self._receive)

    def queue(self, sender: int, receiver: int) -> queue.Queue[bytes | None]:
        return self.queues.setdefault((sender, receiver), queue.Queue())

    def _send(self, tensor: Any, to: int, group: Any) -> Any:
        self.queue(group, to).put(tensor.numpy().tobytes())
        return _Work(lambda: None)

    def _receive(self, tensor: Any, sender: int, group: Any) -> Any:
        def wait() -> None:
            try:
                found = self.queue(sender, group).get(timeout=20)
            except queue.Empty:
                found = None  # the test is over
            if found is None:
                raise RuntimeError("Connection closed by peer [127.0.0.1]:12345")
            tensor.numpy()[:] = np.frombuffer(found, np.uint8)

        return _Work(wait)

    def post(self, rank: int) -> Post:
        return Post(rank, 2, 3, np.dtype(np.float32), rank, lambda: 1.5, lambda peer: None)


class _Work:
    def __init__(self, wait: Any) -> None:
        self.wait = wait


VALUE = np.array([1.0, 2.0, 3.0], np.float32)


def test_messages_keep_their_order_and_both_ledgers_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = Wires(monkeypatch)
    posts = [wires.post(0), wires.post(1)]
    for step in range(5):
        assert posts[0].send(1, step, VALUE * step, 0.5) == step
    for step in range(5):
        message = posts[1].round(step, (0,))[0]
        assert message.number == step and message.weight == 0.5 and np.array_equal(message.value, VALUE * step)
        posts[1].taken[0].add(message.value, message.weight)
    assert posts[0].sent[1].told == posts[1].taken[0].told == (5, 60.0, 2.5)
    ends: list[list[str]] = []
    threads = [threading.Thread(target=lambda post=post: ends.append(post.finish())) for post in posts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [[], []]


def _finish(sender: Post) -> None:
    """The end of a peer that the test leaves before it has heard the last word."""
    with suppress(PeerLost):
        sender.finish()


def test_a_message_that_never_came_is_told_by_its_successor_or_by_the_last_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wires = Wires(monkeypatch)
    sender, receiver = wires.post(0), wires.post(1)
    sender.send(1, 4, VALUE, 1.0)
    with pytest.raises(MessageLost, match="round 3 from node 0 to node 1 never came"):
        receiver.round(3, (0,))
    threading.Thread(target=_finish, args=(sender,), daemon=True).start()
    receiver.round(4, (0,))
    with pytest.raises(MessageLost, match="round 5"):
        receiver.round(5, (0,))


def test_what_nobody_took_in_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = Wires(monkeypatch)
    sender, receiver = wires.post(0), wires.post(1)
    sender.send(1, 0, VALUE, 1.0)
    threading.Thread(target=_finish, args=(sender,), daemon=True).start()
    assert receiver.finish() == [
        "mass left in flight at the end: the message of round 0 from node 0 to node 1 was never received"
    ]


def test_a_broken_connection_names_its_peer_and_a_wait_can_be_called_off(monkeypatch: pytest.MonkeyPatch) -> None:
    wires = Wires(monkeypatch)
    receiver = wires.post(1)
    wires.queue(0, 1).put(None)
    with pytest.raises(PeerLost) as lost:
        receiver.round(0, (0,))
    assert lost.value.peer == 0
    assert receiver.whom(PeerLost(None, "somebody")).peer == 0
    other = wires.post(1)
    threading.Timer(0.1, other.call_off, ("node 3 died",)).start()
    with pytest.raises(PeerLost, match="node 3 died"):
        other.round(0, (0,))
