"""Meeting: how processes that were started apart find each other, before they are a group.

The rule: they meet in the rendezvous store at MASTER_ADDR. Where node 0 opens it (under torchrun its agent does), it
listens where MASTER_ADDR says and nowhere else. gloo then talks over the interface that leads to MASTER_ADDR, whatever
a host's own name resolves to; a host on which MASTER_ADDR is the host itself takes the one that leads to the others.
GLOO_SOCKET_IFNAME, where it is set, stands above all that.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from datetime import timedelta
from typing import Any

from sgpsim.errors import NodeFailure

START_TIMEOUT = 120.0
"""Seconds within which all processes must have started; importing torch on a busy machine takes its time."""
GET_ADDRESS = 0x8915
"""SIOCGIFADDR of netdevice(7)."""

_stores: list[Any] = []


def corner(rank: int, size: int) -> Any:
    """A corner of the rendezvous store for one more run; the store itself is connected once per process. Raises
    NodeFailure where it cannot be."""
    _stores.append(_named(f"sgpsim/{max(1, len(_stores))}", rank, size))
    return _stores[-1]


def decided(rank: int, size: int, words: str | None = None) -> str:
    """What node 0 decided: it gives `words`, all others wait for them. Raises NodeFailure where none come."""
    decisions = _named("sgpsim/decisions", rank, size)
    if words is not None:
        decisions.set("decision", words)
    try:
        return decisions.get("decision").decode()
    except RuntimeError as error:
        raise NodeFailure(
            f"node 0 has not said within {START_TIMEOUT:g} s what is to be done ({first_line(error)})."
        ) from None


def holds_store(rank: int) -> bool:
    """Whether this process serves the rendezvous store; under torchrun its agent does."""
    return rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"


def first_line(error: Exception) -> str:
    """What a library's error says first, without the end of the sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(". ")


def _named(corner: str, rank: int, size: int) -> Any:
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else a store that dies fills screens; read when torch is imported
    from torch.distributed.distributed_c10d import PrefixStore

    if not _stores:
        _stores.append(_connected(rank, size))
    return PrefixStore(corner, _stores[0])


def _connected(rank: int, size: int) -> Any:
    import torch.distributed

    stores: Any = torch.distributed
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    serves = holds_store(rank)
    listening: dict[str, Any] = {}
    try:
        if serves and (opened := _listening(address, port)) is not None:
            listening = {"master_listen_fd": opened}
        wait = timedelta(seconds=START_TIMEOUT)
        return stores.TCPStore(address, port, size, is_master=serves, timeout=wait, wait_for_workers=False, **listening)
    except (OSError, RuntimeError) as error:
        raise NodeFailure(
            f"node {rank} could not {'open' if serves else 'reach'} the rendezvous store at MASTER_ADDR={address},"
            f" MASTER_PORT={port}: {first_line(error)}."
        ) from None


def _listening(address: str, port: int) -> int | None:
    """A socket that listens at `address` only; None where that is a name, which may mean another address elsewhere, or
    an address that this host does not have under that number."""
    if address == "localhost":
        address = "127.0.0.1"
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return None
    opened = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((address, port))
        opened.listen()
    except OSError as error:
        opened.close()
        if error.errno == 99:  # EADDRNOTAVAIL: behind a translation of addresses
            return None
        raise
    return opened.detach()


def choose_interface(rank: int, size: int, store: Any) -> None:
    """Set GLOO_SOCKET_IFNAME unless it is set. All processes must call it. Raises RuntimeError where one does not."""
    if not sys.platform.startswith("linux"):
        return
    master = os.environ["MASTER_ADDR"]
    mine = _towards(master)
    store.set(f"address/{rank}", mine)
    others = [store.get(f"address/{other}").decode() for other in range(size)]
    if _is_loopback(mine):
        mine = next((_towards(other) for other in others if not _is_loopback(other)), mine)
    interface = _interface(mine)
    if interface is not None:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)


def _towards(address: str) -> str:
    """This host's address on the route to `address`; no packet is sent."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, 9, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as opened:
            opened.connect(place)
            return str(opened.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _interface(address: str) -> str | None:
    """The name of the interface that has `address`; None where there is none (or where it is no IPv4 address)."""
    import fcntl

    if _is_loopback(address):
        return "lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                reply = fcntl.ioctl(asking.fileno(), GET_ADDRESS, struct.pack("256s", name[:15].encode()))
            except OSError:
                continue  # an interface without an address
            if socket.inet_ntoa(reply[20:24]) == address:
                return name
    return None
