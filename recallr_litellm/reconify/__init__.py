"""Reconify: what a finished interaction is to its REST API, and how it gets there.

The REST document: https://www.reconify.com/docs
"""
