"""Messages from acceptance to their log: accepted once, sent again, found again."""
