-- 0003 triggers: every change of a row of `configs` takes the next version, in its own transaction.
--
-- Locks: CREATE TRIGGER takes a metadata lock on `configs` for a moment, and waits for open
-- transactions that use it (set lock_wait_timeout before, on a busy table).
-- With the binary log on, creating triggers needs log_bin_trust_function_creators = 1 or SUPER.
-- The triggers run with the rights of the account that applies this file: use one that stays.

DELIMITER //

CREATE TRIGGER configs_tidemark_insert BEFORE INSERT ON configs FOR EACH ROW
BEGIN
  UPDATE config_stream SET head = LAST_INSERT_ID(head + 1) WHERE id = 1;
  IF ROW_COUNT() = 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'tidemark: config_stream has lost its row (id = 1)';
  END IF;
  INSERT INTO config_changes (version, table_name, row_key, op, changed_at)
  VALUES (LAST_INSERT_ID(), 'configs', NEW.config_key, 'insert', UTC_TIMESTAMP(6));
  SET NEW.version = LAST_INSERT_ID();
END//

-- A renamed key is two changes: the old key is gone, the new one has come.
CREATE TRIGGER configs_tidemark_update BEFORE UPDATE ON configs FOR EACH ROW
BEGIN
  IF CAST(NEW.config_key AS BINARY) <> CAST(OLD.config_key AS BINARY) THEN
    UPDATE config_stream SET head = LAST_INSERT_ID(head + 1) WHERE id = 1;
    INSERT INTO config_changes (version, table_name, row_key, op, changed_at)
    VALUES (LAST_INSERT_ID(), 'configs', OLD.config_key, 'delete', UTC_TIMESTAMP(6));
  END IF;
  UPDATE config_stream SET head = LAST_INSERT_ID(head + 1) WHERE id = 1;
  IF ROW_COUNT() = 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'tidemark: config_stream has lost its row (id = 1)';
  END IF;
  INSERT INTO config_changes (version, table_name, row_key, op, changed_at)
  VALUES (LAST_INSERT_ID(), 'configs', NEW.config_key, 'update', UTC_TIMESTAMP(6));
  SET NEW.version = LAST_INSERT_ID();
END//

CREATE TRIGGER configs_tidemark_delete BEFORE DELETE ON configs FOR EACH ROW
BEGIN
  UPDATE config_stream SET head = LAST_INSERT_ID(head + 1) WHERE id = 1;
  IF ROW_COUNT() = 0 THEN
    SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'tidemark: config_stream has lost its row (id = 1)';
  END IF;
  INSERT INTO config_changes (version, table_name, row_key, op, changed_at)
  VALUES (LAST_INSERT_ID(), 'configs', OLD.config_key, 'delete', UTC_TIMESTAMP(6));
END//

DELIMITER ;

INSERT INTO tidemark_migrations (name, applied_at) VALUES ('0003_triggers', UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE applied_at = UTC_TIMESTAMP(6);
