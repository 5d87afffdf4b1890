-- name: newest_mails
-- The newest mails, for the mailbox of a stack that sends none.
SELECT to_address, subject, text, links, created_at FROM mail.messages ORDER BY created_at DESC, id DESC LIMIT 50;
