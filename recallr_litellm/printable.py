"""Texts that others wrote, made safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """A text with spaces in place of control and other invisible characters, so of escape sequences; lines stay lines.

    >>> printable("a\\x1b[2Jb\\u202ec")
    'a [2Jb c'
    """
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)
