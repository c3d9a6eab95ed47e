"""What the words that a fact rests on say of it: a model's own word is not taken for it.

Rules of words: where none of them speaks, the model is believed. A fact is held against the clause of the messages that
has most of its words, so that "If I ever move to Rome, I'll take my dog" still tells of a dog.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from recallr_litellm.core.people import includes_user, is_about_another, relations, subject
from recallr_litellm.core.scripts import as_words
from recallr_litellm.core.statements import ends_asking, only_asks
from recallr_litellm.core.stopwords import ENGLISH
from recallr_litellm.learning.details import names, negates, numbers

_CLAUSE: Final = re.compile(
    r"[.!?…;\n。！？；]+|[,:—–(),]\s*|\s(?:but|aber|sondern|mais|pero|sino|però|mas|maar)\s"
    r"|\s(?:and|und|et|y|e|en)\s(?=(?:i|we|my|our|ich|wir|je|nous|yo|eu|io|ik)\b)",
    re.IGNORECASE,
)
_SENTENCE: Final = re.compile(r"(?<=[.!?…。！？\n])\s*")
_WORDS: Final = re.compile(r"\w+")
_SAYS_LITTLE: Final = ENGLISH | frozenset(
    "user users lives likes wants says said named called name go goes going get gets got make makes made take takes "
    "took like love loves enjoy enjoys prefer prefers want plan plans planned use uses told start started new really "
    "very favourite favorite feel feels think thinks own owns der die das ein eine ist hat und ich mein meine le la "
    "les un une est et je mon ma el los las es y mi o os um uma e meu minha il lo io de het een en ik mijn".split()
)
_MOST: Final = 2_000
"""Characters of a message that are looked at."""

_IMAGINED: Final = re.compile(
    r"""\b(?:if\s(?:i|we)\s(?:ever|were|won|had|one\sday)|what\sif\s(?:i|we)|suppos(?:e|ing)\s(?:i|we)
    |imagine\s(?:i|we|if|that)|hypothetically|let['’]?s\ssay\s(?:i|we)|in\sanother\slife|had\si\s|were\si\sto
    |(?:wenn|falls)\s(?:ich|wir)\s(?:je|jemals|mal|einmal|irgendwann|eines\stages)\b|(?:wenn|falls)\s.{1,40}\s(?:würde|wäre|hätte)
    |angenommen|si\sjamais|si\sun\sjour|si\sj['’](?:étais|avais)|si\s(?:algún\sdía|alguna\svez|fuera|tuviera)
    |se\s(?:algum\sdia|um\sdia|fosse|tivesse)|se\s(?:mai|un\sgiorno|fossi|avessi)|als\sik\sooit|stel\sdat)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_WOULD: Final = re.compile(
    r"\b(?:would|could|might)\b|['’]d\b|\bwürden?\b|\b\w+(?:rais|rait|ría|ría[ms]?|rei)\b|\bzou\b", re.IGNORECASE
)
_PERHAPS: Final = re.compile(
    r"""\b(?:(?:maybe|perhaps|possibly|might|may|could)\b.{0,60}\b(?:some\s?day|one\sday|eventually|at\ssome\spoint|sometime)
    |(?:i|we)\smight(?!\s(?:have|be\sable)\b)|(?:maybe|perhaps)\s(?:i|we)(?:['’]ll|['’]d|\s(?:will|should|could|would|might))
    |(?:some\s?day|one\sday|eventually)\b.{0,30}\b(?:maybe|perhaps|might)
    |(?:vielleicht|eventuell)\b.{0,60}\b(?:irgendwann|eines\stages|mal)|peut-être\b.{0,60}\b(?:un\sjour)
    |(?:quizás?|tal\svez|talvez|a\slo\smejor)\b.{0,60}\b(?:algún\sdía|algum\sdia|um\sdia)
    |(?:forse|magari)\b.{0,60}\bun\sgiorno|misschien\b.{0,60}\booit)\b
    |^\W*(?:some\s?day|irgendwann|algún\sdía|un\sjour|un\sgiorno)\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
_WISHES: Final = re.compile(
    r"\b(?:want|wish|love|like|hope|dream|möchte|hoffe|träume|aimerais|gustaría|gostaria)", re.I
)
_PLAYED: Final = re.compile(
    r"""\b(?:role-?\s?play\w*|rollenspiel|jeu\sde\srôle|my\s(?:character|avatar|persona)|in-?game|dungeon\smaster|d&d
    |pretend\s(?:you|i|we|to\sbe|that\s(?:i|we|you))|act\sas\s(?:if|though)\si|make-?believe
    |in\s(?:the|this|our|my)\s(?:video\s?)?(?:game|novel|story|campaign|play|film|movie|script),?\s(?:i|we)\b
    |once\supon\sa\stime)\b|\((?:in\s(?:the\s|a\s)?)?(?:game|gaming|rpg|fiction|story|roleplay)\)""",
    re.IGNORECASE | re.VERBOSE,
)
_INVENTED: Final = re.compile(
    r"\b(?:write|tell\sme|continue|make\sup)\s(?:me\s)?an?\s(?:\w+\s)?(?:story|poem|novel|song|scene|tale|limerick)\b",
    re.IGNORECASE,
)
_FOR_SOMEBODY: Final = re.compile(r"\b(?:for|to|about|of)\s(?:my|our)\b", re.IGNORECASE)
_ENDED: Final = re.compile(
    r"""\b(?:any\s?more|no\slonger|no\smore|quit|stopped|gave\sup|given\sup|never\sagain
    |nicht\smehr|kein(?:e|en|er)?\s.{0,30}mehr|aufgehört|nie\swieder
    |n['’e]\s?\w+\s(?:\w+\s)?plus|plus\sde|arrêté|ya\sno|dejé\sde|já\snão|deixei\sde|não\s.{0,30}\smais|nunca\smais|nunca\smás
    |non\s.{0,30}\spiù|smesso|niet\smeer|geen\s.{0,30}meer|gestopt)\b|不再|もう.{1,12}ない""",
    re.IGNORECASE | re.VERBOSE,
)
_NEGATED: Final = re.compile(
    r"""\b(?:i|we)(?:\s\w+n['’]t|['’](?:m|re|ve|d|ll)\s(?:not|never)|\s(?:\w+\s)?(?:not|never)|\s(?:\w+\s)?cannot)\s
        (?!(?:only|just|merely|sure|think|know|remember|mind|forget|even|wait|stop|live\swithout|do\swithout)\b)
        (\w+(?:\s\w+){0,2})
    | \b(?:kein(?:e[nrm]?)?|geen)\s(\w+)
    | \b(?:ich|wir|ik)\s(\w+)\s(?:\w+\s){0,2}(?:nicht|nie|niet|nooit)\b(?!\s(?:nur|alleen))
    | \b(?:je|nous)\s(?:ne\s|n['’])(\w+(?:\s\w+)?)\s(?:pas|jamais)\b
    | ^(?:(?:yo|eu|io)\s)?(?:no|não|nunca|non)\s(?!(?:s[oó]lo|s[oó]|solo|sé|sei|so)\b)(\w+(?:\s\w+){0,2})""",
    re.IGNORECASE | re.VERBOSE,
)
"""What one says is not so: the words after, or within, the denial."""
_WAS_ONCE: Final = re.compile(r"\b(?:i|we)\sused\sto\s(?!be\sable\b)", re.IGNORECASE)
_OF_THE_PAST: Final = re.compile(
    r"\b(?:was|were|had|did|once|\w+ed|went|drove|ate|drank|ran|grew|taught|wrote)\b", re.IGNORECASE
)
_NOT_QUITE: Final = re.compile(r"\b(?:almost|nearly|beinahe|presque|casi|quase|quasi|bijna)\s(\w+)", re.IGNORECASE)
_WISHED: Final = re.compile(
    r"\b(?:i|we)\s(?:\w+\s)?wish\s(?:that\s)?(?:i|we|it|there)\s(?:had|were|was|could|lived|owned|knew|didn['’]t)\b",
    re.IGNORECASE,
)
_OTHERS_SAY: Final = re.compile(
    r"""^\W*(?:according\sto|laut|selon|según|segundo|secondo|volgens)\s
        (?:(?:my|our|mein\w*|mon|ma|mi|meu|minha|mio|mia|mijn)\s)?(\w+)
    |^\W*(?!(?:i|we|ich|wir|je|nous|yo|eu|io|ik|you|it)\b)(?:(?:my|our)\s)?(\w+)\s(?:thinks|says|said|believes|claims|told\s\w+)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_TO_WORK_ON: Final = re.compile(
    r"""\b(?:translate|proof-?read|rewrite|re-?phrase|paraphrase|summari[sz]e|shorten|(?:fix|correct|check|improve)\s(?:the|my|this|that)
    |übersetze?n?|korrigiere?|traduis|traduisez|corrige[zr]?|traduce|traducir|traduz\w*|traduci|vertaal|verbeter)\b
    [^.!?\n]{0,60}?(?::\s*|\n\s*|(?<=\s)(?=["'“‘«„]))(.+)""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
"""A text that one gives for work, of whom ever it tells."""
_QUOTES: Final = "\"'“”‘’«»„"
_QUOTED: Final = re.compile(rf"(?<!\w)[{_QUOTES}](.+?)(?:[{_QUOTES}](?!\w)|$)")
_NUMBERED: Final = re.compile(
    r"\b(\d+(?:[.,]\d+)*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\s([^\W\d_]{3,})"
)
_NUMERALS: Final = dict(
    zip("one two three four five six seven eight nine ten eleven twelve".split(), map(str, range(1, 13)), strict=True)
)
_DENIES: Final = re.compile(
    r"""\b(?:no|not|never|without|none|cannot|quit|stopp?ed|gave|given|former(?:ly)?|used\sto|avoids?|until|ex|past|previously|ended|dropped
    |left|cancel\w*|nicht|kein\w*|nie(?:mals)?|ohne|aufgehört|früher|pas|plus|jamais|sans|arrêté\w*|ne|nunca|ya\sno|sin|dejó|não|sem
    |deixou|non|mai|senza|smesso|niet|geen|nooit|zonder|gestopt)\b|n['’]t\b|n['’]|不|没|ない|\bне\b|\bнет\b""",
    re.IGNORECASE | re.VERBOSE,
)
_ACKNOWLEDGES: Final = re.compile(
    r"""^\W*(?:(?:ok(?:ay)?|k|kk|yes|yeah|yep|yup|sure|fine|right|alright|all|great|good|nice|cool|perfect|lovely|wonderful
    |awesome|amazing|excellent|interesting|thanks?|thx|ty|cheers|thank|you|so|very|much|a|lot|got|it|i|see|understood|noted
    |makes|sense|sounds|that|thats|that's|is|will|do|idea|one|point|helpful|that’s|ah|oh|aha|hm+|mm+|haha|lol|wow|please
    |the|tip|tips|advice|for|bye|danke|vielen|dank|gut|super|toll|genau|alles|klar|merci|beaucoup|d['’]accord|bien|parfait
    |gracias|vale|bueno|genial|claro|obrigad[oa]|certo|grazie|bene|perfetto|va|bedankt|dank|je|wel|prima|goed|好|好的|谢谢
    |はい|ありがとう|了解)\b\W*)+$|^\W*$""",
    re.IGNORECASE | re.VERBOSE,
)
_OWN_MEMORY: Final = re.compile(
    r"""\b(?:(?:did|do|does|am|have|had|was|were|should|could|can)\s(?:i|we)|(?:tell|remind)\sme|remember
    |habe?\sich|bin\sich|mag\sich|j['’]ai\sdit|ai-je|suis-je|dije|he\sdicho|eu\sdisse|ho\sdetto|heb\sik|ben\sik)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_POSSESSED: Final = re.compile(
    r"\b(?:my|our|mein\w*|unser\w*|mon|ma|mes|notre|nos|mi|mis|nuestr[oa]s?|meu|minha|mio|mia|mijn|onze)\s"
    r"(\w+(?:\s\w+){0,2})",
    re.IGNORECASE,
)
_SORRY: Final = (
    r"(?:sorry|pardon|oops|no,?\s?wait|wait,?\s?no|wait|no|i\smean|i\smeant|make\sthat|correction|scratch\sthat"
    r"|nein|quatsch|ich\smeine?|entschuldigung|non|je\sveux\sdire|perdón|digo|quiero\sdecir|desculpa"
    r"|quero\sdizer|scusa|volevo\sdire|nee|ik\sbedoel)"
)
_CORRECTED: Final = re.compile(
    rf"\b(?P<first>\w[\w.:/-]*)(?:\s(?:of\s)?(?P<second>\w+))?\s*[,.;:—–(-]+\s*{_SORRY}\b(?:[\s,.:;—–-]+{_SORRY}\b)*[\s,.:;—–!-]*"
    r"(?:(?:it['’]?s|it\sis|on|the|in|at|with|der|am|im|le|el|o|il)\s){0,3}(?P<right>\w[\w:/-]*)",
    re.IGNORECASE,
)
_ORDINAL: Final = re.compile(r"(?<=\d)(?:st|nd|rd|th|er|e|º|ª)$", re.IGNORECASE)
_SHORT: Final = 8
"""Words of a sentence in which a "maybe" is about all of it."""


def telling(text: str) -> frozenset[str]:
    """The words of a text that say what it is about, in lower case and without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", as_words(text)) if not unicodedata.combining(c))
    words = (word.casefold() for word in _WORDS.findall(plain))
    return frozenset(word for word in words if word not in _SAYS_LITTLE and (len(word) > 1 or word.isdigit()))


def alike(one: str, other: str) -> bool:
    """Whether two words are forms of one word: "dog" and "dogs", "move" and "moved"."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    if len(short) < 3 or any(map(str.isdigit, one + other)):
        return False
    most = len(short) if len(short) < 5 else len(short) - 1
    return long.startswith(short[:most]) and len(long) - len(short) <= 4


def shared(one: Iterable[str], other: Iterable[str]) -> int:
    """How many words of the one have a form among the other."""
    others = list(other)
    return sum(any(alike(word, another) for another in others) for word in one)


def fault(
    text: str, said: Sequence[str], before: Sequence[str], *, negated: bool, commits: bool, about_user: bool
) -> str:
    """What is wrong with a fact by the user's words that it rests on; "" where nothing is.

    Args:
        text: of the fact.
        said: the user's messages that it rests on.
        before: what the assistant said just before them, or is cited.
        negated: the fact says that something is not so.
        commits: it is a plan, a decision or a promise.
        about_user: its subject is the user.
    """
    words = telling(text)
    said = [one[:_MOST] for one in said]
    if all(map(only_asks, said)) and not any(_presupposes(words, one) for one in said):
        return "question"
    if _is_the_assistants(words, said, before, commits=commits):
        return "assistant"
    if any(_PLAYED.search(one) or (_INVENTED.search(one) and not _FOR_SOMEBODY.search(one)) for one in said):
        return "modality"
    denies = negated or _DENIES.search(text) is not None
    if any(_given(words, one) for one in said):
        return "modality"
    if _changes_a_number(text, said):
        return "number"
    if not denies and any(_keeps_wrong(text, found) for one in said for found in _CORRECTED.finditer(one)):
        return "corrected"

    def of_clause(clause: str, sentence: str) -> str:
        if only_asks(sentence) and not _presupposes(words, sentence):
            return "question"
        if _is_imagined(clause, sentence):
            return "modality"
        if _WISHED.search(clause) and not denies and not _WISHES.search(text):
            return "modality"
        if not denies and not negates(text) and _is_denied(words, text, clause):
            return "negation"
        if about_user and _is_of_another(words, text, clause, sentence):
            return "subject"
        return ""

    faults = [of_clause(*place) for place in _rests_on(words, said)]
    return faults[0] if faults and all(faults) else ""


def sentences(text: str, said: Sequence[str]) -> list[str]:
    """The sentences of some messages that have most of the words of a fact; empty where none has any."""
    return [sentence for _, sentence in _rests_on(telling(text), said)]


def _presupposes(words: Iterable[str], question: str) -> bool:
    """Whether a question takes a fact for granted: "What may my dog Rex eat?"."""
    if _OWN_MEMORY.search(question):
        return False
    return any(shared(words, telling(found)) for found in _POSSESSED.findall(question))


def _is_the_assistants(words: Iterable[str], said: Sequence[str], before: Sequence[str], *, commits: bool) -> bool:
    """Whether a fact says what the assistant had said, and the user no more than "ok"."""
    if shared(words, telling(" ".join(said))):
        return False
    suggested = [one for one in before if shared(words, telling(one[:_MOST]))]
    asked = any(ends_asking(one) for one in suggested)
    mere = all(map(_ACKNOWLEDGES.match, said))
    return bool(suggested) and not asked and (mere or not commits)


def _rests_on(words: Iterable[str], said: Sequence[str]) -> list[tuple[str, str]]:
    """The clauses that have most of the words, each with its sentence; empty where none has any."""
    found = [
        (shared(words, telling(clause)), clause, sentence)
        for message in said
        for sentence in _SENTENCE.split(message[:_MOST])
        for clause in filter(None, map(str.strip, _CLAUSE.split(sentence)))
    ]
    most = max((number for number, _, _ in found), default=0)
    return [(clause, sentence) for number, clause, sentence in found if number == most > 0]


def _is_imagined(clause: str, sentence: str) -> bool:
    if _IMAGINED.search(clause):
        return True
    if _IMAGINED.search(sentence) and _WOULD.search(clause) and not _POSSESSED.search(clause):
        return True
    looked_at = sentence if len(sentence.split()) <= _SHORT else clause
    return _PERHAPS.search(looked_at) is not None and not _WISHES.search(looked_at)


def _is_denied(words: Iterable[str], text: str, clause: str) -> bool:
    """Whether a clause says of what a fact holds that it is not so, not any more, or not quite."""
    if _ENDED.search(clause) or (_WAS_ONCE.search(clause) and not _OF_THE_PAST.search(text)):
        return True
    found = [part for match in _NEGATED.finditer(clause) for part in match.groups() if part]
    return any(shared(words, telling(part)) for part in (*found, *_NOT_QUITE.findall(clause)))


def _given(words: Iterable[str], message: str) -> bool:
    """Whether a fact is of a text that a message gives to be worked on, as "Translate: I live in Rome." does."""
    found = _TO_WORK_ON.search(message)
    if found is None:
        return False
    return shared(words, telling(found[1])) > shared(words, telling(message[: found.start(1)]))


def _changes_a_number(text: str, said: Sequence[str]) -> bool:
    """Whether a fact counts what messages count, and comes to another number."""
    told = [pair for one in said for pair in _numbered(one)]
    written = {_NUMERALS[word] for one in said for word in _WORDS.findall(one.casefold()) if word in _NUMERALS}
    known = written.union(*map(numbers, said))
    return any(number not in known and any(alike(what, other) for _, other in told) for number, what in _numbered(text))


def _numbered(text: str) -> list[tuple[str, str]]:
    """Each number of a text in digits, with the word behind it."""
    return [(_NUMERALS.get(number, number), what) for number, what in _NUMBERED.findall(text.casefold())]


def _is_of_another(words: Iterable[str], text: str, clause: str, sentence: str) -> bool:
    """Whether a clause is of somebody else, whom the fact does not name."""
    if (saying := _OTHERS_SAY.search(sentence)) and not shared(telling(saying[1] or saying[2]), telling(text)):
        return not includes_user(clause) or any(clause.strip(_QUOTES) in quoted for quoted in _QUOTED.findall(sentence))
    if includes_user(clause):
        return False
    return any(is_about_another(one) and not _mentions(words, text, one) for one in (clause, sentence))


def _mentions(words: Iterable[str], text: str, clause: str) -> bool:
    """Whether a fact names the person that a clause is about."""
    of_clause = relations(subject(clause)) or relations(clause)
    if shared(of_clause, relations(text)) or shared(of_clause, words):
        return True
    named = re.search(rf"\b(?i:{'|'.join(map(re.escape, of_clause))})\s([A-Z]\w+)", clause)
    return named is not None and named[1].casefold() in words


def _keeps_wrong(text: str, found: re.Match[str]) -> bool:
    """Whether a fact says what its sentence corrects at once: "on 4 March, sorry, 14"."""
    right = _ORDINAL.sub("", found["right"])
    stated = numbers(text) | names(text)
    if right.casefold() in stated:
        return False
    for written in filter(None, (found["first"], found["second"])):
        wrong = _ORDINAL.sub("", written.strip(".:-/"))
        numeric = wrong[:1].isdigit() and right[:1].isdigit()
        if wrong.casefold() in stated and (numeric or (wrong[:1].isupper() and right[:1].isupper())):
            return True
    return False
