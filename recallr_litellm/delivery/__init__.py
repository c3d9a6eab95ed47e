"""What leaves the gateway by itself, at least once: a queue in Redis, and its sending in the background.

Reconify's payloads and webhooks each have an outbox of their own, in the same code.
"""
