"""Suppression: whether a recipient is blocked. The look-up has its place here, below routing; nothing is yet."""
