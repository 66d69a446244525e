"""Which stored columns make up observation and action, as the user says with ``--columns``."""

from collections.abc import Collection, Mapping

from driftpolicy.errors import FieldError, UserError, listing

PARTS = {
    "observation": "observations",
    "action": "actions",
    "reward": "rewards",
    "termination": "terminations",
    "success": "success",
}
"""What columns can be said to be, with the name of that part of an episode."""
WIDE = ("observations", "actions")
"""The parts that may be joined of several columns; every episode has them."""
Columns = Mapping[str, tuple[str, ...]]
"""The names of the columns that make up a part, for some of the parts."""


def parse_columns(stated: tuple[str, ...]) -> Columns:
    """Return the columns that a user states, as ``("observation=state,goal", "action=act")``.

    Raises:
        FieldError: for another form, an unknown part, or a part that is stated twice.
    """
    columns: dict[str, tuple[str, ...]] = {}
    for text in stated:
        key, _, rest = text.partition("=")
        names = tuple(name.strip() for name in rest.split(","))
        part = PARTS.get(key)
        joined = part in WIDE or len(names) == 1
        if part is None or not all(names) or not joined or part in columns:
            raise FieldError(
                "columns",
                "given as observation=NAME,NAME action=NAME (each once; also reward, termination "
                "and success, of one name)",
                listing([text]),
            )
        columns[part] = names
    return columns


def choose_columns(
    where: str, columns: Columns, stored: Collection[str], defaults: Columns, prefix: str
) -> dict[str, tuple[str, ...]]:
    """Return the names of the stored columns that make up each part there is.

    Args:
        where: the file or folder, for messages.
        columns: what the user states.
        stored: the names of all columns.
        defaults: what parts are made of unless the user says otherwise.
        prefix: may be left out where a user names a column.

    Raises:
        UserError: naming what there is, if something is not.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    for part in PARTS.values():
        names = columns.get(part, defaults.get(part, ()))
        if part in columns:
            names = tuple(name if name in stored else prefix + name for name in names)
        missing = [name for name in names if name not in stored]
        if names and not missing:
            chosen[part] = names
        elif part in columns or part in WIDE:
            key = next(key for key, value in PARTS.items() if value == part)
            raise UserError(
                f"{where} has no {listing(missing) if missing else f'column for the {key}'}; it "
                f"has: {listing(sorted(stored))} (--columns {key}=NAME says which to take)"
            )
    return chosen
