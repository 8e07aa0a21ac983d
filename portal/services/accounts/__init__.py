"""Tenants, their people, the platform's staff, and what lets them in."""
