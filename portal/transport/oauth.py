"""OAuth 2.0 sign-in to a provider: tokens, and what its refusals mean. A place so far; it comes with the first provider
that wants it, for XOAUTH2 in `smtp` and for HTTP."""
