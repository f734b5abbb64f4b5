"""What can keep the benchmark from a figure, or from beginning at all."""


class NoFigureError(Exception):
    """A server misbehaved, so that this measurement has no figure; the message is the reason, for the table's notes."""


class MissingError(Exception):
    """Something that the benchmark needs is not on this machine; the message says what to install."""
