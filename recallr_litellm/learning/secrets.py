"""Values that must be learned by nobody: passwords, keys, numbers of cards. Taken out by their shape, before the model
sees a text and before a fact is kept."""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_NAMED = r"""(?:pass\s?words?|pass\s?code|pass\s?phrase|pwd?|pin(?:\s(?:code|number))?|cvv|cvc|otp
  |(?:client\s)?secret\s(?:key|token|word)|client\ssecret|(?:api|private|secret|encryption)[\s_-]?key|(?:access|api|auth)[\s_-]?token
  |recovery\s(?:code|phrase)|seed\sphrase|(?:2fa|mfa|verification|security|access|one-time|login|unlock|alarm)[\s-](?:code|pin)
  |passwort|kennwort|geheimzahl|mot\sde\spasse|code\ssecret|contraseña|clave|senha|parola\sd['’]ordine
  |wachtwoord|пароль|密码|パスワード)"""
_SAID = re.compile(
    rf"""(?P<before>\b{_NAMED}\b(?!\s(?:manager|reset|policy|field|prompt|protection|length|hint|app)\b)
      [^.!?\n]{{0,40}}?(?:['’]s\s|\bis\b|\bwas\b|\bto\b|\bist\b|\blautet\b|\best\b|\bes\b|\bé\b|\bè\b|:|=|是|は)\s*["'“‘«]?)
    (?P<value>(?!(?:too|not|very|wrong|weak|easy|hard|long|short|missing|invalid|expired|same|stored|saved|in|on|a|an
      |the|that|what|always|never|going|reset|change[d]?|log|access|forgotten)\b)[^\s"'”’».,;!?]{{3,}}(?:[.!?][^\s.!?]+)*)""",
    re.IGNORECASE | re.VERBOSE,
)
_BESIDE = re.compile(
    rf"""(?P<before>\b(?:{_NAMED}|pass|login)\s["'“‘«]?)(?P<value>(?=[^\s,;]*\d)(?![^\s]*[/-]\d+[/-])[^\s"'”’»,;!?]{{4,}}(?<![.]))""",
    re.IGNORECASE | re.VERBOSE,
)
"""A value with a digit, right behind the word."""
_VALUE_FIRST = re.compile(
    rf"""(?<!\w)["'“‘«]?(?P<value>(?!(?:this|that|it|what|which|here|there|where|one|who|rest|he|she)\b)[^\s"'”’»,;]{{4,}})
    (?P<after>["'”’»]?\s(?:is|was|as)\s(?:my|the|their|our|his|her|a|an)\s(?:[\w-]+\s){{0,2}}{_NAMED}\b
      (?!\s(?:manager|reset|policy|field|prompt|protection|length|hint|app)\b))""",
    re.IGNORECASE | re.VERBOSE,
)
_SHAPES = re.compile(
    r"""-----BEGIN\s[A-Z ]*PRIVATE\sKEY-----.*?(?:-----END\s[A-Z ]*PRIVATE\sKEY-----|\Z)
    | \beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}
    | \b(?:sk|pk|rk|rai|ghp|gho|ghs|ghu|glpat|xox[abprs]|hf|AIza|npm|dop|shpat|SG)[-_.][\w.-]{16,}
    | \bAIza[\w-]{30,}
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
    | \b(?:Bearer|Basic)\s+[\w.+/=-]{16,}
    | (?<=://)[^\s:/@]+:[^\s:/@]+(?=@)
    | (?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])""",
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
    text = _BESIDE.sub(lambda found: found["before"] + REDACTED, text)
    text = _VALUE_FIRST.sub(lambda found: REDACTED + found["after"], text)
    return _CARD.sub(lambda found: REDACTED if _is_card(found[0]) else found[0], text)


def _is_card(number: str) -> bool:
    """Whether the digits are a card number by their check digit (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
