"""The error that users see: it names what failed and how to fix it."""


class DlbugError(Exception):
    """An error that a user can fix. The message names the cause (file, row, key, address) and the fix.

    The command line prints only the message and exits with 1; Dagster shows it as the step's failure.
    """
