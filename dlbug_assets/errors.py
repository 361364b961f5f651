"""The one error that users see: it names what is at fault and how to mend it."""


class DlbugError(Exception):
    """Something a user can mend. The message names the culprit (file, row, key, address) and the cure.

    The command line prints the message alone and exits with 1; Dagster shows it as the step's failure.
    """
