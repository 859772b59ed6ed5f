"""Tuning by measurement: which artefact, engine and options serve a bundle soonest on this machine."""
