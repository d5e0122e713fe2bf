"""The exact double-entry ledger. Each module is one concept:

``tokens`` amounts and names · ``errors`` · ``records`` values · ``database`` what is asked of one · ``schema`` tables ·
``book`` one recorded transfer · ``ledger`` transfers, mints, burns · ``holds`` reserve, post, void, expire ·
``formula`` and ``policies`` of mints · ``minter`` claims and bonuses · ``licences`` of models · ``leases`` of compute ·
``reports`` · ``audit``.

Every writing function works inside a transaction that its caller began (``BEGIN IMMEDIATE``) and will commit; a
``LedgerError`` leaves the database exactly as it was.
"""
