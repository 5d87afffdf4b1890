-- How often an incident became one that nobody takes care of, and which of these times its clock is about: what
-- was resolved and came back while nothing escalated is told anew.
ALTER TABLE incidents ADD COLUMN openings integer NOT NULL DEFAULT 1;
ALTER TABLE escalations ADD COLUMN opening integer NOT NULL DEFAULT 1;

-- Incidents whose clock waits: somebody has been told, and no alert of theirs fires now. What only a person
-- resolves never waits.
CREATE VIEW waiting_escalations AS
SELECT incident_id FROM escalations JOIN incidents ON incidents.id = incident_id
WHERE state <> 'stopped' AND status = 'open' AND resolves_itself
  AND EXISTS (SELECT 1 FROM pages
              WHERE pages.incident_id = incidents.id AND pages.run = escalations.run AND outcome = 'sent')
  AND NOT EXISTS (SELECT 1 FROM incident_alerts JOIN alerts USING (fingerprint, started_at)
                  WHERE incident_alerts.incident_id = incidents.id AND ended_at IS NULL);
