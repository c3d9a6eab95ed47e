"""Learning: what is true of a user, drawn from processed sessions by a model, in versions.

A session is cut into windows (`windows`); a model extracts facts from each (`prompts.extract`, `extraction`), which are
checked (`checks`) and kept; then each is reconciled with what is known (`duplicates`, `decisions`, `versions`).
"""
