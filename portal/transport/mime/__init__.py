"""Mail as bytes: addresses, headers, bodies, attachments."""
