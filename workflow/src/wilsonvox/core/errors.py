"""The one exception that is the user's to mend."""


class UserError(Exception):
    """Bad input. Its message is one line that names the file, the field and the fix.

    The command line prints it without a traceback and exits with code 1.
    """
