"""What the tests stand on: real servers as processes, and a stand-in for the LLM provider.

provider.py        a provider of the OpenAI API on loopback, scripted by the test, that records what reached it
proxy.py           the real `litellm` proxy as a process, with or without the plugin
qdrant_server.py   Qdrant's REST API over qdrant-client's own engine, as a process
redis_server.py    the real Valkey server, as a process on a TCP port
listeners.py       ports that refuse, hang or dawdle
process.py         what all these processes share: start until ready, kill, freeze, restart, log
"""
