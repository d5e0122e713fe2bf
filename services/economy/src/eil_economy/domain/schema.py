"""The ledger's tables. What they can check they check, so that a faulty program cannot write a wrong book.

The store says the same in PostgreSQL's dialect.
"""

from typing import Final

TABLES: Final = """
CREATE TABLE IF NOT EXISTS account (
    tenant     TEXT    NOT NULL CHECK (length(tenant) > 0),
    owner      TEXT    NOT NULL CHECK (length(owner) > 0),
    token      TEXT    NOT NULL CHECK (token IN ('CEU', 'PFT', 'MUNT')),
    kind       TEXT    NOT NULL CHECK (kind IN ('ordinary', 'issuance')),
    balance_u  INTEGER NOT NULL DEFAULT 0 CHECK (abs(balance_u) <= 4611686018427387904),
    reserved_u INTEGER NOT NULL DEFAULT 0 CHECK (reserved_u BETWEEN 0 AND 4611686018427387904),
    incoming_u INTEGER NOT NULL DEFAULT 0 CHECK (incoming_u BETWEEN 0 AND 4611686018427387904),
    PRIMARY KEY (tenant, owner, token),
    CHECK ((kind = 'issuance') = (owner = '@issuance')),
    CHECK (CASE kind WHEN 'ordinary' THEN balance_u >= reserved_u ELSE balance_u <= 0 END)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS supply (
    tenant   TEXT    NOT NULL,
    token    TEXT    NOT NULL CHECK (token IN ('CEU', 'PFT', 'MUNT')),
    minted_u INTEGER NOT NULL DEFAULT 0 CHECK (minted_u BETWEEN 0 AND 4611686018427387904),
    burned_u INTEGER NOT NULL DEFAULT 0 CHECK (burned_u BETWEEN 0 AND minted_u),
    PRIMARY KEY (tenant, token)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS transfer (
    seq                 INTEGER PRIMARY KEY,
    tenant              TEXT    NOT NULL,
    transfer_id         TEXT    NOT NULL CHECK (length(transfer_id) > 0),
    phase               TEXT    NOT NULL CHECK (phase IN ('posted', 'pending', 'post', 'void', 'expire')),
    purpose             TEXT    NOT NULL CHECK (purpose IN ('transfer', 'mint', 'burn')),
    token               TEXT    NOT NULL,
    source              TEXT    NOT NULL,
    destination         TEXT    NOT NULL,
    moved_u             INTEGER NOT NULL CHECK (moved_u BETWEEN 0 AND 4611686018427387904),
    held_u              INTEGER NOT NULL CHECK (abs(held_u) <= 4611686018427387904),
    reason              TEXT    NOT NULL CHECK (length(reason) > 0),
    reference           TEXT    NOT NULL,
    pending_id          TEXT,
    timeout_us          INTEGER,
    link_id             TEXT,
    created_us          INTEGER NOT NULL,
    source_after_u      INTEGER NOT NULL,
    destination_after_u INTEGER NOT NULL,
    UNIQUE (tenant, transfer_id),
    FOREIGN KEY (tenant, source, token) REFERENCES account (tenant, owner, token),
    FOREIGN KEY (tenant, destination, token) REFERENCES account (tenant, owner, token),
    FOREIGN KEY (tenant, pending_id) REFERENCES transfer (tenant, transfer_id),
    CHECK (source <> destination),
    CHECK ((purpose = 'mint') = (source = '@issuance')),
    CHECK ((purpose = 'burn') = (destination = '@issuance')),
    CHECK ((pending_id IS NOT NULL) = (phase IN ('post', 'void', 'expire'))),
    CHECK ((timeout_us IS NOT NULL) = (phase = 'pending')),
    CHECK (CASE phase
        WHEN 'posted'  THEN moved_u > 0 AND held_u = 0
        WHEN 'pending' THEN moved_u = 0 AND held_u > 0
        WHEN 'post'    THEN moved_u > 0 AND moved_u <= -held_u
        ELSE moved_u = 0 AND held_u < 0 END)
) STRICT;

CREATE UNIQUE INDEX IF NOT EXISTS transfer_resolves_once ON transfer (tenant, pending_id) WHERE pending_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS transfer_by_source ON transfer (tenant, token, source, seq);
CREATE INDEX IF NOT EXISTS transfer_by_destination ON transfer (tenant, token, destination, seq);
CREATE INDEX IF NOT EXISTS transfer_by_tenant ON transfer (tenant, seq);
CREATE INDEX IF NOT EXISTS transfer_by_link ON transfer (tenant, link_id) WHERE link_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS hold (
    tenant      TEXT    NOT NULL,
    transfer_id TEXT    NOT NULL,
    expires_us  INTEGER NOT NULL,
    PRIMARY KEY (tenant, transfer_id),
    FOREIGN KEY (tenant, transfer_id) REFERENCES transfer (tenant, transfer_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS hold_by_expiry ON hold (expires_us);

CREATE TABLE IF NOT EXISTS licence (
    tenant     TEXT    NOT NULL,
    licence_id TEXT    NOT NULL,
    model      TEXT    NOT NULL CHECK (length(model) > 0),
    holder     TEXT    NOT NULL,
    steps      INTEGER NOT NULL CHECK (steps BETWEEN 0 AND 4611686018427387904),
    period_us  INTEGER NOT NULL CHECK (period_us > 0),
    price_u    INTEGER NOT NULL CHECK (price_u BETWEEN 0 AND 4611686018427387904),
    starts_us  INTEGER NOT NULL,
    expires_us INTEGER NOT NULL CHECK (expires_us > starts_us),
    PRIMARY KEY (tenant, licence_id),
    FOREIGN KEY (tenant, licence_id) REFERENCES transfer (tenant, transfer_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS licence_by_holder ON licence (tenant, model, holder, expires_us);

CREATE TABLE IF NOT EXISTS licence_use (
    tenant     TEXT    NOT NULL,
    licence_id TEXT    NOT NULL,
    period     INTEGER NOT NULL CHECK (period >= 0),
    used       INTEGER NOT NULL CHECK (used BETWEEN 0 AND 4611686018427387904),
    PRIMARY KEY (tenant, licence_id, period),
    FOREIGN KEY (tenant, licence_id) REFERENCES licence (tenant, licence_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS budget (
    tenant         TEXT    NOT NULL CHECK (length(tenant) > 0),
    principal      TEXT    NOT NULL CHECK (length(principal) > 0),
    capacity_u     INTEGER CHECK (capacity_u BETWEEN 0 AND 4611686018427387904),
    refill_u_per_h INTEGER CHECK (refill_u_per_h BETWEEN 0 AND 4611686018427387904),
    due_u          INTEGER NOT NULL CHECK (due_u BETWEEN 0 AND 4611686018427387904),
    rest           INTEGER NOT NULL CHECK (rest BETWEEN 0 AND 3599999999),
    since_us       INTEGER NOT NULL,
    PRIMARY KEY (tenant, principal),
    CHECK ((capacity_u IS NULL) = (refill_u_per_h IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS claim (
    number     INTEGER PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    proof_id   TEXT    NOT NULL CHECK (length(proof_id) > 0),
    policy     TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    evidence   TEXT    NOT NULL CHECK (length(evidence) = 64),
    inputs     TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'minted', 'refused')),
    amount_u   INTEGER NOT NULL DEFAULT 0 CHECK (amount_u BETWEEN 0 AND 4611686018427387904),
    why        TEXT    NOT NULL DEFAULT '',
    created_us INTEGER NOT NULL,
    decided_us INTEGER,
    UNIQUE (tenant, proof_id, policy),
    CHECK ((decided_us IS NULL) = (state = 'pending')),
    CHECK ((amount_u > 0) = (state = 'minted')),
    CHECK ((length(why) > 0) = (state = 'refused'))
) STRICT;
CREATE INDEX IF NOT EXISTS claim_waiting ON claim (number) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS claim_by_tenant ON claim (tenant, number);
CREATE INDEX IF NOT EXISTS claim_minted ON claim (tenant, policy, decided_us) WHERE state = 'minted';
"""
"""Tables and indices."""

_GUARDS: Final = """
CREATE TRIGGER IF NOT EXISTS transfer_not_updated BEFORE UPDATE ON transfer
BEGIN SELECT RAISE(ABORT, 'transfers are immutable: correct one by a new transfer'); END;
CREATE TRIGGER IF NOT EXISTS transfer_not_deleted BEFORE DELETE ON transfer
BEGIN SELECT RAISE(ABORT, 'transfers are immutable: correct one by a new transfer'); END;
CREATE TRIGGER IF NOT EXISTS account_not_deleted BEFORE DELETE ON account
BEGIN SELECT RAISE(ABORT, 'accounts are kept for ever'); END;
CREATE TRIGGER IF NOT EXISTS account_not_renamed BEFORE UPDATE OF tenant, owner, token, kind ON account
BEGIN SELECT RAISE(ABORT, 'an account keeps its name, token and kind'); END;
CREATE TRIGGER IF NOT EXISTS licence_not_updated BEFORE UPDATE ON licence
BEGIN SELECT RAISE(ABORT, 'the terms of a licence stand'); END;
CREATE TRIGGER IF NOT EXISTS licence_not_deleted BEFORE DELETE ON licence
BEGIN SELECT RAISE(ABORT, 'the terms of a licence stand'); END;
CREATE TRIGGER IF NOT EXISTS claim_decided_once BEFORE UPDATE ON claim
WHEN OLD.state <> 'pending' OR (NEW.tenant, NEW.proof_id, NEW.policy, NEW.version, NEW.owner, NEW.evidence, NEW.inputs)
    <> (OLD.tenant, OLD.proof_id, OLD.policy, OLD.version, OLD.owner, OLD.evidence, OLD.inputs)
BEGIN SELECT RAISE(ABORT, 'a claim is decided once, as it was made'); END;
CREATE TRIGGER IF NOT EXISTS claim_not_deleted BEFORE DELETE ON claim
BEGIN SELECT RAISE(ABORT, 'claims are kept for ever'); END;
CREATE TRIGGER IF NOT EXISTS supply_not_deleted BEFORE DELETE ON supply
BEGIN SELECT RAISE(ABORT, 'the record of issue is kept for ever'); END;
"""
"""What stands stays."""

SCHEMA: Final = TABLES + _GUARDS

REPLACE_GUARD: Final = """
CREATE TRIGGER IF NOT EXISTS transfer_not_replaced BEFORE INSERT ON transfer
WHEN EXISTS (SELECT 1 FROM transfer WHERE seq = NEW.seq)
    OR EXISTS (SELECT 1 FROM transfer WHERE tenant = NEW.tenant AND transfer_id = NEW.transfer_id)
    OR EXISTS (SELECT 1 FROM transfer WHERE tenant = NEW.tenant AND pending_id = NEW.pending_id)
BEGIN SELECT RAISE(ABORT, 'transfers are immutable: this id, or this resolution, is recorded already'); END;
"""
"""For SQLite, whose INSERT OR REPLACE deletes without firing delete triggers: the clash itself is refused."""
