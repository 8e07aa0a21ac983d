"""The wire: mail as bytes, SMTP connections, what servers answer. Knows neither Flask's app nor the models."""
