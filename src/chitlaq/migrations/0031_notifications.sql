-- Notifications: what members are told of, while its cause exists and they may see it (docs/notifications.md).

-- Of each member who was ever told anything: how far they have seen and read, and how many groups are newer. Whoever
-- changes notifications of members locks these rows first, in the order of their ids. A position is a time that is
-- unique for a member and grows; `latest` is the last one given.
CREATE TABLE websocket.notified_accounts (
    account_id uuid PRIMARY KEY REFERENCES auth.accounts ON DELETE CASCADE,
    latest timestamptz NOT NULL DEFAULT '-infinity',
    seen_until timestamptz NOT NULL DEFAULT '-infinity',
    read_until timestamptz NOT NULL DEFAULT '-infinity',
    -- When one of these was moved: what a repair looks for.
    marked_at timestamptz,
    unseen integer NOT NULL DEFAULT 0 CHECK (unseen >= 0),
    unread integer NOT NULL DEFAULT 0 CHECK (unread >= unseen),
    CHECK (read_until <= seen_until)
) WITH (fillfactor = 70);

-- A group: what several did with the same subject, as one notification.
CREATE TABLE websocket.notifications (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    recipient_id uuid NOT NULL REFERENCES websocket.notified_accounts ON DELETE CASCADE,
    kind text NOT NULL,
    -- A post, a conversation, …; the recipient, if it is about them alone, as a follow is.
    subject_id uuid NOT NULL,
    position timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    count integer NOT NULL CHECK (count > 0),
    -- From a stranger whom the recipient's settings keep apart: not counted, and listed apart.
    is_filtered boolean NOT NULL DEFAULT false,
    text text,
    UNIQUE (recipient_id, position)
) WITH (fillfactor = 70);
CREATE INDEX notifications_by_subject ON websocket.notifications (subject_id, recipient_id, kind);

-- Who did it; the recipient, if nobody did. Each is told once. No foreign key to the actor's account, which would cost
-- each like a lock of that row: what is left of an account is erased by a job of this service.
CREATE TABLE websocket.notification_causes (
    subject_id uuid NOT NULL,
    kind text NOT NULL,
    actor_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    notification_id uuid NOT NULL REFERENCES websocket.notifications ON DELETE CASCADE,
    at timestamptz NOT NULL,
    PRIMARY KEY (subject_id, kind, actor_id, recipient_id)
);
CREATE INDEX notification_causes_by_group ON websocket.notification_causes (notification_id, at DESC);
CREATE INDEX notification_causes_by_actor ON websocket.notification_causes (actor_id, recipient_id);

-- The jobs that say where causes may have changed.
CREATE POLICY notify ON jobs.jobs TO chitlaq_websocket USING (kind IN ('notify', 'sweep_messages'));
CREATE POLICY enqueue_notify ON jobs.jobs FOR INSERT TO chitlaq_feed, chitlaq_auth WITH CHECK (kind = 'notify');

-- What is planned for later is not old: its created_at is the time for which it is planned.
CREATE OR REPLACE VIEW jobs.backlog AS
SELECT kind,
       count(*) FILTER (WHERE state <> 'dead') AS waiting,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       greatest(0, coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state <> 'dead')), 0))::float8
           AS oldest_seconds
FROM jobs.jobs
GROUP BY kind;

CREATE VIEW feed.member_ids AS SELECT id FROM feed.members;
GRANT SELECT ON feed.member_ids TO chitlaq_websocket;

-- A follow that the followed member has let happen: it is news to who asked, and to nobody else.
ALTER TABLE feed.follows ADD COLUMN was_requested boolean NOT NULL DEFAULT false;

-- The one place that says of what members are told. Of these causes, by their place in the arrays: those that exist, and
-- that the recipient may see; since when; and whether the recipient mutes them. A mute keeps from being told, and
-- takes back nothing. Who is answered is told of the answer, whether it quotes or mentions them, too.
CREATE FUNCTION feed.causes(recipients uuid[], kinds text[], subjects uuid[], actors uuid[])
RETURNS TABLE (number bigint, at timestamptz, is_muted boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT a.number, c.at,
           CASE WHEN a.kind IN ('mention', 'reply', 'quote', 'poll_ended')
           THEN EXISTS (SELECT FROM feed.mutes_against(a.recipient, a.actor, a.subject, c.thread))
           ELSE EXISTS (SELECT FROM feed.mutes m WHERE m.member_id = a.recipient AND m.muted_id = a.actor
                                                   AND (m.until IS NULL OR m.until > now()))
                OR EXISTS (SELECT FROM feed.muted_threads t WHERE t.member_id = a.recipient AND t.post_id = c.thread)
           END
    -- In subqueries, so that it is not planned anew for each length.
    FROM unnest((SELECT recipients), (SELECT kinds), (SELECT subjects), (SELECT actors))
         WITH ORDINALITY AS a (recipient, kind, subject, actor, number)
    CROSS JOIN LATERAL (
        SELECT l.created_at AS at, coalesce(p.root_id, p.id) AS thread
        FROM feed.likes l JOIN feed.posts p ON p.id = l.post_id
        WHERE a.kind = 'like' AND l.post_id = a.subject AND l.member_id = a.actor AND p.author_id = a.recipient
          AND a.actor <> a.recipient
        UNION ALL
        SELECT s.created_at, coalesce(p.root_id, p.id)
        FROM feed.reposts s JOIN feed.posts p ON p.id = s.post_id
        WHERE a.kind = 'repost' AND s.post_id = a.subject AND s.member_id = a.actor AND p.author_id = a.recipient
          AND a.actor <> a.recipient
        UNION ALL
        SELECT p.created_at, coalesce(p.root_id, p.id)
        FROM feed.permitted_posts(a.recipient) p
        WHERE a.kind IN ('mention', 'reply', 'quote')
          AND p.id = a.subject AND p.author_id = a.actor AND a.actor <> a.recipient
          AND a.kind = CASE
              WHEN a.recipient = (SELECT q.author_id FROM feed.posts q WHERE q.id = p.reply_to) THEN 'reply'
              WHEN a.recipient = (SELECT q.author_id FROM feed.posts q WHERE q.id = p.quote_of) THEN 'quote'
              WHEN EXISTS (SELECT FROM feed.post_mentions n WHERE n.post_id = p.id AND n.member_id = a.recipient)
              THEN 'mention' END
        UNION ALL
        SELECT q.expires_at, coalesce(p.root_id, p.id)
        FROM feed.permitted_posts(a.recipient) p JOIN feed.polls q ON q.post_id = p.id
        WHERE a.kind = 'poll_ended' AND p.id = a.subject AND p.author_id = a.actor AND q.expires_at <= now()
          AND (a.actor = a.recipient
               OR EXISTS (SELECT FROM feed.poll_votes v WHERE v.post_id = p.id AND v.member_id = a.recipient))
        UNION ALL
        SELECT f.created_at, NULL FROM feed.follows f
        WHERE a.kind = 'follow' AND f.follower_id = a.actor AND f.followed_id = a.recipient AND NOT f.was_requested
        UNION ALL
        SELECT f.created_at, NULL FROM feed.follows f
        WHERE a.kind = 'follow_accepted' AND f.follower_id = a.recipient AND f.followed_id = a.actor AND f.was_requested
        UNION ALL
        SELECT uuid_extract_timestamp(r.id), NULL FROM feed.follow_requests r
        WHERE a.kind = 'follow_request' AND r.requester_id = a.actor AND r.requested_id = a.recipient
    ) c
    WHERE EXISTS (SELECT FROM feed.members m WHERE m.id = a.actor AND m.hidden_at IS NULL)
      AND NOT EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = a.actor AND b.blocked_id = a.recipient)
      AND NOT EXISTS (SELECT FROM feed.blocks b WHERE b.blocker_id = a.recipient AND b.blocked_id = a.actor)
$$;

-- Whom a post answers, quotes or mentions.
CREATE FUNCTION feed.addressed(posts uuid[])
RETURNS TABLE (post_id uuid, author_id uuid, member_id uuid, kind text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT p.id, p.author_id, r.member_id, r.kind
    FROM feed.posts p
    CROSS JOIN LATERAL (
        SELECT q.author_id AS member_id, 'reply' AS kind FROM feed.posts q WHERE q.id = p.reply_to
        UNION ALL
        SELECT q.author_id, 'quote' FROM feed.posts q WHERE q.id = p.quote_of
        UNION ALL
        SELECT n.member_id, 'mention' FROM feed.post_mentions n WHERE n.post_id = p.id
    ) r
    WHERE p.id = ANY (posts) AND p.deleted_at IS NULL AND r.member_id <> p.author_id
$$;

-- Of these posts, the ones that are deleted.
CREATE FUNCTION feed.deleted_posts(posts uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT p.id FROM unnest(posts) AS p (id)
    WHERE NOT EXISTS (SELECT FROM feed.posts q WHERE q.id = p.id AND q.deleted_at IS NULL)
$$;

-- Who asked a post's poll and who voted in it, by id, in parts.
CREATE FUNCTION feed.poll_audience(post uuid, after uuid, part integer)
RETURNS TABLE (author_id uuid, member_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT p.author_id, m.id
    FROM feed.posts p
    CROSS JOIN LATERAL (SELECT v.member_id AS id FROM feed.poll_votes v WHERE v.post_id = p.id
                        UNION ALL SELECT p.author_id) m
    WHERE p.id = post AND p.has_poll AND (after IS NULL OR m.id > after)
    ORDER BY m.id
    LIMIT part
$$;

-- Of these posts, the ones that a viewer may read, as notifications show them.
CREATE FUNCTION feed.excerpts(viewer uuid, posts uuid[])
RETURNS TABLE (id uuid, username text, display_name text, avatar_url text, text text, content_warning text,
               visibility text, reply_to uuid, quote_of uuid, created_at timestamptz, edited_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT q.id, m.username, m.display_name, m.avatar_url, q.text, q.content_warning, q.visibility, q.reply_to,
           q.quote_of, q.created_at, q.edited_at
    FROM feed.permitted_posts(viewer) p
    JOIN feed.posts q ON q.id = p.id
    JOIN feed.members m ON m.id = q.author_id
    WHERE p.id = ANY (posts)
$$;

-- Of these members, the ones whom a viewer may see.
CREATE FUNCTION feed.cards_of(viewer uuid, members uuid[])
RETURNS TABLE (id uuid, username text, display_name text, department text, university text, avatar_url text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT v.id, v.username, v.display_name, v.department, v.university, v.avatar_url
    FROM feed.visible_members(viewer) v WHERE v.id = ANY (members)
$$;
REVOKE ALL ON FUNCTION feed.causes, feed.addressed, feed.deleted_posts, feed.poll_audience, feed.excerpts, feed.cards_of
FROM public;
GRANT EXECUTE ON FUNCTION feed.causes, feed.addressed, feed.deleted_posts, feed.poll_audience, feed.excerpts, feed.cards_of
TO chitlaq_websocket;

-- Who becomes private or leaves is seen by fewer: what others were told of them is looked at again. Other services'
-- roles change members through functions, too.
CREATE FUNCTION feed.tell_of_member() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
AS $$
BEGIN
    INSERT INTO jobs.jobs (kind, payload, request_id)
    VALUES ('notify', jsonb_build_object('type', 'member', 'member_id', NEW.id), '-');
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION feed.tell_of_member FROM public;
CREATE TRIGGER tell_of_member AFTER UPDATE OF is_private, hidden_at ON feed.members
FOR EACH ROW
WHEN (NEW.is_private AND NOT OLD.is_private OR NEW.hidden_at IS NOT NULL AND OLD.hidden_at IS NULL)
EXECUTE FUNCTION feed.tell_of_member();

-- What a position does not find: groups that lost a cause, or were removed, in the last day. For `resume`, and for
-- processes that did not hear of it.
CREATE TABLE websocket.shrunk_notifications (
    recipient_id uuid NOT NULL REFERENCES websocket.notified_accounts ON DELETE CASCADE,
    notification_id uuid NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (recipient_id, notification_id)
);
CREATE INDEX shrunk_notifications_by_time ON websocket.shrunk_notifications (changed_at);
CREATE FUNCTION websocket.keep_shrunk() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO websocket.shrunk_notifications AS s (recipient_id, notification_id)
    -- Not of an account that is being deleted.
    SELECT account_id, OLD.id FROM websocket.notified_accounts WHERE account_id = OLD.recipient_id
    ON CONFLICT (recipient_id, notification_id) DO UPDATE SET changed_at = excluded.changed_at;
    RETURN NULL;
END
$$;
CREATE TRIGGER keep_shrunk AFTER UPDATE ON websocket.notifications
FOR EACH ROW WHEN (NEW.count < OLD.count) EXECUTE FUNCTION websocket.keep_shrunk();
CREATE TRIGGER keep_removed AFTER DELETE ON websocket.notifications
FOR EACH ROW EXECUTE FUNCTION websocket.keep_shrunk();

-- Who invited whom into a group, while that waits for an answer.
ALTER TABLE websocket.participants ADD COLUMN invited_by uuid REFERENCES auth.accounts ON DELETE SET NULL;
CREATE INDEX participants_by_inviter ON websocket.participants (invited_by) WHERE invited_by IS NOT NULL;

CREATE VIEW feed.mute_pairs AS
SELECT member_id, muted_id FROM feed.mutes WHERE until IS NULL OR until > now();
GRANT SELECT ON feed.mute_pairs TO chitlaq_websocket;

-- Messages are told when they are so old and unread.
CREATE FUNCTION websocket.message_age() RETURNS interval LANGUAGE sql IMMUTABLE RETURN interval '10 seconds';

-- As `feed.causes`, for conversations: who wrote what is unread, and who invites. What a stranger asks is kept apart.
CREATE FUNCTION websocket.causes(recipients uuid[], kinds text[], subjects uuid[], actors uuid[])
RETURNS TABLE (number bigint, at timestamptz, is_muted boolean, is_filtered boolean)
LANGUAGE sql STABLE
AS $$
    SELECT a.number, c.at,
           c.is_muted OR EXISTS (SELECT FROM feed.mute_pairs u WHERE u.member_id = a.recipient AND u.muted_id = a.actor),
           c.is_filtered
    FROM unnest(recipients, kinds, subjects, actors) WITH ORDINALITY AS a (recipient, kind, subject, actor, number)
    CROSS JOIN LATERAL (
        SELECT m.sent_at AS at, p.archived_at IS NOT NULL OR coalesce(p.muted_until > now(), false) AS is_muted,
               p.state = 'requested' AS is_filtered
        FROM websocket.participants p
        JOIN websocket.conversations v ON v.id = p.conversation_id
        CROSS JOIN LATERAL (
            SELECT m.sent_at FROM websocket.messages m
            WHERE m.conversation_id = v.id AND m.seq > greatest(p.read_seq, p.after_seq, v.last_seq - 200)
              AND m.sender_id = a.actor AND m.event IS NULL AND m.deleted_at IS NULL
              AND m.sent_at <= now() - websocket.message_age()
            ORDER BY m.seq LIMIT 1
        ) m
        WHERE a.kind = 'message' AND a.actor <> a.recipient AND p.conversation_id = a.subject
          AND p.account_id = a.recipient AND p.state IN ('joined', 'requested')
        UNION ALL
        SELECT p.since, false, false
        FROM websocket.participants p JOIN websocket.conversations v ON v.id = p.conversation_id
        WHERE a.kind = 'group_invitation' AND p.conversation_id = a.subject AND p.account_id = a.recipient
          AND p.state = 'invited' AND coalesce(p.invited_by, v.created_by) = a.actor
    ) c
    WHERE EXISTS (SELECT FROM feed.member_cards m WHERE m.id = a.actor)
      AND NOT EXISTS (SELECT FROM websocket.blocks_between(a.recipient, a.actor))
$$;
