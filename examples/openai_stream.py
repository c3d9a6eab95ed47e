"""A streamed chat completion with memory. See README.md for the environment."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("RECALLR_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ["LITELLM_MASTER_KEY"],
    default_headers={
        "X-Recallr-API-Key": os.environ["RECALLR_API_KEY"],
        "X-Recallr-Project-Id": os.environ.get("RECALLR_PROJECT_ID", "default"),
        "X-Recallr-Allow-New-User-Creation": "true",
    },
)

stream = client.chat.completions.create(
    model=os.environ.get("MODEL", "recallr-demo"),
    messages=[{"role": "user", "content": "What do you know about me and my interests?"}],
    stream=True,
    extra_headers={"X-Recallr-User-Id": "alice-123"},
)

for chunk in stream:
    if chunk.choices and chunk.choices[0].delta.content:
        print(chunk.choices[0].delta.content, end="", flush=True)
print()
