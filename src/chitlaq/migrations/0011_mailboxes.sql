-- Mails to one mailbox are counted, so that nobody can have us flood it.

-- What servers that support subaddressing (RFC 5233) deliver to the same mailbox.
CREATE FUNCTION mail.mailbox(address text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN regexp_replace(address, '\+[^@]*@', '@');

CREATE INDEX messages_by_mailbox ON mail.messages (mail.mailbox(to_address), created_at);

-- Addresses that a mail library or a server may read as others were never proved to be their owner's.
DELETE FROM auth.accounts
WHERE verified_at IS NULL AND email !~ '^[a-z0-9_+''&~#$*/^{}`.-]+@[a-z0-9.-]+$';
