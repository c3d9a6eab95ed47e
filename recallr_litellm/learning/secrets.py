"""Values that must be learned by nobody: passwords, keys, card numbers. Taken out by their shape, before the model
sees a text and before a fact is kept."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_SAID = re.compile(
    r"""(?P<before>\b(?:pass\s?words?|pass\s?code|passphrase|pin(?:\s(?:code|number))?|cvv|cvc|otp|secret(?:\skey)?
      |api[\s_-]?key|access[\s_-]?token|recovery\s(?:code|phrase)|seed\sphrase
      |passwort|kennwort|geheimzahl|mot\sde\spasse|code\ssecret|contraseña|clave|senha|parola\sd['’]ordine
      |wachtwoord|пароль|密码|パスワード)\b
      [^.!?\n]{0,40}?(?:\bis\b|\bwas\b|\bto\b|\bist\b|\blautet\b|\best\b|\bes\b|\bé\b|\bè\b|:|=|是|は)\s*["'“‘«]?)
    (?P<value>(?!(?:too|not|very|wrong|weak|easy|hard|long|short|missing|invalid|expired|same|stored|saved|in|on|a|an
      |the|reset|change[d]?|log|access|forgotten)\b)[^\s"'”’».,;!?]{3,}(?:[.!?][^\s.!?]+)*)""",
    re.IGNORECASE | re.VERBOSE,
)
_SHAPES = re.compile(
    r"""-----BEGIN\s[A-Z ]*PRIVATE\sKEY-----.*?(?:-----END\s[A-Z ]*PRIVATE\sKEY-----|\Z)
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}
    | \b(?:sk|pk|rk|rai|ghp|gho|ghs|ghu|glpat|xox[abprs]|hf|AIza|npm|dop|shpat|SG)[-_.][\w.-]{16,}
    | \bAIza[\w-]{30,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \b(?:Bearer|Basic)\s+[\w.+/=-]{16,}
    | (?<=://)[^\s:/@]+:[^\s:/@]+(?=@)""",
    re.DOTALL | re.VERBOSE,
)
_CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")


def redact(text: str) -> str:
    """The text with `[redacted]` in the place of each such value.

    >>> redact("My password is hunter2, by the way.")
    'My password is [redacted], by the way.'
    """
    text = _SHAPES.sub(REDACTED, text)
    text = _SAID.sub(lambda found: found["before"] + REDACTED, text)
    return _CARD.sub(lambda found: REDACTED if _is_card(found[0]) else found[0], text)


def _is_card(number: str) -> bool:
    """Whether the digits are a card number by their check digit (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
