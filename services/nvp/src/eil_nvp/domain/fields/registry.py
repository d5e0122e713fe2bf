"""The domains, by name."""

from .burgers import Burgers
from .domain import FieldDomain
from .fluid import Fluid
from .heat import Heat
from .power import Power
from .relaxation import Relaxation
from .wave import Wave

DOMAINS: dict[str, FieldDomain] = {domain.name: domain for domain in (Heat(), Wave(), Fluid(), Power(), Relaxation())}
"""The five domains of the service."""
BENCHMARK: FieldDomain = Burgers()
