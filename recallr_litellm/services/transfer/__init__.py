"""A user's memory as a file: export, import, and other programs' files of conversations.

`document.py` has the format. What is imported goes the way of what is said in chats: into Redis, and from there, as its
sessions are long over, into memory.
"""
