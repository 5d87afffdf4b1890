-- Mails are sent, and posts delivered, by jobs; pending ones are carried over.

CREATE POLICY send_mail ON jobs.jobs TO chitlaq_auth USING (kind = 'send_mail');
CREATE POLICY enqueue_mail ON jobs.jobs FOR INSERT TO chitlaq_ops WITH CHECK (kind = 'send_mail');
GRANT INSERT ON jobs.jobs TO chitlaq_ops;

INSERT INTO jobs.jobs (kind, payload, request_id, attempts, created_at, due_at, reason)
SELECT 'send_mail', jsonb_build_object('message_id', id), request_id, attempts, created_at, next_attempt_at,
       last_error
FROM mail.messages
WHERE sent_at IS NULL;

-- Failed at least once, dead ones included: the latter wait for an operator.
CREATE OR REPLACE VIEW mail.backlog AS
SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM jobs.jobs
WHERE kind = 'send_mail' AND reason IS NOT NULL;

DROP INDEX mail.messages_unsent;
ALTER TABLE mail.messages DROP COLUMN attempts, DROP COLUMN last_error, DROP COLUMN next_attempt_at;

CREATE POLICY deliver_post ON jobs.jobs TO chitlaq_feed USING (kind = 'deliver_post');

INSERT INTO jobs.jobs (kind, payload, request_id, created_at)
SELECT 'deliver_post', jsonb_build_object('post_id', post_id), request_id, created_at FROM feed.deliveries;

CREATE OR REPLACE VIEW feed.delivery_backlog AS
SELECT count(*) AS waiting, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM jobs.jobs
WHERE kind = 'deliver_post';

DROP TABLE feed.deliveries;
