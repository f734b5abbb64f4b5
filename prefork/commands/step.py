"""What a command does once its arguments are understood."""

from collections.abc import Callable
from typing import TypeAlias

Step: TypeAlias = Callable[[], int]
