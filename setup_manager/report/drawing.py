"""Drawing with Vega through `vl-convert`: a specification in, a piece of SVG out.

Vega-Lite was taken since it leaves a page nothing to run: its SVG is text that follows the page's
colours, prints sharply, carries a description at every mark, and is about 10 kB a chart, where an
interactive library would put megabytes of script into the page. The package needs no network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from setup_manager.errors import SetupError
from setup_manager.hints import install_extra

_VEGA_LITE_VERSION = "5.20"
# What XML cannot hold ends the whole process there (XML 1.0, 2.2); the two separators of lines
# are refused by Vega's own language.
_UNDRAWABLE = re.compile("[^\t\n\r\x20-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IDENTIFIER = re.compile(r'(\bid="|url\(#|href="#)')


def draw(spec: Mapping[str, Any], prefix: str) -> str:
    """Draw a chart.

    Args:
        spec: A Vega-Lite specification with its data in it.
        prefix: Put before every identifier, so that drawings on one page keep apart.

    Returns:
        An ``<svg>`` element, its texts escaped.

    Raises:
        SetupError: If the extra ``report`` is not installed.
    """
    require_extra()
    import vl_convert

    # No address may be read from, whatever a specification says.
    svg: str = vl_convert.vegalite_to_svg(
        drawable(spec), vl_version=_VEGA_LITE_VERSION, allowed_base_urls=[]
    )
    start = svg.index("<svg")
    return _IDENTIFIER.sub(lambda found: found[0] + prefix, svg[start:])


def drawable(value: Any) -> Any:
    """Replace what cannot be drawn in every text of a specification, by U+FFFD."""
    if isinstance(value, str):
        return _UNDRAWABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {drawable(key): drawable(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [drawable(entry) for entry in value]
    return value


def require_extra() -> None:
    """Make sure that what draws and fills the page is here.

    Raises:
        SetupError: If the extra ``report`` is not installed.
    """
    try:
        import jinja2  # noqa: F401 - both are only looked for
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise SetupError(
            "The report needs packages that are not installed.",
            code="report-extra-missing",
            context=[f"{error.name} is missing"],
            hint=f"Run `{install_extra('report')}`, then the same command again.",
        ) from error
