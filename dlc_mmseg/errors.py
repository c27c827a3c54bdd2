"""The one exception type for input a user can correct."""


class UserError(ValueError):
    """Bad input: the message is one line that names the file or field and the remedy.

    The command line prints it without a traceback and exits with status 2.
    """
