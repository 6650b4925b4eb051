-- Rendered by smtpctl from the inventory of fleet reference. Change it there, then: smtpctl apply
SELECT 'CREATE DATABASE smtpctl' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'smtpctl') \gexec
