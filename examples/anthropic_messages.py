"""Anthropic Messages with memory, whole and streamed: `pip install anthropic`. See README.md."""

import os

from anthropic import Anthropic

client = Anthropic(
    base_url=os.environ.get("RECALLR_URL", "http://127.0.0.1:4000"),
    api_key=os.environ["LITELLM_MASTER_KEY"],
    default_headers={
        "X-Recallr-API-Key": os.environ["RECALLR_API_KEY"],
        "X-Recallr-Project-Id": os.environ.get("RECALLR_PROJECT_ID", "default"),
        "X-Recallr-User-Id": "alice-123",
        "X-Recallr-Allow-New-User-Creation": "true",
    },
)
model = os.environ.get("MODEL", "recallr-demo")

message = client.messages.create(
    model=model, max_tokens=300, messages=[{"role": "user", "content": "My sister Mia lives in Oslo."}]
)
print(message.content[0].text)

question = [{"role": "user", "content": "Where does my sister live?"}]
with client.messages.stream(model=model, max_tokens=300, messages=question) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()
