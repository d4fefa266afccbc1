"""Engines, one a file: token ids (or, for the lab, texts) in, logits out."""
