"""The pages and the API, one module each; a view parses, makes one service call, renders."""
