"""Sending: claim a message, compose it, hand it over, write down what became of it."""
