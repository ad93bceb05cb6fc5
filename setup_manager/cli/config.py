"""The configuration file: options that nobody wants to type each time."""

from __future__ import annotations

import tomllib
from typing import Any

from setup_manager.cli.options import CONFIGURABLE
from setup_manager.errors import UsageError
from setup_manager.library import Host


def read_defaults(host: Host) -> dict[str, Any]:
    """Read the configuration file, if there is one.

    Returns:
        Option values by parameter name, in click's ``default_map`` form.

    Raises:
        UsageError: If the file is not TOML or sets something that is not an option.
    """
    try:
        path = host.resolver.config_file().path
        content = path.read_bytes()
    except (OSError, UsageError):
        return {}
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            "The configuration file is not valid TOML.",
            code="bad-configuration",
            context=[f"file: {path}", str(error)],
            hint="Correct or remove the file.",
        ) from error
    return {_option_name(key, str(path)): value for key, value in document.items()}


def _option_name(key: str, path: str) -> str:
    name = key.replace("-", "_")
    if name in CONFIGURABLE:
        return name
    known = ", ".join(sorted(option.replace("_", "-") for option in CONFIGURABLE))
    raise UsageError(
        f"The configuration file sets {key!r}, which is not an option.",
        code="bad-configuration",
        context=[f"file: {path}", f"options: {known}"],
        hint="Correct or remove that line.",
    )
