"""Chance that can be repeated: one independent stream per part of the world."""

from random import Random


def stream(seed: int, name: str) -> Random:
    """The same numbers for the same ``seed`` and ``name``, whatever other parts draw."""
    return Random(f"{seed}/{name}")  # noqa: S311 - repeatable on purpose, keeps no secret
