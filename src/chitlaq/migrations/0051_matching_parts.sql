-- What a post or message says besides its text, for search to show where the match is (docs/search.md).

-- What feed publishes to search: of these posts, those that the viewer may read: descriptions of their pictures, and the
-- options of their polls, in their order.
CREATE FUNCTION feed.parts_of_posts(viewer uuid, posts uuid[]) RETURNS TABLE (id uuid, kind text, text text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    WITH readable AS MATERIALIZED (
        SELECT p.id FROM unnest(posts) o (id)
        CROSS JOIN LATERAL (SELECT r.id FROM feed.permitted_posts(viewer) r WHERE r.id = o.id OFFSET 0) p
    )
    (SELECT p.id, 'picture', c.alt
     FROM readable p JOIN feed.post_media o ON o.post_id = p.id JOIN feed.picture_cards c ON c.id = o.media_id
     WHERE c.alt <> ''
     ORDER BY p.id, o.position)
    UNION ALL
    (SELECT p.id, 'poll_option', t.option
     FROM readable p JOIN feed.polls q ON q.post_id = p.id
     CROSS JOIN LATERAL unnest(q.options) WITH ORDINALITY t (option, place)
     ORDER BY p.id, t.place)
$$;

-- What websocket publishes to search: the same of messages (each a conversation and a number), as `messages_found` shows
-- them: to who left a conversation, nothing that was changed since.
CREATE FUNCTION websocket.parts_of_messages(viewer uuid, conversations uuid[], numbers bigint[])
RETURNS TABLE (id uuid, kind text, text text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$
    SELECT m.id, 'picture', c.alt
    FROM unnest(conversations, numbers) k (conversation_id, seq)
    JOIN websocket.participants p
      ON p.conversation_id = k.conversation_id AND p.account_id = viewer AND p.state <> 'invited'
     AND k.seq > p.after_seq AND (p.until_seq IS NULL OR k.seq <= p.until_seq)
    JOIN websocket.messages m ON m.conversation_id = k.conversation_id AND m.seq = k.seq AND m.deleted_at IS NULL
    JOIN websocket.message_media o ON o.conversation_id = m.conversation_id AND o.seq = m.seq
    JOIN feed.picture_cards c ON c.id = o.media_id
    WHERE c.alt <> '' AND (p.state <> 'left' OR greatest(m.edited_at, m.changed_at) <= p.since IS NOT FALSE)
    ORDER BY m.id, o.position
$$;
REVOKE ALL ON FUNCTION feed.parts_of_posts, websocket.parts_of_messages FROM public;
GRANT EXECUTE ON FUNCTION feed.parts_of_posts, websocket.parts_of_messages TO chitlaq_search;
