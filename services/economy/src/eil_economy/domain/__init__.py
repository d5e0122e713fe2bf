"""The exact double-entry ledger. Each module is one concept:

``tokens`` amounts and names · ``errors`` · ``records`` values · ``schema`` tables · ``book`` one recorded transfer ·
``ledger`` transfers, mints, burns · ``holds`` reserve, post, void, expire · ``policies`` grants ·
``leases`` of compute · ``reports`` · ``audit``.

Every writing function works inside a transaction that its caller began (``BEGIN IMMEDIATE``) and will commit; a
``LedgerError`` leaves the database exactly as it was.
"""
