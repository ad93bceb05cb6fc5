"""Ollama: found, judged by its version, given models in its documented way or by links.

Invariant: a server is never ended, and of its store only what this tool put there is taken out.
"""

from setup_manager.runtimes.ollama.runtime import Ollama

__all__ = ["Ollama"]
