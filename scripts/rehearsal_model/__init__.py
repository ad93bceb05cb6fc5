"""The parts of `build_rehearsal_model.py`: corpus, tokenizer, network, training, export, check."""
