-- Pictures of groups: who has them, who may see them, and what becomes of them (docs/chat.md).

CREATE TABLE websocket.conversation_media (
    conversation_id uuid PRIMARY KEY REFERENCES websocket.conversations ON DELETE CASCADE,
    -- One picture is of one group. It goes with the account that uploaded it.
    media_id uuid NOT NULL UNIQUE REFERENCES feed.media ON DELETE CASCADE
);
CREATE TRIGGER note_use_of_media AFTER DELETE ON websocket.conversation_media
FOR EACH ROW EXECUTE FUNCTION feed.note_use_of_media();

-- As conversations show it.
CREATE VIEW websocket.conversation_pictures AS
SELECT o.conversation_id, json_build_array(p.id, p.width, p.height, p.alt, p.blurhash, p.has_still) AS picture,
       p.blurhash IS NOT NULL AS is_ready
FROM websocket.conversation_media o JOIN feed.picture_cards p ON p.id = o.media_id;

-- Also who takes part now, or is invited, sees the group's picture, as its name.
CREATE OR REPLACE VIEW websocket.media_readers AS
SELECT o.media_id, p.account_id
FROM websocket.message_media o JOIN websocket.participants p ON p.conversation_id = o.conversation_id
WHERE p.state <> 'invited' AND o.seq > p.after_seq AND (p.until_seq IS NULL OR o.seq <= p.until_seq)
UNION ALL
SELECT o.media_id, p.account_id
FROM websocket.conversation_media o JOIN websocket.participants p ON p.conversation_id = o.conversation_id
WHERE p.state <> 'left';

ALTER TABLE websocket.messages
    DROP CONSTRAINT messages_event_check,
    ADD CONSTRAINT messages_event_check CHECK (event IN (
        'renamed', 'picture_changed', 'picture_removed', 'added', 'invited', 'joined', 'removed', 'left', 'promoted'
    ));
