"""What all unit tests share."""

from hypothesis import settings

# An example may take as long as it likes: on a loaded machine a deadline tells of the load.
settings.register_profile("prefork", deadline=None)
settings.register_profile("smoke", deadline=None, max_examples=10)  # --hypothesis-profile=smoke
settings.load_profile("prefork")
