-- What those who show imports note of them: JSON, opaque to the store; empty for nothing.
ALTER TABLE imports ADD COLUMN notes TEXT NOT NULL DEFAULT '';
