"""Market mathematics: ``pool`` (exchange in integers), ``pricing`` (posted prices), ``reputation`` (of proofs)."""
