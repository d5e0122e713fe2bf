"""The release."""

from importlib.metadata import version
from typing import Final

VERSION: Final = version("eil-mesh")
