"""`sgpsim trace`: what every node did when, as a file for a trace viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def main(
    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")],
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None,
    seed: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None,
) -> int:
    """Write traces as Chrome-trace JSON; open them at ui.perfetto.dev: one process per node, arrows for messages.

    Args:
        runs: run folders
        out: the file, of one run; default: trace.json inside each run's folder
        seed: which seed, of those that were traced; default: the first
    """
    from sgpsim.errors import SpecificationError
    from sgpsim.files.store import load_all, require_folder
    from sgpsim.results.trace import write_chrome

    if out is not None and len(runs) != 1:
        raise SpecificationError(f"--out names one file for {len(runs)} runs; each needs its own. Leave --out away.")
    for folder, run in zip(runs, load_all(runs).values(), strict=True):
        if run.trace is None:
            raise SpecificationError(
                f"the run in {str(folder)!r} kept no trace: it was long, was killed, or was told not to."
                " Run it again with backend.type=vectorized (or simulated) backend.trace=true."
            )
        traced = sorted(set(run.trace.spans["seed"].to_list()))
        if seed is not None and seed not in traced:
            raise SpecificationError(
                f"--seed is {seed}, and the run in {str(folder)!r} traced seed {', '.join(map(str, traced))}; only the"
                " first seed of a run is traced. Give that one, or run again with seeds=[...] beginning with yours."
            )
        place = out if out is not None else folder / "trace.json"
        require_folder(place.parent)
        write_chrome(run.trace, place, seed)
        print(f"written: {place} ({len(run.trace.spans)} spans, {len(run.trace.messages)} messages)")
    return 0
