"""Whether a statement says that something is no longer as it was: "I no longer eat fish", "it was moved to Friday"."""

from __future__ import annotations

import re

_CHANGE = re.compile(
    r"""\b(?:
      no\slonger | not\s(?:\w+\s)?any\s?more | (?:don|doesn|isn|aren|can|won)['’]?t\s(?:\w+\s){1,4}any\s?more | anymore
    | used\sto | (?:have|has|['’]ve|['’]s)\sbecome | went\s(?:vegan|vegetarian|back\sto) | (?:am|is|are)\snow
    | (?:have|has|['’]ve|['’]s)\sgone(?!\s(?:down|through|to|on|by|for|up|out|into|well|bad)\b)
    | (?:as\sof|from)\s(?:now|today|tomorrow|next|january|february|march|april|may|june|july|august|september|october
        |november|december|monday|tuesday|wednesday|thursday|friday)
    | stopped | (?<!n['’]t\s)(?<!not\s)(?<!never\s)quit | gave\sup | given\sup | switch(?:ed|ing) | swapped | changed
    | mov(?:ed|ing) | relocat(?:ed|ing) | upgraded | raised | (?:down|up)\sto\s\W?\d+ | after\sall | for\sgood
    | dropped | took\sup | my\snotice | new\s(?:best|record)
    | these\sdays | nowadays | now(?=[.!,;]) | let\sme\sgo | laid\soff | fired | started\s(?:as|at|with)
    | migrated | replaced | renamed | rescheduled | postponed | pushed\s(?:back|to|out)
    | brought\sforward | cancel(?:l?ed|l?ing)? | called\soff | is\soff(?=[.,;!]) | f(?:e|a)ll(?:en)?\sthrough
    | didn['’]t\swork\sout
    | sold | got\srid | gave\saway | broken?\sup | divorced | separated | engaged | got\smarried | retired | resigned
    | died | passed\saway
    | promoted | got\s(?:a|the)\snew | started\s(?:a|my)\snew | instead
    | new\s(?:\w+\s)?(?:job|number|address|phone|flat|apartment|house|car|e-?mail|password|boss|name)
    | correction | i\s(?:was|had\sit)\swrong | told\syou\swrong | i\smeant | turn(?:s|ed)\sout\sthat
    | made\sa\smistake | mis(?:spoke|remembered)
    | nicht\smehr | kein(?:e|en)?\s\w+\smehr | (?:um)?gezogen | gewechselt | gekündigt | verschoben | stattdessen
    | (?:neue[nrs]?|nouvel(?:le)?|nueva|nuova|nova|nieuwe?)\s
        (?:\w+)?(?:nummer|adresse|wohnung|stelle|numéro|dirección|indirizzo|casa|adres)
    | jetzt | geändert | ne\s\w+\splus | n['’]\w+\splus | déménagé | changé | désormais | reporté | annulé
    | ya\sno | dejad[oa]\sde | mudado | mudé | cambi(?:é|ado|ó) | ahora | aplazad[oa] | cancelad[oa]
    | non\s\w+\spiù | trasferit[oa] | cambiat[oa] | adesso | rinviat[oa] | já\snão | mudei | mudou | agora | adiad[oa]
    | niet\smeer | geen\s\w+\smeer | verhuisd | veranderd | voortaan | geannuleerd
    )\b | 不再 | 改成 | 改为 | 搬到 | もう.{1,12}ない | に変え | 引っ越""",
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST = 2_000
"""Characters that are looked at."""


def tells_a_change(text: str) -> bool:
    """Whether a statement says so; by words of seven languages and a few of Chinese and Japanese."""
    return _CHANGE.search(text[:_LONGEST]) is not None
