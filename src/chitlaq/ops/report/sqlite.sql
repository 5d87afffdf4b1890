-- name: keep_mail
-- Keep a mail until the queue in PostgreSQL takes it.
INSERT INTO waiting_mails (id, record) VALUES (?1, ?2) ON CONFLICT DO NOTHING;

-- name: waiting_mails
-- The mails that wait, oldest first: their ids sort by time.
SELECT id, record FROM waiting_mails ORDER BY id;

-- name: drop_mail
-- Forget a mail that the queue has taken.
DELETE FROM waiting_mails WHERE id = ?1;
