-- What `tidemark migrate` needs in data center A, up and down. The triggers go on running with the
-- rights of this account: keep it. With the binary log on, creating triggers also needs
-- log_bin_trust_function_creators = 1 for that moment, or SUPER.
-- Create the account first, in A, with your own password:
--   CREATE USER 'tidemark_migrator'@'%' IDENTIFIED BY '...';
-- then apply with the tables' database as the default one (`*` below means all of its tables):
-- mysql DATABASE < grant_migrator.sql
GRANT CREATE, DROP, ALTER, INDEX, TRIGGER, SELECT, INSERT, UPDATE, DELETE
  ON * TO 'tidemark_migrator'@'%';
