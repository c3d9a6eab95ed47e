"""Chat completions with memory, and the response headers. See README.md for the environment."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("RECALLR_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ["LITELLM_MASTER_KEY"],
    default_headers={
        "X-Recallr-API-Key": os.environ["RECALLR_API_KEY"],
        "X-Recallr-Project-Id": os.environ.get("RECALLR_PROJECT_ID", "default"),
        "X-Recallr-Allow-New-User-Creation": "true",
        "X-Recallr-Session-Timeout-Seconds": "600",
    },
)

raw = client.chat.completions.with_raw_response.create(
    model=os.environ.get("MODEL", "recallr-demo"),
    messages=[
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "My name is Alice and I love Python programming."},
    ],
    extra_headers={"X-Recallr-User-Id": "alice-123", "X-Recallr-Recall-Strategy": "low_latency"},
)

print(raw.parse().choices[0].message.content)
for name in ("Session-Id", "User-Id", "Request-Id", "Process-Time", "Memory-Status"):
    print(f"X-Recallr-{name}: {raw.headers.get(f'X-Recallr-{name}')}")
