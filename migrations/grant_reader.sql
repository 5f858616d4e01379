-- What a reader in data center B may do: SELECT on three tables, nothing else.
-- Create the account first, with your own password, in A (replication carries it) or in B:
--   CREATE USER 'tidemark_reader'@'%' IDENTIFIED BY '...';
-- then apply with the tables' database as the default one: mysql DATABASE < grant_reader.sql
GRANT SELECT ON config_stream  TO 'tidemark_reader'@'%';
GRANT SELECT ON config_changes TO 'tidemark_reader'@'%';
GRANT SELECT ON configs        TO 'tidemark_reader'@'%';
