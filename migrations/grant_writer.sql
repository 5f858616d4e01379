-- What the write app in data center A may do: change configs, take versions, remove old changes.
-- Create the account first, in A, with your own password:
--   CREATE USER 'tidemark_writer'@'%' IDENTIFIED BY '...';
-- then apply with the tables' database as the default one: mysql DATABASE < grant_writer.sql
GRANT SELECT, INSERT, UPDATE, DELETE ON configs TO 'tidemark_writer'@'%';
GRANT SELECT, UPDATE ON config_stream           TO 'tidemark_writer'@'%';
GRANT SELECT, DELETE ON config_changes          TO 'tidemark_writer'@'%';
