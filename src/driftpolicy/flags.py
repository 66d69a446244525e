"""How the command line spells settings."""


def flag(name: str) -> str:
    """Return the flag of a config field: ``--batch-size`` for ``batch_size``."""
    return "--" + name.replace("_", "-")
