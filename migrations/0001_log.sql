-- 0001 log: the ordered log of changes.
--
-- Apply in data center A, with the plain client (`mysql DATABASE < migrations/0001_log.sql`)
-- or with `tidemark migrate`. Replication carries it to data center B.
-- Locks: none on your tables; it only creates new ones. MySQL 8.0.17+ and MariaDB 10.6+.
-- The collation of a key must tell 'a' from 'A' and from 'a ' (NO PAD); its name differs by server.

CREATE TABLE IF NOT EXISTS tidemark_migrations (
  name            VARCHAR(64)  NOT NULL PRIMARY KEY,
  checksum        CHAR(64)     NULL COMMENT 'sha256 of the file; NULL when applied by hand',
  statements_done INT UNSIGNED NOT NULL DEFAULT 0,
  applied_at      DATETIME(6)  NULL COMMENT 'UTC; NULL while half applied'
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;

-- One row. Its lock is held from a tracked change to its commit: version order is commit order.
CREATE TABLE config_stream (
  id      TINYINT UNSIGNED NOT NULL PRIMARY KEY,
  head    BIGINT UNSIGNED  NOT NULL COMMENT 'newest version in the log',
  beat_at DATETIME(6)      NOT NULL COMMENT 'UTC; heartbeat of data center A'
) ENGINE = InnoDB;

-- The outbox. A row is a notice that a key changed; the truth is the row of the tracked table.
CREATE TABLE config_changes (
  version    BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  table_name VARCHAR(64)     CHARACTER SET utf8mb4 NOT NULL COMMENT 'the tracked table',
  row_key    VARCHAR(768)    CHARACTER SET utf8mb4
             COLLATE /*!80017 utf8mb4_0900_bin */ /*M!100600 utf8mb4_nopad_bin */ NOT NULL,
  op         ENUM('start', 'insert', 'update', 'delete') NOT NULL COMMENT 'for people only',
  changed_at DATETIME(6)     NOT NULL COMMENT 'UTC'
) ENGINE = InnoDB;

-- Version 1 marks where this log starts, so that every position has a row to be checked against.
INSERT IGNORE INTO config_changes (version, table_name, row_key, op, changed_at)
VALUES (1, '', '', 'start', UTC_TIMESTAMP(6));

INSERT IGNORE INTO config_stream (id, head, beat_at) VALUES (1, 1, UTC_TIMESTAMP(6));

INSERT INTO tidemark_migrations (name, applied_at) VALUES ('0001_log', UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE applied_at = UTC_TIMESTAMP(6);
