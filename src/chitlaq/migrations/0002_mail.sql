-- Mail that is to be sent, written in the transaction that needs it, so that neither gets lost
-- without the other. Where no SMTP server is configured this table is the mailbox.

CREATE SCHEMA mail;
GRANT USAGE ON SCHEMA mail TO chitlaq_auth;

CREATE TABLE mail.messages (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    to_address text NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    html text NOT NULL,
    links text[] NOT NULL DEFAULT '{}',
    request_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    sent_at timestamptz
);
CREATE INDEX messages_unsent ON mail.messages (next_attempt_at) WHERE sent_at IS NULL;
CREATE INDEX messages_by_address ON mail.messages (to_address, id DESC);

GRANT SELECT, INSERT, UPDATE ON mail.messages TO chitlaq_auth;
