-- Undo 0001: drops the log and the ledger. Stop all readers and writers first.
DROP TABLE IF EXISTS config_changes;
DROP TABLE IF EXISTS config_stream;
DROP TABLE IF EXISTS tidemark_migrations;
