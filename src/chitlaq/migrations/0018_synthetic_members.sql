-- Two synthetic members, who write to each other: so operators see that messages arrive, also while nobody writes.
-- auth-service makes them when it is first asked to sign them in. They have an account, because whoever takes part
-- in a conversation has one, and nothing else: no university, no profile, no password, no session. So nobody finds
-- them or signs in as one, and what counts members does not count them.

ALTER TABLE auth.accounts
    ALTER university_id DROP NOT NULL,
    ADD COLUMN is_synthetic boolean NOT NULL DEFAULT false,
    ADD CHECK (is_synthetic = (university_id IS NULL));
CREATE INDEX accounts_synthetic ON auth.accounts (id) WHERE is_synthetic;
CREATE VIEW auth.synthetic_accounts AS SELECT id, username, display_name FROM auth.accounts WHERE is_synthetic;
GRANT SELECT ON auth.synthetic_accounts TO chitlaq_websocket;

CREATE OR REPLACE VIEW auth.account_counts AS
SELECT 'verified' AS state, count(*) AS accounts FROM auth.accounts WHERE NOT is_synthetic
UNION ALL
SELECT 'unverified', count(DISTINCT email)
FROM auth.registrations
WHERE account_id IS NULL AND expires_at > now();

GRANT USAGE ON SCHEMA websocket TO chitlaq_auth, chitlaq_ops;

-- The conversation of the synthetic members, begun if there was none. Only its latest thousand messages are kept:
-- a process that was away for hours still finds what it repairs.
CREATE FUNCTION websocket.synthetic_conversation() RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    pair uuid[] := ARRAY(SELECT a.id FROM auth.synthetic_accounts a ORDER BY a.id LIMIT 2);
    conversation uuid;
    last_seq bigint;
BEGIN
    SELECT c.id, c.last_seq INTO conversation, last_seq
    FROM websocket.conversations c WHERE c.lower_id = pair[1] AND c.upper_id = pair[2];
    IF conversation IS NULL THEN
        -- The update changes nothing: it waits for who is just beginning it.
        INSERT INTO websocket.conversations AS c (kind, lower_id, upper_id) VALUES ('direct', pair[1], pair[2])
        ON CONFLICT (lower_id, upper_id) DO UPDATE SET kind = c.kind
        RETURNING c.id, c.last_seq INTO conversation, last_seq;
        INSERT INTO websocket.participants (conversation_id, account_id, state)
        SELECT conversation, account, 'joined' FROM unnest(pair) AS account
        ON CONFLICT DO NOTHING;
    END IF;
    DELETE FROM websocket.messages m WHERE m.conversation_id = conversation AND m.seq <= last_seq - 1000;
    RETURN conversation;
END
$$;
REVOKE ALL ON FUNCTION websocket.synthetic_conversation FROM public;
GRANT EXECUTE ON FUNCTION websocket.synthetic_conversation TO chitlaq_auth;

-- Those of members.
CREATE VIEW websocket.members_conversations AS
SELECT c.*
FROM websocket.conversations c
WHERE c.lower_id IS NULL OR c.lower_id <> ALL (ARRAY(SELECT a.id FROM auth.synthetic_accounts a));

-- Numbers have no gaps, so the last ones say how many messages there are.
CREATE VIEW websocket.message_count AS
SELECT coalesce(sum(last_seq), 0)::bigint AS messages FROM websocket.members_conversations;

-- What no member may ever meet, in the conversations in which something happened since then: a number that is
-- missing or that two processes took for the last one, a marker beyond the end, a pair that is not two.
CREATE FUNCTION websocket.numbering_faults(since timestamptz)
RETURNS TABLE (conversation_id uuid, fault text, expected bigint, found bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    WITH lately AS MATERIALIZED (
        SELECT c.id, c.kind, c.last_seq FROM websocket.members_conversations c
        WHERE c.last_at >= since OR c.changed_at >= since
    ),
    -- All of them first: joined to conversations before it is grouped, this takes twice as long.
    grouped AS MATERIALIZED (
        SELECT m.conversation_id AS id, min(m.seq) AS first_seq, max(m.seq) AS last_seq, count(*) AS messages
        FROM websocket.messages m WHERE m.sent_at >= since GROUP BY m.conversation_id
    ),
    spans AS (SELECT g.* FROM grouped g JOIN lately l USING (id)),
    -- A clock that is set back moves a message out of the time, not out of the numbers.
    counted AS (
        SELECT s.id, s.last_seq - s.first_seq + 1 AS expected,
               (SELECT count(*) FROM websocket.messages m
                WHERE m.conversation_id = s.id AND m.seq BETWEEN s.first_seq AND s.last_seq) AS found
        FROM spans s WHERE s.messages <> s.last_seq - s.first_seq + 1
    )
    SELECT c.id, 'missing', c.expected, c.found FROM counted c WHERE c.found <> c.expected
    UNION ALL
    SELECT s.id, 'missing', s.first_seq - 1, NULL FROM spans s
    WHERE s.first_seq > 1
      AND NOT EXISTS (SELECT FROM websocket.messages m WHERE m.conversation_id = s.id AND m.seq = s.first_seq - 1)
    UNION ALL
    SELECT l.id, 'end', l.last_seq, n.seq
    FROM lately l
    CROSS JOIN LATERAL (SELECT coalesce(max(m.seq), 0) AS seq
                        FROM websocket.messages m WHERE m.conversation_id = l.id) n
    WHERE n.seq <> l.last_seq
    UNION ALL
    SELECT l.id, 'marker', l.last_seq, greatest(p.read_seq, p.after_seq, p.until_seq)
    FROM lately l JOIN websocket.participants p ON p.conversation_id = l.id
    WHERE greatest(p.read_seq, p.after_seq, p.until_seq) > l.last_seq
    UNION ALL
    SELECT l.id, 'participants', 2, n.participants
    FROM lately l
    CROSS JOIN LATERAL (SELECT count(*) AS participants
                        FROM websocket.participants p WHERE p.conversation_id = l.id) n
    WHERE l.kind = 'direct' AND n.participants <> 2
$$;
REVOKE ALL ON FUNCTION websocket.numbering_faults FROM public;
GRANT EXECUTE ON FUNCTION websocket.numbering_faults TO chitlaq_ops;
GRANT SELECT ON websocket.message_count TO chitlaq_ops;
