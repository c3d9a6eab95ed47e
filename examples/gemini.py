"""Gemini generateContent with memory, whole and streamed: `pip install google-genai`.

Needs GEMINI_API_KEY for the gateway: LiteLLM has no way from this API to the demo model. See README.md.
"""

import os

from google import genai
from google.genai.types import HttpOptions

client = genai.Client(
    api_key=os.environ["LITELLM_MASTER_KEY"],
    http_options=HttpOptions(
        base_url=os.environ.get("RECALLR_URL", "http://127.0.0.1:4000"),
        api_version="v1beta",
        headers={
            "X-Recallr-API-Key": os.environ["RECALLR_API_KEY"],
            "X-Recallr-Project-Id": os.environ.get("RECALLR_PROJECT_ID", "default"),
            "X-Recallr-User-Id": "alice-123",
            "X-Recallr-Allow-New-User-Creation": "true",
        },
    ),
)
model = os.environ.get("MODEL", "gemini/gemini-2.5-flash")

print(client.models.generate_content(model=model, contents="I play the cello in a string quartet.").text)

for chunk in client.models.generate_content_stream(model=model, contents="Which instrument do I play?"):
    print(chunk.text or "", end="", flush=True)
print()
