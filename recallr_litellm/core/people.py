"""Words for who somebody is to the user: "my sister", "ma sœur", "meine Schwester"."""

from __future__ import annotations

import re
from typing import Final

RELATION: Final = (
    r"parents?|mother|father|mom|mum|dad|brothers?|sisters?|sons?|daughters?|kids?|child(?:ren)?|baby|twins?|wife|husband"
    r"|partner|girlfriend|boyfriend|fianc[ée]e?|friends?|flatmates?|roommates?|colleagues?|co-?workers?|boss|manager"
    r"|neighbou?rs?|aunt|uncle|cousins?|grand\w+|niece|nephew|in-laws?|teacher|landlord"
)
_PETS: Final = r"dogs?|cats?|puppy|kitten|horse|parrot|hund|katze|chien|chat|perr[oa]|gat[oa]|cane|hond|kat"
_OTHER_LANGUAGES: Final = (
    r"schwester|bruder|mutter|vater|mama|papa|frau|mann|sohn|tochter|freund(?:in)?|kolleg(?:e|in)|eltern|oma|opa|chef(?:in)?"
    r"|nachbar(?:in)?|onkel|tante|neffe|nichte|cousine?|kind(?:er)?|geschwister|enkel(?:in)?|mitbewohner(?:in)?|verlobter?"
    r"|s[œo]e?ur|fr[èe]re|m[èe]re|p[èe]re|femme|mari|fils|fille|amie?|coll[èe]gue|copine?|voisine?"
    r"|oncle|tante|neveu|ni[èe]ce|enfants?|copain|patronne?|belle-\w+|beau-\w+"
    r"|herman[oa]s?|madre|padres?|mujer|espos[oa]|hij[oa]s?|amig[oa]s?|compañer[oa]|jefe|jefa"
    r"|tí[oa]|prim[oa]s?|sobrin[oa]|vecin[oa]s?|novi[oa]|abuel[oa]s?"
    r"|irmão|irmã|mãe|pais?|mulher|marido|filh[oa]s?|coleg[ao]|vizinh[oa]s?|namorad[oa]|av[óô]s?|chefe"
    r"|sorella|fratello|moglie|marito|figli[oa]?|amic[oa]|vicin[oa]|zi[oa]|cugin[oa]|nonn[oai]|genitori|capo"
    r"|zus|broer|moeder|vader|vrouw|zoon|dochter|vriend(?:in)?|buurman|buurvrouw|buren|oom|neef|nicht|baas|collega"
    r"|kinderen|ouders"
)
_OWN: Final = (
    r"my|our|mein[er]?|unser[e]?|ma|mon|mes|notre|nos|mi|mis|nuestr[oa]|minha|meu|mia|mio|il\smio|la\smia|mijn|onze"
)
_RELATION: Final = re.compile(rf"\b(?:{RELATION}|{_OTHER_LANGUAGES}|{_PETS})\b", re.IGNORECASE)
_IS_SUBJECT: Final = re.compile(
    rf"^\W*(?:\w+[,:]\s*|(?:and|both|all|but|also|so|und|aber|et|mais|y|pero|e|ma|en|maar)\s)?(?:{_OWN})\s(?:\w+\s)?"
    rf"(?:{RELATION}|{_OTHER_LANGUAGES}|{_PETS})\b(?!['’]s?\s)",
    re.IGNORECASE,
)
_INCLUDES_ME: Final = re.compile(
    r"\b(?:i|me|we|us|our|myself|ich|mich|mir|wir|uns|je|moi|nous|yo|nosotr[oa]s|eu|nós|io|noi|ik|wij|we)\b"
    r"|\bj['’]|\bm['’]",
    re.IGNORECASE,
)
_VERB: Final = re.compile(
    r"\b(?:is|are|was|were|has|have|had|will|can|could|expects?|wants?|likes?|loves?|got|went|moved|lives?|works?|says?|said)\b",
    re.IGNORECASE,
)
_OF_THE_USER: Final = re.compile(
    rf"^(?:the\s)?user['’]s\s(?:\w+\s)?(?P<who>{RELATION})\b(?!['’])(?:,?\s(?P<name>[A-Z][\w-]+))?", re.IGNORECASE
)


def relations(text: str) -> frozenset[str]:
    """The words of a text that say who somebody is."""
    return frozenset(word.casefold() for word in _RELATION.findall(text))


def subject(clause: str) -> str:
    """What stands before the verb of an English clause; all of it, where none is found."""
    return _VERB.split(clause, maxsplit=1)[0]


def includes_user(clause: str) -> bool:
    """Whether a clause of the user's speaks of the user."""
    return _INCLUDES_ME.search(clause) is not None


def is_about_another(clause: str) -> bool:
    """Whether a clause of the user's says something of somebody close to the user, and of the user nothing."""
    return _IS_SUBJECT.search(clause) is not None and not includes_user(clause)


def another(text: str) -> str:
    """Whom a sentence like "User's sister Mia lives in Oslo." is about; "" where it is the user."""
    found = _OF_THE_USER.match(text)
    if found is None:
        return ""
    name = found["name"] or ""
    return name if name[:1].isupper() else found["who"].casefold()
