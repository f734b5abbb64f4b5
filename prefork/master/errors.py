"""The exception of a start that can't go on: what it tells a person, and the exit status that tells a machine."""


class StartError(Exception):
    """A reason not to start, or on a reload not to change.

    `problem` is one line for a person: the place, what is wrong, what to do. `status` is an os.EX_* that says who can
    mend it.
    """

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status
        self.problem = problem


class UnservableError(StartError):
    """No worker can get ready: what is wrong is the application, or what is around it in the workers."""
