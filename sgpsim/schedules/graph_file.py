"""Schedules from graph files: GraphML, GML, edge lists, node-link JSON.

The rule: the ending says the format; the schedule keeps the SHA-256 of what it read, so that an experiment's identity
depends on the file's content and not only on its name, and a stored experiment refuses a file that has changed since.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import field
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
from networkx.readwrite.graphml import GraphMLReader

from sgpsim.errors import LONGEST_PATH, SpecificationError, shown
from sgpsim.schedules.graph_schedule import GraphShares, frozen_graphs, graph_shares
from sgpsim.schedules.schedule import Schedule
from sgpsim.schedules.shares import EdgeShares, ShareRule
from sgpsim.specification.input_files import MOST_BYTES, MOST_GRAPH, content_of, understood
from sgpsim.specification.specification import specification


@specification
class GraphFile(Schedule):
    """The graph in a file at every step; from a JSON list of node-link graphs, one after the other.

    path: ends in .graphml, .gml, .json (node-link), .edgelist or .edges (a line per edge: sender, receiver and, if need
    be, share); a relative path starts at the working directory. rule: as in GraphSchedule. directed: read by edge lists
    only, as all other formats say it themselves. sha256: of the file, hexadecimal; filled in if left empty, otherwise
    the file must agree with it.
    Errors: SpecificationError for a file that is missing, damaged or changed, and for graphs that GraphSchedule would
    refuse.
    """

    size: int = field(init=False)
    path: str
    rule: ShareRule = EdgeShares()
    directed: bool = True
    sha256: str = ""

    def __post_init__(self) -> None:
        content = read_content("GraphFile(path)", self.path, READERS, self.sha256, MOST_GRAPH)
        object.__setattr__(self, "sha256", hashlib.sha256(content).hexdigest())
        suffix = Path(self.path).suffix.lower()
        read = partial(READERS[suffix], content, self.directed)
        found = understood("GraphFile(path)", self.path, suffix, "Write it anew with networkx.", read)
        graphs = frozen_graphs(f"GraphFile({self.path!r})", found)
        object.__setattr__(self, "size", len(graphs[0]))
        object.__setattr__(self, "_shares", graph_shares(graphs, self.rule))

    @property
    def period(self) -> int:
        return len(self._content)

    def shares(self, sender: int, step: int) -> Mapping[int, float]:
        return dict(self._content[step % self.period][sender])

    @property
    def _content(self) -> GraphShares:
        return self.__dict__["_shares"]


def read_content(what: str, path: str, endings: Mapping[str, Any], sha256: str, most: int = MOST_BYTES) -> bytes:
    """The bytes of `path`, or SpecificationError: its ending unknown, the file missing, longer than `most`, or another one
    than `sha256` says (if that is given)."""
    if Path(path).suffix.lower() not in endings:
        raise SpecificationError(
            f"{what} is {shown(path, LONGEST_PATH)}; its ending must be one of {', '.join(endings)}. Convert the file."
        )
    content = content_of(what, path, most)
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise SpecificationError(
            f"{what} is {shown(path, LONGEST_PATH)}, whose SHA-256 is {found}, but sha256 says {shown(sha256, 70)}; the file has changed."
            " Bring back the old file, or leave sha256 empty to take the new one."
        )
    return content


def _graphml(content: bytes, directed: bool) -> nx.Graph:
    return one_graphml(content, int)


def one_graphml(content: bytes, node_type: type) -> nx.Graph:
    """The graph in GraphML; ValueError where there are several, of which networkx would take the first."""
    graphs = list(GraphMLReader(node_type=node_type)(path=io.BytesIO(content)))
    if len(graphs) != 1:
        raise ValueError(f"it holds {len(graphs)} graphs and must hold one; put each in a file of its own")
    return graphs[0]


def _gml(content: bytes, directed: bool) -> nx.Graph:
    label = "label" if b"label" in content else "id"
    return nx.read_gml(io.BytesIO(content), label=label, destringizer=int)


def _node_link(content: bytes, directed: bool) -> list[nx.Graph]:
    stored = json.loads(content)
    # networkx wrote the edges under "links" before 3.4, under "edges" since.
    return [
        nx.node_link_graph(one, edges="links" if "links" in one else "edges") for one in (stored if isinstance(stored, list) else [stored])
    ]


def _edge_list(content: bytes, directed: bool) -> nx.Graph:
    found: nx.Graph = nx.DiGraph() if directed else nx.Graph()
    for number, line in enumerate(content.decode("utf-8-sig").splitlines(), start=1):
        words = line.split("#")[0].replace(",", " ").split()
        if not words:
            continue
        if len(words) not in (2, 3):
            raise ValueError(f"line {number} has {len(words)} columns; sender, receiver and perhaps share are wanted")
        sender, receiver = int(words[0]), int(words[1])
        if found.has_edge(sender, receiver):
            raise ValueError(f"line {number} repeats the edge from {sender} to {receiver}")
        found.add_edge(sender, receiver, **({"share": float(words[2])} if len(words) == 3 else {}))
    return found


READERS: dict[str, Callable[[bytes, bool], nx.Graph | list[nx.Graph]]] = {
    ".graphml": _graphml,
    ".gml": _gml,
    ".json": _node_link,
    ".edgelist": _edge_list,
    ".edges": _edge_list,
}
"""By the file's ending: from its content to a graph, or several."""
