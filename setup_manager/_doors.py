"""How a package opens its door: names that are imported when first asked for.

A package's ``__init__`` lists what outsiders may use. Importing it costs nothing; importing a name
from it loads only the module that has the name, so that `--help` does not pay for the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module


def lazy(package: str, **modules: str) -> Callable[[str], object]:
    """Make the ``__getattr__`` of a package (PEP 562).

    Args:
        package: The package's ``__name__``.
        modules: For each module below the package, the names that it gives, between spaces.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
