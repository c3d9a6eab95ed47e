"""English words that say nothing about what a text is about.

Without apostrophes, since the BM25 tokenizer cuts there: "don't" is read as `don` and `t`.
"""

from __future__ import annotations

_ARTICLES_AND_QUANTIFIERS = (
    "a an the this that these those all any both each every few more most other some such same own no nor not only so "
    "than too very just"
)
_PRONOUNS = (
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers "
    "herself it its itself they them their theirs themselves who whom whose which what"
)
_VERBS = (
    "am is are was were be been being have has had having do does did doing will would shall should can could may "
    "might must"
)
_PREPOSITIONS_AND_CONJUNCTIONS = (
    "and but if or because as until while of at by for with about against between into through during before after "
    "above below to from up down in out on off over under"
)
_ADVERBS = "again further then once here there when where why how now"
_LEFT_OF_CONTRACTIONS = (
    "s t d m ll re ve don didn doesn isn aren wasn weren haven hasn hadn won wouldn couldn shouldn mustn"
)

ENGLISH = frozenset(
    word
    for words in (
        _ARTICLES_AND_QUANTIFIERS,
        _PRONOUNS,
        _VERBS,
        _PREPOSITIONS_AND_CONJUNCTIONS,
        _ADVERBS,
        _LEFT_OF_CONTRACTIONS,
    )
    for word in words.split()
)
