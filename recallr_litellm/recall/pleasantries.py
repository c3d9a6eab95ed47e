"""Messages that ask for nothing that was said before: greetings, thanks, assent; and those that only say "go on"."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_MOST_WORDS = 10
_LONGEST = 200
"""Characters of a pleasantry."""

_POLITE = frozenset(
    """
    hi hello hey hiya heya yo howdy greetings morning afternoon evening night thanks thank thx ty tysm cheers bye
    goodbye cya ok okay okey k kk mhm uh um er alright right sure yes yeah yep yup yea no nope nah please great cool
    nice perfect awesome amazing wow lol haha hmm hm oh ah fine welcome sorry np nvm excellent wonderful lovely
    brilliant good appreciated sounds makes
    danke dankeschön bitte hallo moin servus grüß tschüss tschüß ja nein gut super toll prima klar guten
    merci bonjour bonsoir salut coucou oui non d'accord parfait génial hola gracias vale sí si bueno buenos buenas adiós
    perfecto genial grazie ciao prego sì bene buongiorno buonasera arrivederci perfetto perfavore obrigado obrigada olá
    sim não boa bom tchau perfeito bedankt hoi dank goedemorgen dag doei nee goed спасибо привет да нет ок хорошо
    здравствуйте пока dziękuję cześć tak nie teşekkürler merhaba evet tack hej
    """.split()
)
_BESIDE = frozenset(
    """
    there everyone all again so very much lot a lots many for your the that this help answer you see later soon well
    done job got it sense it's that's is day dear friend to from me appreciate quick too one both
    schön schon sehr vielen alles gott morgen tag abend nacht dir euch ihnen noch einen
    beaucoup bien au revoir à bientôt vous te s'il plaît plait muchas mucho días tardes noches de nada por favor mille
    va muito dia tarde noite je wel u
    """.split()
)
"""Words that may stand beside those, and say something of their own alone."""
_PHRASE = re.compile(
    r"""\b(?:
      how\s(?:are\syou(?:\sdoing)?(?:\stoday)?|do\syou\sdo|are\sthings|['’]?s\sit\sgoing) | how['’]?s\sit\sgoing
    | how\sis\sit\sgoing | what['’]?s\sup | no\s(?:worries|problem) | you\stoo | i\ssee | that\shelps?(?:ed)? | will\sdo
    | (?:have|enjoy)\s(?:a|your)\s(?:nice|good|great|lovely)?\s?(?:day|evening|weekend|night|one|time)
    | wie\sgeht(?:['’]?s|\ses\s(?:dir|ihnen)) | gute\snacht | bis\s(?:später|bald|morgen|dann)
    | (?:comment\s)?ça\sva | bonne\s(?:soirée|journée|nuit) | à\s(?:plus|demain) | de\srien
    | qué\stal | cómo\sestás | hasta\s(?:luego|mañana|pronto) | come\s(?:stai|va) | a\s(?:presto|domani)
    | tudo\sbem | até\s(?:logo|já|amanhã) | hoe\sgaat\shet(?:\smet\sje)? | tot\s(?:ziens|straks|morgen) | как\sдела
    | jak\ssię\smasz
    )(?!['’]?\w)""",
    re.IGNORECASE | re.VERBOSE,
)
"""What is polite as a whole, and says something of its own in parts."""
_SPACELESS = re.compile(
    r"(?:你好|您好|谢谢|謝謝|多谢|好的?|嗯+|是的?|不是?|再见|早上好|晚安|明白|知道|没事|没问题|了|啊|吧|你|您"
    r"|ありがとう(?:ございます)?|こんにちは|おはよう(?:ございます)?|はい|いいえ|どうも|わかりました|了解|です|しました"
    r"|안녕하세요|감사합니다|고마워요?|좋아요?|알겠습니다|알겠어요|네|아니요|धन्यवाद|नमस्ते|شكرا|مرحبا|\s|\W)+"
)
_GO_ON = re.compile(
    r"""\W*(?:please\s+|and\s+|ok(?:ay)?,?\s+|yes,?\s+)*(?:
      (?:let['’]?s\s)?(?:continue|go\son|keep\sgoing|carry\son|move\son|proceed) | go\sahead | resume
    | keep\s(?:writing|reading|talking) | (?:let['’]?s\s)?pick\sup\swhere\swe\s(?:left\soff|stopped)
    | (?:(?:tell|show|give)\sme\s)?(?:some\s)?more | (?:what['’]?s\s|the\s)?next(?:\s(?:step|one|part))?
    | and\s?(?:then|now)? | then\?
    | (?:mach\s)?(?:bitte\s)?weiter | fahr\sfort | continue[zr] | poursui[st] | vas?-y | la\ssuite
    | continúa | sigue | continua | siga | vai\savanti | avanti | prosegui | (?:ga\s)?(?:door|verder)
    | 继续[说写吧]? | 繼續 | 続けて(?:ください)? | 続き(?:を(?:お願いします)?)? | 계속(?:\s?해\s?(?:주세요|줘)?)?
    | продолжай(?:те)? | дальше
    )(?:\s+(?:please|now|then|with\s(?:it|that|this)|where\s(?:we|you)\s(?:left\soff|stopped)|bitte|por\sfavor
      |s['’]il\s(?:te|vous)\spla[iî]t|per\sfavore))*\W*""",
    re.IGNORECASE | re.VERBOSE,
)


def is_pleasantry(message: str) -> bool:
    """Whether a message is nothing but politeness or assent, in a dozen languages: "hi", "ok, thanks a lot!" """
    if not _WORD.search(message):
        return False
    words = _WORD.findall(_PHRASE.sub("ok", message[:_LONGEST]).casefold())
    if len(words) <= _MOST_WORDS and not _POLITE.isdisjoint(words) and all(w in _POLITE or w in _BESIDE for w in words):
        return len(message) <= _LONGEST
    return _SPACELESS.fullmatch(message) is not None


def says_go_on(message: str) -> bool:
    """Whether a message only asks to go on with what was said before: "continue", "weiter bitte", "and then?" """
    return len(message) <= _LONGEST and _GO_ON.fullmatch(message) is not None
