"""Responses API with memory, a conversation that OpenAI keeps (`previous_response_id`). See README.md."""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("RECALLR_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ["LITELLM_MASTER_KEY"],
    default_headers={
        "X-Recallr-API-Key": os.environ["RECALLR_API_KEY"],
        "X-Recallr-Project-Id": os.environ.get("RECALLR_PROJECT_ID", "default"),
        "X-Recallr-User-Id": "alice-123",
        "X-Recallr-Allow-New-User-Creation": "true",
    },
)
model = os.environ.get("MODEL", "recallr-demo")

response = client.responses.create(model=model, input="I'm allergic to peanuts and love Italian food.")
print(response.output_text)

for event in client.responses.create(model=model, input="What are my food preferences?", stream=True):
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
print()
