-- Sessions are looked for by whether they were ended, and when they were last used or ended.
--
-- From here on `revoked` is 1 for one that was ended and may never have begun: for good. It is 2 for one that
-- had begun, and so cannot begin again once its grant's time to do so is over.
CREATE INDEX grant_sessions_by_use ON grant_sessions (revoked, used_ms);
