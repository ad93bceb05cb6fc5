"""Ollama: found, judged by its version, given models in its documented way or by links."""

from __future__ import annotations

from setup_manager.runtimes.ollama.names import registered_name
from setup_manager.runtimes.ollama.registration import (
    OllamaRequest,
    Registration,
    pull,
    register,
    register_by_link,
    unregister,
)
from setup_manager.runtimes.ollama.server import connect, find
from setup_manager.runtimes.ollama.store import BlobFile, ModelFacts, store_candidates
from setup_manager.runtimes.ollama.versions import CopyNeed, ollama_copies_bytes

__all__ = [
    "BlobFile",
    "CopyNeed",
    "ModelFacts",
    "OllamaRequest",
    "Registration",
    "connect",
    "find",
    "ollama_copies_bytes",
    "pull",
    "register",
    "register_by_link",
    "registered_name",
    "store_candidates",
    "unregister",
]
