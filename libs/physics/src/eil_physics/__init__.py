"""Physics of energy telemetry: energy, entropy, the thermal node, Ψ, Φ and feasibility."""

from eil_physics.autocorrelation import effective_samples_mean, effective_samples_variance, unbiased_rho
from eil_physics.beta import beta_quantile, t_quantile
from eil_physics.criticality import ChiM, chi_m, chi_m_ar1
from eil_physics.distributions import chi2_quantile, chi2_sf
from eil_physics.energy import Energy, Gap, Integral, SampleKind, integrate, integrate_channel
from eil_physics.entropy import (
    EntropyGenerated,
    EntropyMethod,
    entropy_coherence,
    entropy_generated,
    state_entropy,
)
from eil_physics.feasibility import (
    Feasibility,
    field_feasibility,
    fin_lambda_per_m2,
    graph_feasibility,
    node_bounds,
)
from eil_physics.first_law import EnergyFidelity, FirstLaw, energy_fidelity, first_law, residual_u
from eil_physics.graph import ThermalGraph
from eil_physics.information import Psi, psi, psi_x
from eil_physics.normal import normal_cdf
from eil_physics.phi import BOLTZMANN_J_PER_K, phi, phi_ensemble
from eil_physics.thermal import (
    DEFAULT_AMBIENT_K,
    DEFAULT_AMBIENT_U_K,
    QUANTISED_1K_STD_K,
    AmbientSource,
    ThermalNode,
    ThermalWindow,
    observe_window,
)
from eil_physics.thermal_fit import fit_node
from eil_physics.thermal_track import track_window
from eil_physics.verdict import Verdict

__all__ = [
    "BOLTZMANN_J_PER_K",
    "DEFAULT_AMBIENT_K",
    "DEFAULT_AMBIENT_U_K",
    "QUANTISED_1K_STD_K",
    "AmbientSource",
    "ChiM",
    "Energy",
    "EnergyFidelity",
    "EntropyGenerated",
    "EntropyMethod",
    "Feasibility",
    "FirstLaw",
    "Gap",
    "Integral",
    "Psi",
    "SampleKind",
    "ThermalGraph",
    "ThermalNode",
    "ThermalWindow",
    "Verdict",
    "beta_quantile",
    "chi2_quantile",
    "chi2_sf",
    "chi_m",
    "chi_m_ar1",
    "effective_samples_mean",
    "effective_samples_variance",
    "energy_fidelity",
    "entropy_coherence",
    "entropy_generated",
    "field_feasibility",
    "fin_lambda_per_m2",
    "first_law",
    "fit_node",
    "graph_feasibility",
    "integrate",
    "integrate_channel",
    "node_bounds",
    "normal_cdf",
    "observe_window",
    "phi",
    "phi_ensemble",
    "psi",
    "psi_x",
    "residual_u",
    "state_entropy",
    "t_quantile",
    "track_window",
    "unbiased_rho",
]
