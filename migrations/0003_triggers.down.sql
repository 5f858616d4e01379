-- Undo 0003: stop tracking `configs`. The log stays; readers learn of no change after this.
DROP TRIGGER IF EXISTS configs_tidemark_insert;
DROP TRIGGER IF EXISTS configs_tidemark_update;
DROP TRIGGER IF EXISTS configs_tidemark_delete;
DELETE FROM tidemark_migrations WHERE name = '0003_triggers';
