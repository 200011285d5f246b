"""The exception for errors in user input."""


class UserError(Exception):
    """Error in user input, reported without a traceback.

    The message is one line that names the file, the field and the fix. The command line prints it
    and exits with code 1.
    """
