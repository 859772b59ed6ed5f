"""Sections of the report; `choice.py` lists them in their order."""
