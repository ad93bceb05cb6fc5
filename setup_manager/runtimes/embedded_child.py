"""The embedded engine as a program: `python -m setup_manager.runtimes.embedded_child …`.

It serves llama-server's HTTP interface from this process. An assertion in the engine ends a process
at once, which is why this one is not the tool's.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from setup_manager.runtimes.options import StartOptions

_LOG_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Load the model, serve until a signal comes, and return the exit status."""
    parsed = _parse(arguments)
    import xllamacpp

    try:
        server = xllamacpp.Server(parameters(xllamacpp, parsed))
    except (RuntimeError, ValueError) as error:
        print(f"engine: {error}", file=sys.stderr, flush=True)  # noqa: T201 - this is a program
        # The engine's log comes from a thread of its own, and its last lines say why.
        time.sleep(_LOG_SECONDS)
        return 1
    # The engine is stopped by its destructor, so from now on a signal ends the wait and not the
    # process; while it loaded there was nothing to stop.
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()
    del server
    return 0


def parameters(engine: Any, parsed: argparse.Namespace) -> Any:
    """Fill in the engine's parameters.

    Args:
        engine: The xllamacpp module.
        parsed: The command line.

    Returns:
        An `xllamacpp.CommonParams`.
    """
    options = StartOptions(**json.loads(parsed.options))
    params = engine.CommonParams()
    params.model.path = parsed.model
    params.hostnames = [parsed.host]
    params.port = parsed.port
    params.model_alias = {parsed.alias}
    if parsed.mmproj:
        params.mmproj.path = parsed.mmproj
    if parsed.model_draft:
        params.speculative.draft.mparams.path = parsed.model_draft
        kinds = engine.common_speculative_type
        params.speculative.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_MTP]
    for name, value in _plain_parameters(options).items():
        setattr(params, name, value)
    params.cache_type_k = getattr(engine.ggml_type, f"GGML_TYPE_{options.key_type.upper()}")
    params.cache_type_v = getattr(engine.ggml_type, f"GGML_TYPE_{options.value_type.upper()}")
    _set_attention(engine, params, options)
    if options.threads is not None:
        params.cpuparams.n_threads = options.threads
        params.cpuparams_batch.n_threads = options.threads
    return params


def _plain_parameters(options: StartOptions) -> Mapping[str, object]:
    plain: dict[str, object] = {
        "n_ctx": options.context,
        "n_parallel": options.slots,
        "n_ubatch": options.ubatch,
        "cache_ram_mib": options.cache_ram_mib,
        "n_ctx_checkpoints": options.context_checkpoints,
        "kv_unified": options.unified_kv,
        "use_jinja": True,
        "ui": False,
        "cors_origins": "localhost",
    }
    if options.gpu_layers is not None:
        plain["n_gpu_layers"] = options.gpu_layers
    return plain


def _set_attention(engine: Any, params: Any, options: StartOptions) -> None:
    kinds = engine.llama_flash_attn_type
    if not options.flash_attention:
        params.flash_attn_type = kinds.LLAMA_FLASH_ATTN_TYPE_DISABLED
    elif options.value_type != "f16":
        params.flash_attn_type = kinds.LLAMA_FLASH_ATTN_TYPE_ENABLED


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="embedded_child")
    parser.add_argument("--model", required=True)
    parser.add_argument("--mmproj", default="")
    parser.add_argument("--model-draft", default="")
    parser.add_argument("--options", default="{}")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--alias", default="model")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
