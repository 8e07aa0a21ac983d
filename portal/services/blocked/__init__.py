"""Whether a recipient is blocked: the look-up has its place here, below routing; nothing is blocked yet."""
