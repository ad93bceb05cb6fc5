"""How a package opens its door: names that are imported when first asked for.

A package's ``__init__`` lists what outsiders may use. Importing it costs nothing; importing a name
from it loads only the module that has the name, so that `--help` does not pay for the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module


def lazy(package: str, *submodules: str, **modules: str) -> Callable[[str], object]:
    """Make the ``__getattr__`` of a package (PEP 562).

    Args:
        package: The package's ``__name__``.
        submodules: Modules below the package that are names of their own: ``"verbs.check"`` is
            handed out as ``check``.
        modules: For each module below the package, the names that it gives, between spaces.
    """
    homes = {name: module for module, names in modules.items() for name in names.split()}
    named = {module.rpartition(".")[2]: module for module in submodules}

    def get(name: str) -> object:
        home = homes.get(name) or named.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{home}")
        value = module if name in named else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return get
