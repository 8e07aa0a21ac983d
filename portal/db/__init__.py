"""How the database is read and written: transactions, prepared statements, bulk inserts, SQLite."""
