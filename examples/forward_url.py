"""The forward URL: the client's own OpenAI key, no model of the gateway's. Needs OPENAI_API_KEY. See README.md."""

import os

from openai import OpenAI

gateway = os.environ.get("RECALLR_URL", "http://127.0.0.1:4000")
client = OpenAI(
    base_url=f"{gateway}/api/v1/forward/{os.environ.get('UPSTREAM', 'https://api.openai.com/v1')}",
    api_key=os.environ["OPENAI_API_KEY"],
    default_headers={
        "X-Recallr-API-Key": os.environ["RECALLR_API_KEY"],
        "X-Recallr-Project-Id": os.environ.get("RECALLR_PROJECT_ID", "default"),
        "X-Recallr-Allow-New-User-Creation": "true",
    },
)

response = client.chat.completions.create(
    model=os.environ.get("MODEL", "gpt-4o-mini"),
    messages=[{"role": "user", "content": "My name is Alice"}],
    extra_headers={"X-Recallr-User-Id": "user-123", "X-Recallr-Recall-Strategy": "low_latency"},
)
print(response.choices[0].message.content)
