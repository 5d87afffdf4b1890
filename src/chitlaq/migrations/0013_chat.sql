-- Conversations, who takes part in them, and their messages.

CREATE SCHEMA websocket;

CREATE TABLE websocket.conversations (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    kind text NOT NULL CHECK (kind IN ('direct', 'group')),
    name text CHECK (char_length(name) BETWEEN 1 AND 80),
    -- The two of a direct conversation, the lower id first: a pair has one, whoever starts it.
    lower_id uuid REFERENCES auth.accounts ON DELETE CASCADE,
    upper_id uuid REFERENCES auth.accounts ON DELETE CASCADE,
    created_by uuid REFERENCES auth.accounts ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Whoever numbers a message or changes who takes part locks this row, so that numbers have no gaps and
    -- a message has exactly the readers of its moment.
    last_seq bigint NOT NULL DEFAULT 0 CHECK (last_seq >= 0),
    last_at timestamptz NOT NULL DEFAULT now(),
    participants_version bigint NOT NULL DEFAULT 1,
    -- The latest change of who takes part, of the name or of a setting: what a repair looks for.
    changed_at timestamptz NOT NULL DEFAULT now(),
    -- Whether who joins may read what was said before.
    is_history_visible boolean NOT NULL DEFAULT false,
    UNIQUE (lower_id, upper_id),
    CHECK ((kind = 'direct') = (lower_id IS NOT NULL AND upper_id IS NOT NULL)),
    CHECK (lower_id < upper_id),
    CHECK (kind = 'group' OR name IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX conversations_changed ON websocket.conversations (changed_at);

CREATE TABLE websocket.participants (
    conversation_id uuid NOT NULL REFERENCES websocket.conversations ON DELETE CASCADE,
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    role text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')),
    -- invited: to a group, and not joined yet. requested: a stranger has written, and got no answer yet.
    state text NOT NULL CHECK (state IN ('invited', 'requested', 'joined', 'left')),
    since timestamptz NOT NULL DEFAULT now(),
    -- What they may read: from after_seq (exclusive) to until_seq (inclusive), which is null while they take part.
    after_seq bigint NOT NULL DEFAULT 0,
    until_seq bigint,
    read_seq bigint NOT NULL DEFAULT 0,
    -- When the read marker was moved: what a repair looks for.
    read_at timestamptz,
    muted_until timestamptz,
    archived_at timestamptz,
    pinned_at timestamptz,
    PRIMARY KEY (conversation_id, account_id),
    CHECK ((state = 'left') = (until_seq IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX participants_by_account ON websocket.participants (account_id);
-- Unlike a B-tree, it lets a marker move without a new entry in any index.
CREATE INDEX participants_by_read ON websocket.participants USING brin (read_at)
WITH (pages_per_range = 16, autosummarize = on);

CREATE TABLE websocket.messages (
    conversation_id uuid NOT NULL REFERENCES websocket.conversations ON DELETE CASCADE,
    seq bigint NOT NULL CHECK (seq > 0),
    id uuid NOT NULL DEFAULT uuidv7(),
    -- Null when the account no longer exists.
    sender_id uuid REFERENCES auth.accounts ON DELETE SET NULL,
    -- The sender's own name for it, by which sending it again is recognised for ever.
    client_id text CHECK (octet_length(client_id) BETWEEN 1 AND 64),
    text text NOT NULL CHECK (char_length(text) <= 16000),
    -- A line of the conversation's own history: what the sender did, and to whom. The text is a new name.
    event text CHECK (event IN ('renamed', 'added', 'invited', 'joined', 'removed', 'left', 'promoted')),
    subject_id uuid REFERENCES auth.accounts ON DELETE SET NULL,
    reply_to bigint,
    sent_at timestamptz NOT NULL,
    edited_at timestamptz,
    deleted_at timestamptz,
    -- The latest edit, deletion or reaction: what a client that was away must hear of again.
    changed_at timestamptz,
    PRIMARY KEY (conversation_id, seq),
    UNIQUE (conversation_id, sender_id, client_id),
    CHECK ((client_id IS NULL) = (event IS NOT NULL))
);
CREATE INDEX messages_changed_lately ON websocket.messages (changed_at) WHERE changed_at IS NOT NULL;
CREATE INDEX messages_by_subject ON websocket.messages (subject_id) WHERE subject_id IS NOT NULL;
CREATE INDEX messages_changed ON websocket.messages (conversation_id, changed_at) WHERE changed_at IS NOT NULL;
-- What was sent lately, for repairs: costs next to nothing to keep, since messages only grow at the end.
CREATE INDEX messages_by_time ON websocket.messages USING brin (sent_at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX messages_by_sender ON websocket.messages (sender_id);

-- What an edited message said before.
CREATE TABLE websocket.message_edits (
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    replaced_at timestamptz NOT NULL,
    text text NOT NULL,
    PRIMARY KEY (conversation_id, seq, replaced_at),
    FOREIGN KEY (conversation_id, seq) REFERENCES websocket.messages ON DELETE CASCADE
);

CREATE TABLE websocket.reactions (
    conversation_id uuid NOT NULL,
    seq bigint NOT NULL,
    account_id uuid NOT NULL REFERENCES auth.accounts ON DELETE CASCADE,
    emoji text NOT NULL CHECK (octet_length(emoji) BETWEEN 1 AND 64),
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (conversation_id, seq, account_id, emoji),
    FOREIGN KEY (conversation_id, seq) REFERENCES websocket.messages ON DELETE CASCADE
);
CREATE INDEX reactions_by_account ON websocket.reactions (account_id);

-- What members allow others to do and to see. Who has no row has the defaults.
CREATE TABLE websocket.privacy (
    account_id uuid PRIMARY KEY REFERENCES auth.accounts ON DELETE CASCADE,
    may_message text NOT NULL DEFAULT 'everyone' CHECK (may_message IN ('everyone', 'university', 'followed')),
    shares_read boolean NOT NULL DEFAULT true,
    shares_presence boolean NOT NULL DEFAULT true
);

-- What chat needs to know of the graph.
CREATE VIEW feed.follow_pairs AS SELECT follower_id, followed_id FROM feed.follows;
GRANT SELECT ON feed.follow_pairs, feed.block_pairs TO chitlaq_websocket;

-- Of a group, those who block an account: its messages are folded for them. In FROM, PostgreSQL inlines it.
CREATE FUNCTION websocket.folded_for(conversation uuid, sender uuid) RETURNS SETOF uuid
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b.blocker_id
    FROM feed.block_pairs b
    JOIN websocket.participants p ON p.conversation_id = conversation AND p.account_id = b.blocker_id
    WHERE b.blocked_id = sender;
END;

-- Messages with what everybody sees of them: their sender, and who reacted how.
CREATE VIEW websocket.complete_messages AS
SELECT m.conversation_id, m.id, m.seq, m.sender_id, m.client_id, m.text, m.sent_at, m.edited_at,
       m.deleted_at IS NOT NULL AS deleted, m.reply_to, m.event,
       CASE WHEN m.subject_id IS NOT NULL
            THEN (SELECT s.username FROM feed.member_cards s WHERE s.id = m.subject_id) END AS subject,
       c.username, c.display_name, c.avatar_url,
       CASE WHEN m.changed_at IS NOT NULL THEN (
           SELECT json_object_agg(r.emoji, r.accounts)
           FROM (SELECT r.emoji, array_agg(r.account_id ORDER BY r.at) AS accounts
                 FROM websocket.reactions r WHERE r.conversation_id = m.conversation_id AND r.seq = m.seq
                 GROUP BY r.emoji ORDER BY min(r.at), r.emoji) r
       ) END AS reactions,
       ARRAY(SELECT f FROM websocket.folded_for(m.conversation_id, m.sender_id) f) AS folded_for,
       m.changed_at
FROM websocket.messages m
LEFT JOIN feed.member_cards c ON c.id = m.sender_id;

-- What others wrote after the read marker, of the latest 200 messages: so far people count, and no further.
CREATE FUNCTION websocket.unread(conversation uuid, account uuid, read_seq bigint, last_seq bigint)
RETURNS bigint
LANGUAGE sql STABLE
RETURN (
    SELECT count(*)
    FROM websocket.messages m
    WHERE m.conversation_id = conversation AND m.seq > greatest(read_seq, last_seq - 200) AND m.seq <= last_seq
      AND m.sender_id IS DISTINCT FROM account AND m.deleted_at IS NULL AND m.event IS NULL
      AND NOT EXISTS (SELECT FROM feed.block_pairs b WHERE b.blocker_id = account AND b.blocked_id = m.sender_id)
);

-- The first message at or after a moment, of those after `lower` and up to `upper`; upper + 1 if there is none.
-- Numbers have no gaps and times grow with them, so halving finds it without an index on times.
CREATE FUNCTION websocket.seq_at(conversation uuid, moment timestamptz, lower_seq bigint, upper_seq bigint)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    low bigint := lower_seq + 1;
    high bigint := upper_seq + 1;
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high) / 2;
        IF (SELECT m.sent_at FROM websocket.messages m
            WHERE m.conversation_id = conversation AND m.seq = middle) >= moment THEN
            high := middle;
        ELSE
            low := middle + 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- The blocks between two accounts, whoever blocks whom. In FROM, PostgreSQL inlines it: the rule costs no call.
CREATE FUNCTION websocket.blocks_between(one uuid, other uuid) RETURNS SETOF feed.block_pairs
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT b.* FROM feed.block_pairs b WHERE b.blocker_id = one AND b.blocked_id = other
    UNION ALL
    SELECT b.* FROM feed.block_pairs b WHERE b.blocker_id = other AND b.blocked_id = one;
END;

-- Write into a conversation's history what a member did, and to whom; the text is a new name.
CREATE FUNCTION websocket.write_line(conversation uuid, sender uuid, event text, subject uuid, text text)
RETURNS SETOF websocket.messages
LANGUAGE sql
BEGIN ATOMIC
    WITH counted AS (
        UPDATE websocket.conversations c SET last_seq = c.last_seq + 1, last_at = clock_timestamp()
        WHERE c.id = conversation RETURNING c.last_seq, c.last_at
    )
    INSERT INTO websocket.messages AS m (conversation_id, seq, sender_id, text, event, subject_id, sent_at)
    SELECT conversation, c.last_seq, sender, text, event, subject, c.last_at FROM counted c
    RETURNING m.*;
END;

-- A group has an owner, whoever changed who takes part: if none is left, the longest-serving admin, or else member.
-- Of an account that was deleted nobody else tells the conversation.
CREATE FUNCTION websocket.keep_owner() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
DECLARE
    heir uuid;
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE websocket.conversations
        SET participants_version = participants_version + 1, changed_at = clock_timestamp()
        WHERE id = OLD.conversation_id;
    END IF;
    UPDATE websocket.participants SET role = 'owner'
    WHERE conversation_id = OLD.conversation_id AND account_id = (
        SELECT p.account_id
        FROM websocket.conversations c JOIN websocket.participants p ON p.conversation_id = c.id
        WHERE c.id = OLD.conversation_id AND c.kind = 'group' AND p.state = 'joined'
          AND NOT EXISTS (SELECT FROM websocket.participants o WHERE o.conversation_id = c.id AND o.role = 'owner')
        ORDER BY p.role = 'admin' DESC, p.since, p.account_id LIMIT 1
    )
    RETURNING account_id INTO heir;
    IF TG_OP = 'DELETE' AND heir IS NOT NULL THEN
        PERFORM websocket.write_line(OLD.conversation_id, NULL, 'promoted', heir, '');
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION websocket.keep_owner FROM public;
CREATE TRIGGER keep_owner AFTER UPDATE OF role, state OR DELETE ON websocket.participants
FOR EACH ROW EXECUTE FUNCTION websocket.keep_owner();

-- Who sees live how far an account has read: who takes part, if both show that. Nobody where more than `most` would.
CREATE FUNCTION websocket.marker_audience(conversation uuid, account uuid, most bigint) RETURNS uuid[]
LANGUAGE sql STABLE
RETURN (
    SELECT CASE WHEN count(*) <= most THEN array_agg(a.account_id) END
    FROM (
        SELECT o.account_id
        FROM websocket.participants p
        JOIN websocket.participants o ON o.conversation_id = p.conversation_id AND o.account_id <> p.account_id
        LEFT JOIN websocket.privacy s ON s.account_id = p.account_id
        LEFT JOIN websocket.privacy y ON y.account_id = o.account_id
        WHERE p.conversation_id = conversation AND p.account_id = account AND p.state = 'joined' AND o.state = 'joined'
          AND coalesce(s.shares_read, true) AND coalesce(y.shares_read, true)
          AND NOT EXISTS (SELECT FROM websocket.blocks_between(o.account_id, p.account_id))
        LIMIT most + 1
    ) a
);

-- Sessions that ended early: their sockets are closed. Tokens outlive them by minutes.
CREATE INDEX sessions_by_end ON auth.sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE VIEW auth.ended_sessions AS SELECT id, ended_at FROM auth.sessions WHERE ended_at IS NOT NULL;
GRANT SELECT ON auth.ended_sessions TO chitlaq_websocket;

-- Store messages in the order given, all or none. Answers each with its number, or with why not: 'absent' (the
-- sender takes no part), 'requested' (the sender has not accepted this request yet), 'unavailable' (one of the two
-- blocks the other), 'unanswerable' (no such message to reply to), 'unanswered' (`max_unanswered` messages wait for
-- the other one's answer). A message that was stored before is answered as it was then.
CREATE FUNCTION websocket.store_messages(
    conversations uuid[], senders uuid[], client_ids text[], texts text[], replies bigint[], max_unanswered bigint
)
RETURNS TABLE (place bigint, refused text, is_new boolean, id uuid, seq bigint, sent_at timestamptz, version bigint,
               folded_for uuid[])
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    -- In one order everywhere, so that two processes never wait for each other.
    PERFORM FROM websocket.conversations c WHERE c.id = ANY (conversations) ORDER BY c.id FOR NO KEY UPDATE;
    -- A statement of its own sees what others committed while this one waited.
    RETURN QUERY
    WITH asked AS (
        SELECT a.* FROM unnest(conversations, senders, client_ids, texts, replies) WITH ORDINALITY
            AS a (conversation_id, sender_id, client_id, text, reply_to, place)
    ),
    judged AS (
        SELECT a.*, c.kind, c.last_seq, c.participants_version AS version,
               m.id AS known_id, m.seq AS known_seq, m.sent_at AS known_at,
               CASE
                   WHEN p.account_id IS NULL THEN 'absent'
                   WHEN p.state = 'requested' THEN 'requested'
                   WHEN m.id IS NOT NULL THEN NULL
                   WHEN c.kind = 'direct' AND EXISTS (SELECT FROM websocket.blocks_between(c.lower_id, c.upper_id))
                   THEN 'unavailable'
                   WHEN a.reply_to NOT BETWEEN p.after_seq + 1 AND c.last_seq THEN 'unanswerable'
               END AS refused,
               -- Nobody but who asks writes into a request, so the numbers count what they wrote.
               c.kind = 'direct' AND c.last_seq <= max_unanswered AND NOT EXISTS (
                   SELECT FROM websocket.participants o
                   WHERE o.conversation_id = c.id AND o.account_id <> a.sender_id AND o.state = 'joined'
               ) AS is_request,
               row_number() OVER (PARTITION BY a.conversation_id, a.sender_id, a.client_id ORDER BY a.place) = 1 AS is_first
        FROM asked a
        LEFT JOIN websocket.conversations c ON c.id = a.conversation_id
        LEFT JOIN websocket.participants p
            ON p.conversation_id = a.conversation_id AND p.account_id = a.sender_id AND p.state IN ('joined', 'requested')
        LEFT JOIN websocket.messages m
            ON m.conversation_id = a.conversation_id AND m.sender_id = a.sender_id AND m.client_id = a.client_id
    ),
    numbered AS (
        SELECT j.*, j.last_seq + row_number() OVER (PARTITION BY j.conversation_id ORDER BY j.place) AS new_seq
        FROM judged j WHERE j.refused IS NULL AND j.known_id IS NULL AND j.is_first
    ),
    stored AS (
        INSERT INTO websocket.messages AS m (conversation_id, seq, sender_id, client_id, text, reply_to, sent_at)
        SELECT n.conversation_id, n.new_seq, n.sender_id, n.client_id, n.text, n.reply_to, clock_timestamp()
        FROM numbered n WHERE NOT n.is_request OR n.new_seq <= max_unanswered
        RETURNING m.conversation_id, m.seq, m.id, m.sent_at, m.sender_id, m.client_id
    ),
    counted AS (
        UPDATE websocket.conversations c
        SET last_seq = s.last_seq, last_at = s.last_at
        FROM (SELECT s.conversation_id, max(s.seq) AS last_seq, max(s.sent_at) AS last_at
              FROM stored s GROUP BY s.conversation_id) s
        WHERE c.id = s.conversation_id
    )
    SELECT j.place, coalesce(j.refused, CASE WHEN coalesce(s.id, j.known_id) IS NULL THEN 'unanswered' END),
           s.id IS NOT NULL AND j.is_first, coalesce(s.id, j.known_id), coalesce(s.seq, j.known_seq),
           coalesce(s.sent_at, j.known_at), j.version,
           CASE WHEN j.kind = 'group' THEN ARRAY(SELECT f FROM websocket.folded_for(j.conversation_id, j.sender_id) f) END
    FROM judged j
    LEFT JOIN stored s USING (conversation_id, sender_id, client_id)
    ORDER BY j.place;
END
$$;
