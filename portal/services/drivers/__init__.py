"""Merchants' own mail services: tested, saved, paused, stopped, paced."""
