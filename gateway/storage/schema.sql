-- Times are microseconds since 1970, UTC. What is asked for has a column, the rest of a record is in `body`.
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY,               -- the order of acceptance
    tracking_id TEXT NOT NULL UNIQUE,
    caller TEXT NOT NULL,
    type TEXT NOT NULL,
    event_id TEXT NOT NULL,
    accepted_at INTEGER NOT NULL,
    phone_digest BLOB,
    -- From here on a save may change it.
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    account TEXT NOT NULL,
    template_id TEXT,
    rank INTEGER NOT NULL,                 -- of the priority, 0 goes first
    msg_id TEXT,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    due_at INTEGER,                        -- null unless it is queued
    lease_until INTEGER,                   -- null unless an attempt is open
    owner TEXT,                            -- of the open attempt
    ask_at INTEGER,                        -- null unless its silence is going to last too long
    body BLOB NOT NULL,
    changed INTEGER NOT NULL               -- the order of commits, for the feed
);
CREATE UNIQUE INDEX IF NOT EXISTS message_changed ON message (changed);
CREATE INDEX IF NOT EXISTS message_updated ON message (updated_at, changed);  -- the feed's beginning, the sweep
CREATE INDEX IF NOT EXISTS message_due ON message (account, rank, due_at, accepted_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_expiry ON message (expires_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_lease ON message (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_ask ON message (account, ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_phone ON message (phone_digest) WHERE phone_digest IS NOT NULL;
CREATE INDEX IF NOT EXISTS message_event ON message (event_id);
CREATE INDEX IF NOT EXISTS message_msg_id ON message (account, msg_id) WHERE msg_id IS NOT NULL;

-- What is confidential of a message, sealed.
CREATE TABLE IF NOT EXISTS letter (seq INTEGER PRIMARY KEY, body BLOB NOT NULL);

CREATE TABLE IF NOT EXISTS identity (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    fingerprint BLOB NOT NULL              -- keyed digest of what the event said
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS identity_seq ON identity (seq);

CREATE TABLE IF NOT EXISTS hold (key TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;

-- Receipts as they came, sealed. `is_new` until they have been worked on; then an orphan, kept for its message to
-- turn up.
CREATE TABLE IF NOT EXISTS receipt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: who holds a number must not drop another's receipt
    account TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    is_new INTEGER NOT NULL,
    tracking_id TEXT,
    msg_id TEXT,
    delivered_at INTEGER,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS receipt_new ON receipt (id) WHERE is_new;
CREATE INDEX IF NOT EXISTS receipt_tracking_id ON receipt (tracking_id) WHERE tracking_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS receipt_msg_id ON receipt (msg_id) WHERE msg_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS receipt_orphan ON receipt (account, is_new) WHERE NOT is_new;
CREATE INDEX IF NOT EXISTS receipt_age ON receipt (received_at) WHERE NOT is_new;

-- What Zalo told beside receipts, and the webhook event as it came, sealed as one.
CREATE TABLE IF NOT EXISTS news (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_at INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (account, key)
);
CREATE INDEX IF NOT EXISTS news_age ON news (received_at);
CREATE INDEX IF NOT EXISTS news_heard ON news (id) WHERE kind <> 'other';
CREATE INDEX IF NOT EXISTS news_other ON news (account, kind) WHERE kind = 'other';
CREATE INDEX IF NOT EXISTS news_other_age ON news (received_at) WHERE kind = 'other';

-- What callers are told, sealed: stored with the change that it tells of, and kept to be told again.
CREATE TABLE IF NOT EXISTS callback (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    caller TEXT NOT NULL,
    type TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    since INTEGER NOT NULL,                -- when trying began; before that, since when it waits
    tries INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,                        -- null once it was taken or is given up
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS callback_due ON callback (caller, due_at, since) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS callback_made ON callback (made_at, caller);

-- The pauses that operators were last told of.
CREATE TABLE IF NOT EXISTS told_pause (account TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS credential (account TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;

-- Who may renew an account's grant, and until when.
CREATE TABLE IF NOT EXISTS lease (account TEXT PRIMARY KEY, owner TEXT NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;

-- People on the way through Zalo's consent page, sealed; found by a keyed digest of the state that comes back.
CREATE TABLE IF NOT EXISTS login (
    account TEXT PRIMARY KEY,
    state BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
