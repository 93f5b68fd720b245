"""`sgpsim list`: everything that a file can name."""

from __future__ import annotations

from typing import Annotated

import tyro


def main(family: Annotated[tyro.conf.Positional[str | None], tyro.conf.arg(metavar="FAMILY")] = None) -> int:
    """List what a TOML file can name as `type`, family by family, and the presets and jobs of clusters.

    Args:
        family: only this one, such as Schedule, with the fields of each
    """
    import dataclasses
    import inspect

    from sgpsim.clusters.jobs import jobs
    from sgpsim.clusters.presets import presets
    from sgpsim.errors import SpecificationError, nearest
    from sgpsim.specification.catalogue import families, summary

    known = families()
    if family is not None:
        lowered = {name.lower(): name for name in known}
        if family.lower() not in lowered:
            raise SpecificationError(f"there is no family {family!r}; {nearest(family, known)}")
        for name, kind in known[lowered[family.lower()]].items():
            fields = ", ".join(_field(one) for one in dataclasses.fields(kind) if one.init)  # pyright: ignore[reportArgumentType]
            docstring = (inspect.getdoc(kind) or "").replace("\n", "\n    ")
            print(f"{name}({fields})\n    {docstring}\n")
        return 0
    for name, kinds in known.items():
        print(f"{name}\n" + "\n".join(f"  {one:24} {summary(kind)}" for one, kind in kinds.items()) + "\n")
    print("cluster.preset\n" + "\n".join(f"  {name:24} {summary(make)}" for name, make in presets().items()) + "\n")
    print(
        "cluster.job\n"
        + "\n".join(
            f"  {name:24} {job.message_bytes / 1e6:g} MB, {job.compute_seconds:g} s" for name, job in jobs().items()
        )
    )
    return 0


def _field(field: object) -> str:
    import dataclasses

    from sgpsim.specification.wording import concise

    assert isinstance(field, dataclasses.Field)
    return field.name if field.default is dataclasses.MISSING else f"{field.name}={concise(field.default)}"
