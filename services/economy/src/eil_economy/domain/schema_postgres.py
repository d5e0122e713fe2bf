"""The ledger's tables in PostgreSQL: those of `schema`, and the same guards in its dialect. `refuse()` is the store's."""

import re
from typing import Final

from eil_economy.domain.schema import TABLES


def _translated(tables: str) -> str:
    """SQLite's types are strict and compare bytes when told so; PostgreSQL's are, and do with collation C."""
    plain = re.sub(r"\) STRICT(, WITHOUT ROWID)?;", ");", tables)
    return re.sub(r"\bTEXT\b", 'TEXT COLLATE "C"', re.sub(r"\bINTEGER\b", "BIGINT", plain))


_GUARDS: Final = """
CREATE OR REPLACE TRIGGER transfer_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('transfers are immutable: correct one by a new transfer');
CREATE OR REPLACE TRIGGER account_not_deleted BEFORE DELETE OR TRUNCATE ON account
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('accounts are kept for ever');
CREATE OR REPLACE TRIGGER account_not_renamed BEFORE UPDATE OF tenant, owner, token, kind ON account
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('an account keeps its name, token and kind');
CREATE OR REPLACE TRIGGER supply_not_deleted BEFORE DELETE OR TRUNCATE ON supply
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('the record of issue is kept for ever');
CREATE OR REPLACE TRIGGER licence_stands BEFORE UPDATE OR DELETE OR TRUNCATE ON licence
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('the terms of a licence stand');
CREATE OR REPLACE TRIGGER claim_not_deleted BEFORE DELETE OR TRUNCATE ON claim
  FOR EACH STATEMENT EXECUTE FUNCTION refuse('claims are kept for ever');
CREATE OR REPLACE TRIGGER claim_decided_once BEFORE UPDATE ON claim FOR EACH ROW
  WHEN (OLD.state <> 'pending' OR (NEW.tenant, NEW.proof_id, NEW.policy, NEW.version, NEW.owner, NEW.evidence, NEW.inputs)
    <> (OLD.tenant, OLD.proof_id, OLD.policy, OLD.version, OLD.owner, OLD.evidence, OLD.inputs))
  EXECUTE FUNCTION refuse('a claim is decided once, as it was made');
"""

SCHEMA: Final = _translated(TABLES) + _GUARDS
