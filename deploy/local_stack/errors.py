"""The one error of the local stack: a sentence that says what to do next."""


class StackError(Exception):
    """The local stack cannot do what was asked. The text is meant for the user and names the way out.

    `exit_code` is what the command line ends with: 2 when something must be installed or configured first, else 1.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
