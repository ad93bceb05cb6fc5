"""Drawing with Vega through `vl-convert`: a specification in, a piece of SVG out.

Vega-Lite was taken since it leaves a page nothing to run: its SVG is text that follows the page's
colours, prints sharply, carries a description at every mark, and is 5 to 15 kB a chart, where an
interactive library would put megabytes of script into the page. The package needs no network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from setup_manager.errors import SetupError

_VEGA_LITE_VERSION = "5.20"
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
        dict(spec), vl_version=_VEGA_LITE_VERSION, allowed_base_urls=[]
    )
    start = svg.index("<svg")
    return _IDENTIFIER.sub(lambda found: found[0] + prefix, svg[start:])


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
            "The report needs two more packages than are installed.",
            code="report-extra-missing",
            context=[f"{error.name} is missing"],
            hint="Run `pip install 'gemma-setup[report]'`, then the same command again.",
        ) from error
