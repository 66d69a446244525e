"""From a data file that has been examined to prior data, or to what forbids training on it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from driftpolicy.data.findings import Finding, accept
from driftpolicy.data.transitions import Dataset
from driftpolicy.errors import UserError
from driftpolicy.tasks.benchmark import LoadedData


def accepted_data(
    path: Path,
    make: Callable[[tuple[str, ...]], Dataset],
    *,
    findings: Sequence[Finding],
    broken: Sequence[str],
    description: dict[str, Any],
) -> LoadedData:
    """Return the prior data in a file, unless a finding forbids training on them.

    Args:
        path: of the file, which the error names.
        make: makes the data of the lines that training shows before it starts.
        findings: what is wrong with the file.
        broken: the names of the episodes that were left out; the description lists them as
            ``left_out``.
        description: who made the file, as
            :meth:`driftpolicy.tasks.benchmark.Benchmark.describe_data` returns it.

    Raises:
        UserError: with the first finding that forbids training, or what ``make`` refuses.
    """
    try:
        prior = make(accept(findings))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return LoadedData(prior, description | ({"left_out": list(broken)} if broken else {}))
