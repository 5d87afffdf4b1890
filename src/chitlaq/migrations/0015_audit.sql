-- What happened to an account's security: who did what, from where and when. Entries are added and never
-- changed; they end with the account.

CREATE TABLE auth.audit (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    happened_at timestamptz NOT NULL DEFAULT now(),
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    -- The member themselves unless an operator is named.
    operator text CHECK (char_length(operator) BETWEEN 1 AND 80),
    action text NOT NULL CHECK (action ~ '^[a-z_]{3,40}$'),
    session_id uuid,
    address inet,
    user_agent text NOT NULL DEFAULT '' CHECK (char_length(user_agent) <= 300),
    detail jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(detail) = 'object')
);
CREATE INDEX audit_by_account ON auth.audit (account_id, id DESC);
REVOKE INSERT, UPDATE, DELETE ON auth.audit FROM chitlaq_auth;
-- Who writes an entry says neither when nor in which order.
GRANT INSERT (account_id, operator, action, session_id, address, user_agent, detail) ON auth.audit TO chitlaq_auth;

-- The language of an account's mails.
ALTER TABLE auth.accounts ADD COLUMN language text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'tr'));
