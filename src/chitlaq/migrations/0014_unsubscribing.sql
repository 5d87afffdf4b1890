-- Mails to subscribers name the address at which a POST ends the subscription (RFC 8058). Its query holds a
-- secret and goes when the mail is sent; the rest stays, so that such mails are told apart.

ALTER TABLE mail.messages ADD COLUMN unsubscribe text NOT NULL DEFAULT '';
