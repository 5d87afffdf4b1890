-- With which versions the database works: an older one that lacks a migration reads here whether it may run all the same.

CREATE TABLE public.chitlaq_migration_versions (
    migration_hash text PRIMARY KEY,
    applied_by text NOT NULL,
    works_from text NOT NULL
);
