"""pandapower's Newton–Raphson on the lattice of the power domain."""

import time
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from eil_nvp.domain.fields.power import LINE_Z, TIE_Z, Power, solve
from numpy.typing import NDArray

from .figures import LeftOut, SolverFigure, relative_error

TOLERANCE_MVA = 1e-10
"""Largest mismatch of power at a bus at which Newton–Raphson ends; 1 pu is 1 MVA here."""
WARM_UP_POINTS, WARM_UP_INJECTION = 4, -0.1 + 0.0j
SEED = 1


def pandapower_grid(points: int = 64) -> SolverFigure | LeftOut:
    """The difference between pandapower's voltages and those of the power domain's own fixed point, for injections of that domain.

    Thurner et al., IEEE Trans. Power Syst. 33 (2018). Relative L2 of the complex deviations from 1 pu, which is about the error of the
    less exact of the two. The time is that of the power flow from a flat start; the net is built before, and a small one is solved first.
    """
    name = f"pandapower, {points}² buses"
    if find_spec("pandapower") is None:
        return LeftOut(name, "pandapower is not installed (pip install pandapower)")
    active, reactive = Power().simulate(np.random.default_rng(SEED), 1, 1, points).inputs[0, 0]
    injection = active + 1j * reactive
    _newton_raphson(lattice(np.full((WARM_UP_POINTS, WARM_UP_POINTS), WARM_UP_INJECTION)))
    net = lattice(injection)
    began_s = time.perf_counter()
    try:
        voltage = _newton_raphson(net)
    except import_module("pandapower").LoadflowNotConverged as error:
        return LeftOut(name, f"pandapower's power flow did not converge: {error}")
    seconds = time.perf_counter() - began_s
    error = relative_error(voltage - 1.0, solve(injection).ravel() - 1.0)
    note = f"complex voltage less 1 pu, Newton–Raphson to {TOLERANCE_MVA:g} MVA, against the domain's fixed point"
    return SolverFigure(name, error, seconds, note)


def lattice(injection: NDArray[np.complex128]) -> Any:
    """The net: buses in the order of `injection.ravel()` [pu], lines to their periodic neighbours, ties to one slack bus of 1 pu.

    1 kV and 1 MVA are the base, so an ohm is 1 pu; lines and ties are 1 km without capacitance.
    """
    pandapower = import_module("pandapower")
    net = pandapower.create_empty_network(sn_mva=1.0)
    buses = np.asarray(pandapower.create_buses(net, injection.size, vn_kv=1.0))
    slack = pandapower.create_bus(net, vn_kv=1.0)
    pandapower.create_ext_grid(net, slack, vm_pu=1.0, va_degree=0.0)
    square = buses.reshape(injection.shape)
    for axis in (0, 1):
        _connect(net, buses, np.roll(square, -1, axis).ravel(), LINE_Z)
    _connect(net, np.full_like(buses, slack), buses, TIE_Z)
    power = injection.ravel()
    pandapower.create_sgens(net, buses, p_mw=power.real, q_mvar=power.imag)
    return net


def _connect(net: Any, one: NDArray[np.int64], other: NDArray[np.int64], impedance: complex) -> None:
    import_module("pandapower").create_lines_from_parameters(
        net,
        one,
        other,
        length_km=1.0,
        r_ohm_per_km=impedance.real,
        x_ohm_per_km=impedance.imag,
        c_nf_per_km=0.0,
        max_i_ka=1e6,
    )


def _newton_raphson(net: Any) -> NDArray[np.complex128]:
    """Complex voltages of the lattice's buses [pu]."""
    import_module("pandapower").runpp(net, algorithm="nr", init="flat", tolerance_mva=TOLERANCE_MVA, numba=False)
    found = net.res_bus.iloc[:-1]
    return found.vm_pu.to_numpy() * np.exp(1j * np.deg2rad(found.va_degree.to_numpy()))
