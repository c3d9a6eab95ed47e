"""Telling languages of Latin script apart by their commonest words, where a text is clear about it.

Too little for names or a few words: then nothing is said. For other scripts see `scripts`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from recallr_litellm.core.stopwords import ENGLISH

_WORDS: Final = re.compile(r"[^\W\d_]+")
_CLEAR: Final = 3
"""Words of a language in a text that is clearly of it, none of which another has; and how many times as many as of any
other language."""
_OTHER: Final = 2
"""Words of another language in a sentence that is of that one."""

_COMMON: Final = {
    "en": ENGLISH
    | frozenset(
        "lives live lived likes liked like loves loved works worked work wants want wanted plans planned named "
        "called moved moves bought goes went said says their never always also because everything nothing year "
        "years since today tomorrow yesterday week new old good every really who got took takes gave made makes "
        "knows".split()
    ),
    "de": frozenset(
        "ich du er sie es wir ihr mich mir dich dir uns euch sich mein meine meinen meinem meiner dein deine sein "
        "seine seinen unser unsere der die das den dem des ein eine einen einem einer eines kein keine keinen und "
        "oder aber denn weil dass wenn als ob nicht auch noch nur schon sehr mehr immer wieder heute gestern "
        "morgen jetzt dann da hier dort was wer wie wo warum ist bin bist sind seid war waren wird werde werden "
        "wurde habe hast hat haben hatte hatten kann kannst will möchte muss soll darf mag in im an am auf aus "
        "bei mit nach seit von vom vor zu zum zur über unter für durch gegen ohne um bis so ja nein doch man alle "
        "alles etwas nichts heißt heiße wohne wohnt arbeite arbeitet gehe geht mache macht gern gerne letzte "
        "nächste jahr woche".split()
    ),
    "fr": frozenset(
        "je tu il elle nous vous ils elles on me te se moi toi lui leur mon ma mes ton ta tes son sa ses notre "
        "nos votre vos le la les un une des du de au aux ce cet cette ces et ou mais donc car que qui quoi dont "
        "où ne pas plus jamais rien très aussi encore toujours déjà hier demain maintenant ici est suis es sommes "
        "êtes sont était étais être ai as a avons avez ont avait avoir fait fais vais va aller veux veut peux "
        "peut dans sur sous avec sans pour par chez en entre depuis pendant avant après oui non tout tous toute "
        "si comme quand parce habite travaille aime appelle année semaine ça c j l d n qu s".split()
    ),
    "es": frozenset(
        "yo tú él ella nosotros ellos ellas me te se nos mi mis tu tus su sus nuestro nuestra el la los las lo un "
        "una unos unas de del al y o pero porque que quien qué cuando donde como no sí muy más también ya siempre "
        "nunca nada todo todos hoy ayer mañana ahora aquí es soy eres son era fue ser está estoy están estaba "
        "estar he ha hemos han había tengo tiene tenemos tienen tener voy va vamos quiero quiere puedo puede hay "
        "hace en con sin por para sobre entre desde hasta vivo vive trabajo trabaja gusta llamo llama año años "
        "semana este esta a".split()
    ),
    "pt": frozenset(
        "eu tu ele ela nós eles elas você vocês me te se nos meu minha meus minhas teu tua seu sua seus suas "
        "nosso nossa o a os as um uma uns umas de do da dos das ao à no na nas e ou mas porque que quem quando "
        "onde como não sim muito mais também já sempre nunca nada tudo todos hoje ontem amanhã agora aqui é sou "
        "és são era foi ser está estou estão estava estar tenho tem temos têm tinha ter vou vai vamos quero quer "
        "posso pode há faz em com sem por para sobre entre desde até moro mora trabalho trabalha gosto gosta "
        "chamo chama ano anos semana este esta pelo pela isso fui".split()
    ),
    "it": frozenset(
        "io tu lui lei noi voi loro mi ti si ci vi mio mia miei mie tuo tua suo sua nostro nostra il lo la i gli "
        "le un uno una di del della dei delle degli dello al alla ai alle da dal dalla nel nella in con su sul "
        "sulla per tra fra e ed o ma perché che chi quando dove come non sì molto più anche già sempre mai niente "
        "nulla tutto tutti oggi ieri domani adesso ora qui è sono sei siamo siete era erano essere ho hai ha "
        "abbiamo hanno aveva avere vado va andiamo voglio vuole posso può c faccio fa questo questa senza vivo "
        "vive abito abita lavoro lavora piace chiamo chiama anno anni settimana ogni".split()
    ),
    "nl": frozenset(
        "ik jij je hij zij ze wij we jullie u mij me jou hem haar ons hen mijn jouw zijn onze de het een geen dit "
        "dat die deze en of maar want omdat als niet ook nog al zeer heel meer altijd nooit weer vandaag gisteren "
        "morgen nu dan daar hier wat wie hoe waar waarom is ben bent was waren wordt word heb hebt heeft hebben "
        "had hadden kan kun wil moet mag ga gaat gaan doe doet in op aan bij met naar van voor tegen over onder "
        "door zonder om tot sinds uit te er ja nee toch alle alles iets niets heet woon woont werk werkt graag "
        "jaar week".split()
    ),
}
_OF: Final = Counter(word for words in _COMMON.values() for word in words)
_OWN: Final = {name: frozenset(word for word in words if _OF[word] == 1) for name, words in _COMMON.items()}
"""Of each language those that no other has."""


def in_another_language(text: str, than: str) -> bool:
    """Whether a sentence is clearly in another language than a text that is clearly in one.

    Words that are in the text too may be names or quoted, so they count for nothing.
    """
    of_text = _words(than)
    spoken = _clear_language(of_text)
    if not spoken:
        return False
    of_sentence = _words(text)
    if of_sentence & _OWN[spoken]:
        return False
    counted = _counted(of_sentence - of_text)
    return max(counted.values()) >= _OTHER


def _clear_language(words: frozenset[str]) -> str:
    counted = _counted(words)
    [(first, most), (_, next_most)] = counted.most_common(2)
    return first if most >= _CLEAR and most >= _CLEAR * next_most else ""


def _counted(words: frozenset[str]) -> Counter[str]:
    return Counter({name: len(words & own) for name, own in _OWN.items()})


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORDS.findall(text))
