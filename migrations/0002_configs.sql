-- 0002 configs: the table of configurations, and its version column.
--
-- Creates `configs` where there is none. Where there is one, adds only what is missing:
-- `version` and `updated_at`, with constant defaults, which both servers do INSTANTly
-- (a metadata lock for a moment, no rebuild, no copy). It fails, and changes nothing, on a table
-- that cannot (ROW_FORMAT = COMPRESSED): then add the two columns yourself first, at a quiet hour.

CREATE TABLE IF NOT EXISTS configs (
  config_key   VARCHAR(255) CHARACTER SET utf8mb4
               COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */
               NOT NULL PRIMARY KEY,
  config_value LONGTEXT     CHARACTER SET utf8mb4
               COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */
               NOT NULL COMMENT 'a JSON document, kept byte for byte',
  version      BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'position in the log; set by trigger',
  updated_at   TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)
) ENGINE = InnoDB;

SET @tidemark_ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE()
          AND table_name = 'configs' AND column_name = 'version'),
  'DO 0',
  'ALTER TABLE configs ADD COLUMN version BIGINT UNSIGNED NOT NULL DEFAULT 0, ALGORITHM = INSTANT');
PREPARE tidemark_ddl FROM @tidemark_ddl;
EXECUTE tidemark_ddl;
DEALLOCATE PREPARE tidemark_ddl;

SET @tidemark_ddl = IF(
  EXISTS (SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE()
          AND table_name = 'configs' AND column_name = 'updated_at'),
  'DO 0',
  'ALTER TABLE configs ADD COLUMN updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
   ON UPDATE CURRENT_TIMESTAMP(6), ALGORITHM = INSTANT');
PREPARE tidemark_ddl FROM @tidemark_ddl;
EXECUTE tidemark_ddl;
DEALLOCATE PREPARE tidemark_ddl;

INSERT INTO tidemark_migrations (name, applied_at) VALUES ('0002_configs', UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE applied_at = UTC_TIMESTAMP(6);
