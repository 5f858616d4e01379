-- What lets `tidemark doctor` see all that it checks, on A and on B. It changes nothing; TRIGGER is
-- what shows triggers. (MariaDB shows a replica's status to SLAVE MONITOR; MySQL takes that part for
-- a comment.)
-- Create the account first, in A, with your own password (replication carries it to B):
--   CREATE USER 'tidemark_doctor'@'%' IDENTIFIED BY '...';
-- then apply with the tables' database as the default one: mysql DATABASE < grant_doctor.sql
GRANT SELECT ON config_stream        TO 'tidemark_doctor'@'%';
GRANT SELECT ON config_changes       TO 'tidemark_doctor'@'%';
GRANT SELECT ON tidemark_migrations  TO 'tidemark_doctor'@'%';
GRANT SELECT, TRIGGER ON configs     TO 'tidemark_doctor'@'%';
GRANT REPLICATION CLIENT /*M! , SLAVE MONITOR */ ON *.* TO 'tidemark_doctor'@'%';
