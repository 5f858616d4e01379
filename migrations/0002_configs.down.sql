-- Undo 0002: takes the version column away. The configurations themselves are yours and stay.
ALTER TABLE configs DROP COLUMN version;
DELETE FROM tidemark_migrations WHERE name = '0002_configs';
