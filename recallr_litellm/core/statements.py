"""Whether a message states something, or only asks, or only says that it does not know.

A question that is asked every day, and "I am not sure" after each, must not stand where the answer would. The rules
are words and word order of seven languages; where none of them speaks, the message states something.
"""

from __future__ import annotations

import re

from recallr_litellm.core.messages import Role

_MARKS = "?？؟"
_AFTER_MARK = " \n\t\"'”’»)]*_`"
_SENTENCE = re.compile(r"[^.!?？؟。！\n]+[.!?？؟。！]*")
_TOLD_BESIDES = 8
"""Words beside its questions from which on a message states something, whatever they are."""
_OPENING = r"^\W*(?:(?:so|and|but|hey|hi|hello|ok|okay|please|um|well|also|sorry|again|quick question)\b[\s,:]+)*"
_REACTS = re.compile(
    r"""^\W*(?:that['’]?s|that\sis|this\sis|sounds|looks|wow|great|nice|cool|awesome|amazing|lovely|perfect|fun|oh|ah|aw+
    |thanks?|thank\syou|hi|hey|hello|good|glad|ok|okay|yes|yeah|yep|no|nope|sure|congrat\w*|really|i\ssee|got\sit
    |understood|of\scourse|right|sorry|haha\w*|hm+|so|well|interesting|quick\squestion|one\s\w+\squestion|question
    |danke|merci|gracias|grazie|obrigad[oa]|bedankt|hallo|bonjour|hola|ciao)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""How a sentence begins that only answers what was said before."""
_STATES_FIRST = re.compile(
    _OPENING + r"(?:i|i['’](?:m|ve|d|ll)|my|we|we['’](?:re|ve)|our)\s(?!wonder|forgot|need\sto\sknow|want\sto\sknow)"
    r"(?:[^\s,]+\s+){2,}[^\s,]+,\s",
    re.IGNORECASE,
)
"""A statement of one's own in front of the question, in one sentence: "I'm allergic to nuts, what can I cook?" """
_FEWEST_STATED = 3
"""Words of a sentence that can state something: "Max snores." is taken for a reaction."""
_LONGEST_WITHOUT_MARK = 25
"""Words: what is longer and has no question mark is seldom a mere question."""
_LONGEST_EMPTY_ANSWER = 90
"""Words of an answer that says it does not know, offers of help included."""

_AUXILIARY = (
    "(?:is|are|was|were|am|do|does|did|has|have|had|can|could|should|would|will|shall|'s|’s|isn'?t|don'?t|didn'?t)"
)
_ASKED = re.compile(
    _OPENING
    + rf"""(?:
      (?:what|who|whom|whose|where|when|which|why|how)\s*{_AUXILIARY}\b
    | (?:what|which|whose|how)\s+(?!(?:i|we|you|he|she|they|it|a|an|happened|matters|helped)\b)\w+(?:\s+\w+)?\s+
        {_AUXILIARY}\b
    | {_AUXILIARY}\s+(?:you|i|we|my|our|the|it|he|she|they|there|this|that|any|anyone|anybody|someone)\b
    | any\s(?:idea|clue|memory)
    | wie\s(?:hei(?:ß|ss)|ist|war|alt|viel|lange?|oft|spät|hoch)|(?:was|wer|wo|wann|warum|wohin|woher)\s(?:ist|sind|war
        |waren|hab|hat|hei(?:ß|ss)|wohn|arbeit|mag|mach)|welche[rsnm]?\s|(?:wei(?:ß|ss)t|kannst|hast|erinnerst)\sdu\b
    | (?:comment|où|quand|pourquoi|combien|quel(?:le)?s?|qui\sest|est-ce|qu['’]est)\b
    | (?:cómo|cuál(?:es)?|qué|quién|dónde|cuándo|cuánt[oa]s?|recuerdas|sabes)\b
    | (?:dove|quando|quanto|quale|qual\s[eè]|come\ssi|cosa|chi\s[eè]|ricordi|sai)\b
    | (?:qual|onde|quando|quem|quanto|lembras|lembra-se|sabes)\b
    | (?:hoe|waar|wanneer|welke|waarom|wie\sis|wat\s(?:is|was|zijn)|weet\sje)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""A question whose mark was left out; only where the text does not end as a statement does."""
_WANTS_TO_KNOW = re.compile(
    _OPENING
    + r"""(?:
      (?:can\syou\s|could\syou\s)?(?:tell|remind)\sme\s(?:again\s)?(?:what|who|where|when|which|why|how|whose|about|if
        |whether|my|of|the\s(?!truth\b)\w+)\b
    | (?:i(?:['’]ve|\shave|\s)?\s?(?:forgot(?:ten)?|(?:always\s|keep\s)?forget(?:ting)?)
        |(?:i\s)?(?:can['’]?t|cannot|can\snever|don['’]?t|do\snot)\s(?:remember|recall|know)
        |(?:i(?:['’]m|\sam|\swas)?\s)?(?:just\s)?(?:wonder(?:ing)?|curious|trying\sto\s(?:remember|recall|find\sout))
        |i(?:\swas|\sam|['’]m)\shoping\syou(?:['’]d|\s\w+)?\s(?:know|remember|tell\sme)|(?:got|have)\sany\s(?:idea|clue)
        |(?:can\syou\s|please\s)?help\sme\s(?:remember|recall|find\sout)
        |i(?:['’]d|\swould)\slike\sto\sknow|(?:i\s)?(?:need|want)\sto\s(?:know|remember|find\sout))
      \s(?:again\s)?(?:what|who|where|when|which|why|how|whose|if|whether|the\s(?:[^\s'’]+['’]s\s)?name|the\s\w+\sof
        |my(?:\s(?!(?:at|in|on|to|about)\b)\S+){1,4}\W*$)\b
    | (?:i\sneed\s)?(?!.*\b(?:is|are|was)\b).{0,40}\b(?:password|number|code|pin|name|address|link)(?:\sof\s.{1,40})?
        \W{1,2}(?:again|please|quick)\W*$
    | (?:i\s)?need\s(?:the|my)\s(?:\w+\s)?(?:password|number|code|pin|name|address|link|date)
        (?:\s(?:of|for)\s.{1,40})?\W*$
    | (?:sag|erzähl|nenn)\smir\b | (?:dis|rappelle|rappelez|dites)[-\s]moi\b | (?:dime|recuérdame)\b
    | (?:dimmi|ricordami)\b | (?:diz-me|diga-me|lembra-me)\b
    | ich\s(?:frage?\smich|(?:möchte|will|muss)\s(?:gerne?\s)?wissen|wüsste\sgerne?|hab(?:e)?\svergessen
        |wei(?:ß|ss)\snicht(?:\smehr)?)\W{1,2}(?:was|wer|wo|wann|wie|welche[rsnm]?|warum|ob|wohin|woher|wessen)\b
    | (?:je\sme\sdemande|je\s(?:voudrais|veux|dois)\ssavoir|j['’]ai\soublié|je\sne\s(?:sais|me\ssouviens)\splus)\s
        (?:où|quand|comment|quel(?:le)?s?|qui|pourquoi|combien|si|ce\squ|le\s(?:nom|numéro|code)|la\sdate|l['’]adresse)\b
    | (?:me\spregunto|(?:quiero|quisiera|necesito)\ssaber|(?:se\sme\s)?olvid[éó]|he\solvidado|no\s(?:me\sacuerdo
        |recuerdo))\s(?:dónde|cuándo|cómo|cuál(?:es)?|qué|quién|cuánt[oa]s?|si|el\s(?:nombre|número|código)|la\s(?:fecha|dirección))\b
    | (?:mi\schiedo|(?:vorrei|voglio|devo)\ssapere|ho\sdimenticato|non\s(?:mi\s)?ricordo)\s
        (?:dove|quando|come|quale?|chi|perché|quant[oaie]|se|cosa|il\s(?:nome|numero|codice)|la\sdata|l['’]indirizzo)\b
    | (?:pergunto-me|(?:queria|quero|preciso)\s(?:de\s)?saber|(?:me\s)?esqueci(?:-me\sde|\sde)?|não\s(?:me\s)?lembro
        (?:\sde)?)\s(?:onde|quando|como|qual|quais|quem|quant[oa]s?|se|o\s(?:nome|número|código|endereço)|a\s(?:data|morada))\b
    | ik\s(?:vraag\sme\saf|(?:wil|moet)\s(?:graag\s)?weten|ben\svergeten|weet\sniet\smeer)\W{1,2}
        (?:waar|wanneer|hoe|wat|wie|welke?|waarom|of|de\snaam)\b
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""A question in the form of a request."""
_GOES_ON = re.compile(r"[,;:]\s+\w+\s+\w+\s+\w+|\b(?:because|since)\s", re.IGNORECASE)
_ASKING_ENDS = (
    *("吗", "嗎", "呢", "么", "哪里", "哪儿", "什么", "谁", "多少", "几点"),
    *("ですか", "ますか", "何", "どこ", "誰", "いつ", "인가요", "나요", "까요", "뭐야", "어디야"),
)

_DOES_NOT_KNOW = re.compile(
    r"""\b(?:
      i(?:['’]m|\sam)\s(?:\w+\s){0,2}not\s(?:\w+\s)?(?:sure|certain|aware)|i(?:['’]m|\sam)\sunaware
    | i\s(?:\w+\s)?(?:do\snot|don['’]?t|did\snot|didn['’]?t)\s(?:\w+\s){0,2}(?:know|have|recall|remember|see|find)
    | i\s(?:\w+\s)?(?:can['’]?t|cannot|could\snot|couldn['’]?t)\s(?:\w+\s)?(?:recall|remember|find|say|tell|see|access)
    | i\s(?:have|had|find|found|see)\sno\b
    | you\s(?:have\snot|haven['’]?t|did\snot|didn['’]?t|never)\s(?:\w+\s){0,2}(?:told|mention|shared?|said|tell|given?)
    | (?:there\sis|there['’]s|there\swas)\sno\s(?:\w+\s)?(?:information|record|mention|memory|note)
    | no\s(?:idea|information|record|memory|memories)\b
    | (?:i(?:['’]m|\sam)\s)?(?:\w+\s)?unable\sto\s(?:recall|remember|find|say|tell|see|access|determine|verify)
    | (?:can['’]?t|cannot)\s(?:determine|verify|be\sdetermined) | drawing\sa\sblank | not\ssomething\si\s(?:know|have)
    | (?:hasn['’]t|has\snot|never)\scome\sup
    | nothing\sin\s(?:our|the|your|this)\s(?:\w+\s)?(?:conversations?|chats?|messages|history)
    | (?:don|doesn)['’]t\s(?:believe|think|(?:look|seem)\s(?:like|that))\s(?:that\s)?(?:you|we)(?:['’]ve|\shave)?\b
    | we\s(?:have\snot|haven['’]?t|never)\s(?:\w+\s)?(?:talked|discussed|spoken|covered)
    | (?:isn['’]t|is\snot|not)\s(?:currently\s)?available\sto\sme
    | (?:was|is|has)\s?n['’]?o?t\s(?:been\s)?(?:mentioned|told|stated|shared)
    | (?:das\s)?wei(?:ß|ss)\sich\s(?:\w+\s)?nicht|ich\swei(?:ß|ss)\s(?:\w+\s){0,2}nicht|nicht\ssicher
    | (?:hast\sdu|haben\ssie)\s(?:\w+\s){0,3}(?:nicht|nie)\s(?:gesagt|erzählt|erwähnt|genannt)
    | (?:keine|keinen)\s(?:\w+\s)?(?:information|informationen|ahnung|angaben|erinnerung|hinweis)
    | je\sne\s(?:sais|connais|me\ssouviens)\spas|je\sn['’]ai\s(?:pas|aucune)|pas\ssûre?
    | (?:vous\sne\sm['’]avez|tu\sne\sm['’]as)\s(?:pas|jamais) | aucune\sinformation
    | no\sme\s(?:lo\s)?(?:has|ha)\s(?:dicho|contado)
    | non\sme\s(?:lo\s|l['’])?ha(?:i)?\s(?:\w+\s)?dett[oa] | não\sme\s(?:\w+\s)?(?:disse|contou)(?:ste)?
    | heb\sje\sme\s(?:\w+\s){0,3}niet
    | no\s(?:lo\s)?(?:sé|recuerdo)|no\stengo|no\sestoy\segur[oa]
    | non\s(?:lo\s)?(?:so|ricordo)|non\sho|non\ssono\ssicur[oa]
    | não\s(?:o\s)?(?:sei|lembro|me\slembro|tenho)
    | (?:dat\s)?weet\sik\s(?:\w+\s)?niet|ik\sweet\s(?:\w+\s)?niet|geen\s(?:informatie|idee)
    )
    | 不知道 | 不清楚 | 没有.{0,8}(?:信息|记录) | 没有告诉 | (?:わか|分か|知)りません | 存じません
    | 모르겠 | 정보가\s?없""",
    re.IGNORECASE | re.VERBOSE,
)
_OFFERS = re.compile(
    r"""^\W*(?:(?:but|and|so|however)\b[\s,]*)?(?:
      if\syou|let\sme\sknow|feel\sfree|would\syou|could\syou|can\syou|please|tell\sme|just|once\syou|you\s(?:can|could)
    | i(?:['’]d|\swould|['’]ll|\swill|\scan|['’]m|\sam)\s(?:be\s)?(?:happy|glad|help|able|remember|sorry)|happy\sto
    | (?:i['’]m\s|i\sam\s|so\s)?sorry|i\sapologi[sz]e|unfortunately|as\san\sai|hm+|good\squestion|great\squestion
    | leider|tut\smir\sleid|désolée?|entschuldigung|lo\ssiento|mi\sdispiace|desculpe?|sorry
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_BUT = re.compile(r",?\s+(?:but|aber|mais|pero|ma|mas|maar)\s+|[:;]\s|,\s+(?=(?:the|it|they)\s)", re.IGNORECASE)
_WORDS = re.compile(r"\w+")


def states_nothing(text: str, role: Role) -> bool:
    """Whether a whole message only asks, or is an answer that only says that it does not know.

    Args:
        text: of any language and length; linear time.
        role: the assistant's "I do not know" states nothing, the user's may.
    """
    return only_asks(text) or (role == "assistant" and _knows_nothing(text))


def ends_asking(text: str) -> bool:
    """Whether its last sentence is marked as a question."""
    return text.rstrip(_AFTER_MARK).endswith(tuple(_MARKS))


def only_asks(text: str) -> bool:
    """Whether it asks, marked or not, and says next to nothing besides."""
    if ends_asking(text):
        told = [s for s in _SENTENCE.findall(text) if not s.endswith(tuple(_MARKS))]
        if sum(len(sentence.split()) for sentence in told) >= _TOLD_BESIDES or _STATES_FIRST.match(text):
            return False
        return all(len(sentence.split()) < _FEWEST_STATED or _REACTS.match(sentence) for sentence in told)
    if len(text) > 400 or len(text.split()) > _LONGEST_WITHOUT_MARK:
        return False
    if wish := _WANTS_TO_KNOW.match(text):
        return len(_SENTENCE.findall(text)) == 1 and not _GOES_ON.search(text, wish.end())
    end = text.rstrip(_AFTER_MARK)
    return not end.endswith((".", "!", "…", "。")) and bool(_ASKED.match(text) or end.endswith(_ASKING_ENDS))


def _knows_nothing(text: str) -> bool:
    """Whether each sentence says that something is not known, asks, or offers help; and one the first."""
    if len(text) > 1_000 or len(_WORDS.findall(text)) > _LONGEST_EMPTY_ANSWER:
        return False
    clauses = [clause for sentence in _SENTENCE.findall(text) for clause in _BUT.split(sentence)]
    sentences = [clause.strip() for clause in clauses if any(map(str.isalnum, clause))]
    unknowing = [bool(_DOES_NOT_KNOW.search(sentence)) for sentence in sentences]
    return any(unknowing) and all(
        known_not or sentence.endswith(tuple(_MARKS)) or bool(_OFFERS.match(sentence))
        for known_not, sentence in zip(unknowing, sentences, strict=True)
    )
