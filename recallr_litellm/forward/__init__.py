"""The forward URL `/api/v1/forward/<upstream>`: a client's own provider, with the client's own key, plus memory.

A client that used `https://api.openai.com/v1` sets `<gateway>/api/v1/forward/https://api.openai.com/v1` as its base
URL. The plugin sends the request itself: body and answer are those of the provider's API, only memory is added.

**LiteLLM takes no part in a forwarded request.** `Forward` answers it outside LiteLLM's application, so the request
has no LiteLLM key, no LiteLLM identity and passes through none of LiteLLM's authentication, hooks or router. Whatever
the body names (skills, MCP servers, vector stores, prompts, files, `api_base`, `fallbacks`, …) reaches the upstream as
it was sent, and means there what it means to that provider. A LiteLLM upgrade cannot widen this: code that never sees
the request cannot look anything up for it. The price: LiteLLM's loggers, guardrails, budgets and spend tracking do
not see forwarded requests either; they are paid for with the client's key.

What leaves the gateway: the checked URL below an allowed upstream, the body, the client's key, and the headers in
`upstream.REQUEST_HEADERS`. Redirects are not followed, no key of the gateway is within reach of this code.
"""
