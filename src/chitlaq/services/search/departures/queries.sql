-- name: export_history
-- What a member searched for. Index: history_by_account.
SELECT text, searched_at FROM search.history WHERE account_id = $1 ORDER BY id;

-- name: export_search_settings
SELECT keeps_history FROM search.privacy WHERE account_id = $1;
