-- name: university_of_domains
-- The university of the longest of these domains. Index: university_domains' primary key.
SELECT u.id, u.name
FROM auth.university_domains d
JOIN auth.universities u ON u.id = d.university_id
WHERE d.domain = ANY($1)
ORDER BY length(d.domain) DESC
LIMIT 1;
