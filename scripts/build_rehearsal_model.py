# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "gguf==0.19.0",
#     "jax==0.10.2",
#     "jaxlib==0.10.2",
#     "numpy==2.4.6",
#     "xllamacpp==2026.10.11549",
# ]
# ///
"""Train the tiny Gemma 4 that `gemma-setup rehearse` installs, and hold it against llama.cpp.

    uv run scripts/build_rehearsal_model.py                # train, write, check: some minutes
    uv run scripts/build_rehearsal_model.py --check-only   # check the file that is there

The corpus, the seeds and the single thread are fixed: on one machine, with the versions above, the
file comes out the same to the byte, and its SHA-256 is printed. On another machine the arithmetic
may round otherwise, and the file, as good, need not be the same. The check ends with 1 if the model
is not what the rehearsal needs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.rehearsal_model import check, corpus, engine, export, network, tokenizer, training  # noqa: E402

OUTPUT = ROOT / "setup_manager/rehearsal/data/gemma-4-rehearsal-it-F16.gguf"
LEAST_SHARE = 0.95


def main() -> int:
    """Train unless told not to, check, and print the digest."""
    options = _options()
    # Read when JAX first computes. One thread, and no instructions beyond AVX2.
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false --xla_cpu_max_isa=AVX2"
    arch = network.Architecture()
    vocabulary = tokenizer.learn_vocabulary(corpus.vocabulary_lines())
    if not options.check_only:
        _build(options.output, arch, vocabulary, options.steps)
    sound = _check(options.output, arch, tokenizer.Tokenizer(vocabulary))
    data = options.output.read_bytes()
    print(f"{hashlib.sha256(data).hexdigest()}  {len(data)} bytes  {options.output.name}")
    return 0 if sound else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the GGUF to write or check")
    parser.add_argument("--steps", type=int, default=training.Schedule().steps)
    parser.add_argument("--check-only", action="store_true", help="train nothing")
    return parser.parse_args()


def _build(
    output: Path, arch: network.Architecture, vocabulary: tokenizer.Vocabulary, steps: int
) -> None:
    begun = time.monotonic()

    def report(step: int, loss: float) -> None:
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}  loss {loss:.4f}  {time.monotonic() - begun:.0f} s", flush=True)

    schedule = training.Schedule(steps=steps)
    weights = training.train(arch, tokenizer.Tokenizer(vocabulary), schedule, report)
    output.parent.mkdir(parents=True, exist_ok=True)
    export.write_gguf(output, arch, vocabulary, weights)


def _check(path: Path, arch: network.Architecture, tokens: tokenizer.Tokenizer) -> bool:
    """Print what holds and what does not; return whether everything does."""
    llama = engine.Engine(path)
    weights = export.read_weights(path)
    faults = []

    apart = check.disagreeing_texts(llama, tokens)
    print(f"texts tokenized apart: {len(apart)}")
    faults += apart

    gap = check.largest_logprob_gap(llama, arch, weights, tokens)
    print(f"largest difference of a log-probability: {gap:.4f}")
    faults += [f"differs by {gap}"] if gap > check.LOGPROB_TOLERANCE else []

    different = check.disagreeing_answers(llama, arch, weights, tokens)
    print(f"questions answered apart: {len(different)}")
    faults += different

    for score in check.scores(llama):
        print(
            f"{score.kind}: {score.right} of {score.asked} ({score.share:.1%})",
            *score.wrong,
            sep="\n  ",
        )
        faults += [score.kind] if score.share < LEAST_SHARE else []

    smoke = llama.ask(corpus.SMOKE_QUESTION)
    print(f"{corpus.SMOKE_QUESTION} {smoke}")
    faults += [] if smoke == corpus.SMOKE_ANSWER else [smoke]
    print("\n".join(f"FAULT: {fault}" for fault in faults) or "as it should be")
    return not faults


if __name__ == "__main__":
    sys.exit(main())
