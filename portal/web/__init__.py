"""What every page and call goes through: access, session, headers, languages, addresses."""
