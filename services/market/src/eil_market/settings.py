"""Settings of the market service."""

from typing import ClassVar

from eil_mesh.settings import MeshSettings
from pydantic import Field


class MarketSettings(MeshSettings):
    """See MeshSettings for what every service knows."""

    service: ClassVar[str] = "market"

    energy_price_per_kwh: float = Field(0.25, gt=0)
    """Tariff of this site, currency per kWh. The default is an assumption, near what industry pays in Europe; declare your own."""
    currency: str = Field("EUR", pattern="^[A-Z]{3}$")
    """ISO 4217 code of the tariff's currency."""
    energy_per_ceu_j: float = Field(20.0, gt=0)
    """Energy of 1000 inference steps [J]. The default is an assumption, 1 ms of a core at 20 W for each step; declare your measurement."""
    reference_proven_per_pft_j: float = Field(100_000.0, gt=0)
    """Energy that one PFT stands for until the tenant's proofs tell [J]. An assumption."""
    licence_term_ceu: float = Field(1000.0, gt=0)
    """Compute credits of a licence's term, CEU for each MUNT: a million inference steps."""
    demand_window_s: float = Field(300.0, gt=0)
    """Time over which the demand for compute credits is counted [s]."""
    max_trade_ppm: int = Field(20_000, gt=0, le=1_000_000)
    """What one swap may bring in, in millionths of the pool's reserve."""
    quote_s: float = Field(30.0, gt=0)
    """How long a quote is honoured [s]."""
    price_window_s: float = Field(1800.0, gt=0)
    """Time that a pool's price is averaged over where the request does not say [s]."""
    resume_every_s: float = Field(1.0, gt=0)
    """Seconds between looks for operations that were begun and not finished."""
