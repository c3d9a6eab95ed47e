"""Claims of permissions and orders to the assistant: whoever wrote them, they are nothing that is known of the user."""

from __future__ import annotations

import re
from typing import Final

_MAY: Final = (
    r"(?:grant\w*|allow\w*|authori[sz]\w*|permi(?:t|ssion)\w*|entitl\w*|approv\w*|clear(?:ed|ance)|unlock\w*|waiv\w*"
    r"|whitelist\w*)"
)
_PRIVILEGE: Final = (
    r"(?:refunds?|discounts?|vouchers?|credits?|access|admin\w*|root|sudo|superuser|privileges?|permissions?|roles?|rights"
    r"|accounts?|data|databases?|records?|passwords?|verification|limits?|quotas?|restrictions?|polic(?:y|ies)|rules?"
    r"|instructions?|filters?|anything|everything|unlimited)"
)
_ASSISTANT: Final = r"(?:assistant|model|ai|chat\s?bot)"
_ORDERS: Final = re.compile(
    rf"""\b(?:admin\w*|system|operator|developer|moderator|openai|anthropic)\b.{{0,40}}\b{_MAY}\b
    | \b{_MAY}\b.{{0,40}}\b{_PRIVILEGE}\b
    | \b{_PRIVILEGE}\b.{{0,20}}\b(?:is|are|was|were|been)\s(?:pre-?)?{_MAY}\b
    | \b(?:has|have|with|having|got|gets|receives?)\s(?:full\s|unlimited\s|special\s|elevated\s|unrestricted\s)?
      (?:admin\w*|root|sudo|superuser|developer|privileged)\s(?:rights|access|privileges?|permissions?|role)\b
    | \b(?:unlimited|unrestricted|elevated)\s(?:access|refunds?|privileges?|permissions?|rights)\b
    | \b(?:ignore|disregard|forget|override|bypass)\b.{{0,30}}
      \b(?:instructions?|rules?|prompts?|polic(?:y|ies)|guidelines|safety|filters?)\b
    | \b(?:system\sprompt|jailbreak\w*|developer\smode|god\smode)\b
    | \b(?:am|is|as|i['’]m)\s(?:an?|the|your)\s(?:admin\w*|developer|owner|operator|creator)\s(?:of|for)
      \s(?:the|this|your)\s(?:system|bot|{_ASSISTANT})\b
    | \b(?:the|this)\s{_ASSISTANT}\s(?:must|should|shall|has\sto|needs\sto)\b
    | \b(?:you|assistant)\smust\s(?:always|never|obey)\b
    | \b(?:darf|berechtigt|erlaubt|freigeschaltet|autorisé|autorizad[oa]|autorizzat[oa])\b.{{0,40}}
      \b(?:admin\w*|erstattung\w*|rabatt\w*|zugriff|rembourse\w*|accès|reembols\w*|acceso|acesso|rimbors\w*|accesso)\b
    | \badmin\w*\b.{{0,40}}\b(?:erlaubt|genehmigt|freigegeben|autoris|autoriz|accordé|concedid)""",
    re.IGNORECASE | re.VERBOSE,
)


def is_order(text: str) -> bool:
    """Whether a text says so, by words of several languages."""
    return _ORDERS.search(text) is not None
