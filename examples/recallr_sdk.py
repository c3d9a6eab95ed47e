"""The official Recallr SDK on this gateway: sessions, what is remembered, the context for a model.

Needs `pip install recallrai`. See README.md for the environment.
"""

import os
import time

from recallrai import RecallrAI
from recallrai.exceptions import UserNotFoundError
from recallrai.models import MessageRole, SessionStatus

client = RecallrAI(
    api_key=os.environ["RECALLR_API_KEY"],
    project_id=os.environ.get("RECALLR_PROJECT_ID", "default"),
    base_url=os.environ.get("RECALLR_URL", "http://127.0.0.1:4000"),
)

try:
    alice = client.get_user("alice")
except UserNotFoundError:
    alice = client.create_user("alice", metadata={"plan": "pro"})

session = alice.create_session(metadata={"channel": "mail"})
session.add_message(MessageRole.USER, "I keep eleven bee hives on the roof.")
session.add_message(MessageRole.ASSISTANT, "How much honey do they give?")
session.process()
while session.status is not SessionStatus.PROCESSED:
    time.sleep(0.5)
    session.refresh()

# A chat continues it with the header X-Recallr-Session-Id; here the API asks what a model should be told.
question = alice.create_session()
question.add_message(MessageRole.USER, "How many hives do I have?")
context = question.get_context(include_system_prompt=False)
print(context.context)
