"""What goes wrong by no fault of the program: said in one line, without a traceback."""


class UserError(Exception):
    """A user's mistake or the machine's state: one line that says what is wrong and what to do.

    The command line prints it and exits with code 2.
    """
