"""From the state that release 0.1 kept, in SQLite, to this one's: the learner's working set comes apart from the graph."""

import sqlite3
from contextlib import closing
from pathlib import Path

from eil_atlas import store_graph, tables
from eil_atlas.domain.windows import WINDOW_US

MOVES = """
ALTER TABLE sources RENAME TO sources_01;
ALTER TABLE states RENAME TO states_01;
ALTER TABLE shifts RENAME TO shifts_01;
DROP INDEX states_by_time;
DROP INDEX shifts_by_time;
{schema}
INSERT INTO sources SELECT tenant, name, clock_us, sends_power, regime, regime_us, "offset", NULL, NULL, 0, 0 FROM sources_01;
INSERT INTO shifts SELECT tenant, source, detected_us, id, onset_us, from_regime, to_regime, to_regime FROM shifts_01;
INSERT INTO states SELECT tenant, source, start_us, energy_j, covered_s, energy_j * entropy_per_k, power_method, regime FROM states_01;
INSERT INTO windows SELECT s.tenant, s.source, s.start_us, s.energy_j, s.covered_s, s.entropy_per_k, s.power_method, s."offset"
  FROM states_01 s JOIN sources o ON o.tenant = s.tenant AND o.name = s.source
  WHERE s.start_us >= o.clock_us - {lateness_us} - ((o.clock_us - {lateness_us}) % {window_us});
DROP TABLE sources_01;
DROP TABLE states_01;
DROP TABLE shifts_01;
"""


def migrate(path: Path, lateness_us: int) -> bool:
    """Bring a state of release 0.1 up to date, in one transaction; returns whether it was one. Nobody else may have it open."""
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        columns = {row[1] for row in conn.execute("PRAGMA table_info(states)")}
        if "entropy_per_k" not in columns:
            return False
        moves = MOVES.format(schema=tables.SCHEMA + store_graph.SCHEMA, lateness_us=lateness_us, window_us=WINDOW_US)
        conn.executescript(f"BEGIN IMMEDIATE;\n{moves}\nCOMMIT;")
    return True
