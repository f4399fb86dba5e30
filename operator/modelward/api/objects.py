"""Objects of the API before they are decoded, and how they are named."""

from collections.abc import Mapping
from typing import Any

Key = tuple[str, str]
"""(namespace, name) of a ModelDeployment."""
Raw = Mapping[str, Any]
"""An object as the API server sent it; it is only read."""
Manifest = dict[str, Any]
"""An object as it is to be, in the form of the API."""
