"""What goes wrong by no fault of the program, for one line without a traceback."""


class UserError(Exception):
    """A user's mistake or the machine's state: one line that says what is wrong and what to do.

    The command line prints it and exits with status 2.
    """


class FieldError(UserError):
    """A setting out of its range. The command line names the flag instead of the field."""

    def __init__(self, field: str, meaning: str, value: object):
        """Say which field it is, what its value must be, and what it is."""
        super().__init__(f"{field} must be {meaning}, not {value}")
        self.field = field
        self.meaning = meaning
        self.value = value
