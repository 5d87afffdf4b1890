-- Who gets mails of the status page, where several ops-services keep it: each has them in its own memory, which works
-- while this database is away. The version before this one does not read it.

CREATE SEQUENCE ops.subscriber_changes;

CREATE TABLE ops.subscribers (
    id uuid PRIMARY KEY,
    -- Rises with each change, and changes can be seen in its order: who makes one locks the table.
    change bigint NOT NULL UNIQUE DEFAULT nextval('ops.subscriber_changes'),
    -- When the person wanted it so.
    changed_at timestamptz NOT NULL,
    -- Address, language and components, encrypted with a key that is not here; nothing of who no longer wants mails.
    sealed bytea
);

GRANT SELECT, INSERT, UPDATE, DELETE ON ops.subscribers TO chitlaq_ops;
GRANT USAGE ON SEQUENCE ops.subscriber_changes TO chitlaq_ops;
