-- One role owns the tables, another serves: docs/production.md. Run once, as the superuser, on an empty cluster.
\set ON_ERROR_STOP on
\getenv owner_password OWNER_PASSWORD
\getenv app_password APP_PASSWORD
CREATE ROLE agentidp_service NOLOGIN;
CREATE ROLE agentidp_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE agentidp_app LOGIN PASSWORD :'app_password' IN ROLE agentidp_service;
CREATE DATABASE agentidp OWNER agentidp_owner;
REVOKE ALL ON DATABASE agentidp FROM PUBLIC;
GRANT CONNECT ON DATABASE agentidp TO agentidp_service;
