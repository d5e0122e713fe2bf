"""Heat maps of a room from telemetry and few sensors, against OpenFOAM's laplacianFoam.

The task, frozen. A room of 12.8 m x 12.8 m x 3 m, walls at 295.15 K; air of 1206 J/(m³·K), mixed with an eddy diffusivity of 0.06 m²/s.
Three rows of four racks side by side, 0.6 m x 1.2 m, at random places, of 1 to 4 kW each, and six small sources of 50 to 250 W,
0.4 m x 0.4 m, anywhere. The truth is laplacianFoam's steady state on 256², averaged to 64². Given are the walls, the racks' places, their
powers with an error of 5 % (one standard deviation, each its own), the law of the small sources but neither places nor powers, and 32
sensors, one at random in each of 8 x 4 equal parts of the plan, which read their cell of 0.2 m with an error of 0.2 K. Asked is the map.

The prior follows from that and from nothing else: `UncertainHeat` with 5 % of each rack's told power, and n⟨P²⟩ of the small sources
spread evenly. Errors are root mean squares over sites, over the root mean square of the true rise above the walls.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.heat_plate import HeatPlate, UncertainHeat
from eil_diffusion.domain.energies.observed import ObservedGaussian
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from eil_cli.bench.nvp_solvers.foam_case import (
    ADVICE,
    SCHEMES,
    WALLED,
    FoamError,
    field_text,
    installed,
    last_field,
    run_program,
    write_case,
)
from eil_cli.bench.progress import Begin
from eil_cli.bench.report import Measure

Field = NDArray[np.float64]
Draw = Callable[[ObservedGaussian, int, torch.Generator], torch.Tensor]
"""Samples (count, side, side) of an energy at kT = 1."""

EXTENT_M, HEIGHT_M, WALL_K = 12.8, 3.0, 295.15
DIFFUSIVITY_M2_S, AIR_J_PER_M3_K = 0.06, 1206.0
CONDUCTANCE_W_PER_K = DIFFUSIVITY_M2_S * AIR_J_PER_M3_K * HEIGHT_M
FINE, SIDE = 256, 64
ROWS, RACKS_A_ROW, RACK_M, RACK_W = 3, 4, (0.6, 1.2), (1000.0, 4000.0)
SMALL, SMALL_M, SMALL_W = 6, (0.4, 0.4), (50.0, 250.0)
TELEMETRY_ERROR, SENSOR_ERROR_K, SENSORS = 0.05, 0.2, (8, 4)
LAYOUTS, DRAWS = range(20), 256
DEADLINE_S = 120.0
SOLUTION = """
solvers { T { solver PCG; preconditioner DIC; tolerance 1e-10; relTol 0; maxIter 5000; } }
SIMPLE { nNonOrthogonalCorrectors 0; }
"""


@dataclass(frozen=True)
class Source:
    """A block of the floor plan that gives off heat."""

    corner_m: tuple[float, float]
    size_m: tuple[float, float]
    power_w: float

    def spread(self, side: int) -> Field:
        """(side, side) share of its power that each cell takes, by area; sums to 1."""
        edges = np.linspace(0.0, EXTENT_M, side + 1)
        along = [
            np.clip(np.minimum(edges[1:], begin + size) - np.maximum(edges[:-1], begin), 0.0, None) / size
            for begin, size in zip(self.corner_m, self.size_m, strict=True)
        ]
        return np.outer(*along)


@dataclass(frozen=True)
class Room:
    """A layout, its truth and what is told of it."""

    racks: list[Source]
    small: list[Source]
    told_w: Field
    """(racks,) the powers by telemetry."""
    where: NDArray[np.int64]
    """(sensors, 2)."""
    noise_k: Field
    """(sensors,) the sensors' errors."""

    @classmethod
    def drawn(cls, seed: int) -> "Room":
        """A layout at random; places are whole tenths of a metre, so that the fine grid of 128² or 256² meets each edge."""
        rng = np.random.default_rng(seed)
        racks = []
        for row in range(ROWS):
            begin = rng.integers(10, 94), 25 + 32 * row + rng.integers(-8, 9)
            for place in range(RACKS_A_ROW):
                corner = (0.1 * begin[0] + place * RACK_M[0], 0.1 * begin[1])
                racks.append(Source(corner, RACK_M, rng.uniform(*RACK_W)))
        small = [
            Source((0.1 * x, 0.1 * y), SMALL_M, rng.uniform(*SMALL_W)) for x, y in rng.integers(0, 125, size=(SMALL, 2))
        ]
        told = np.array([rack.power_w for rack in racks]) * (1.0 + TELEMETRY_ERROR * rng.standard_normal(len(racks)))
        part = np.array([SIDE // SENSORS[0], SIDE // SENSORS[1]])
        parts = np.stack(np.meshgrid(*map(np.arange, SENSORS), indexing="ij"), -1).reshape(-1, 2)
        where = parts * part + rng.integers(0, part, size=parts.shape)
        return cls(racks, small, told, where, SENSOR_ERROR_K * rng.standard_normal(len(where)))


def heat_measures(begin: Begin) -> tuple[dict[str, Measure], dict[str, dict[str, float]], list[str]]:
    """Errors and calibration of reconstructed heat maps, baselines' errors beside; nothing but a note without OpenFOAM."""
    if not installed():
        return {}, {}, [f"heat maps are left out: {ADVICE}"]
    found: list[dict[str, float]] = []
    step = begin("heat maps", len(LAYOUTS))
    try:
        for seed in LAYOUTS:
            found.append(measure_room(seed))
            step()
    except FoamError as error:
        return {}, {}, [f"heat maps are left out: {error}"]
    table = {name: np.array([row[name] for row in found]) for name in found[0]}
    mean = {name: float(values.mean()) for name, values in table.items()}
    band_se = float(table["band"].std(ddof=1) / np.sqrt(len(found)))
    measures = {
        "heat_map_rmse": Measure(mean["error"], "", 0.05, 0.01),
        "heat_map_rmse_worst": Measure(float(table["error"].max()), ""),
        "heat_map_in_band_90": Measure(mean["band"], ""),
        "heat_map_band_miss": Measure(abs(mean["band"] - 0.9), "", 0.1, 0.03),
        "heat_map_openfoam_steady": Measure(float(table["steady"].max()), "", 0.01, 0.001),
        "heat_map_time": Measure(mean["time"], "s"),
    }
    baselines = {
        name: {"heat_map_rmse": mean[name], "heat_map_rmse_worst": float(table[name].max())} for name in BASELINES
    }
    baselines["laplacianFoam"] = {"heat_map_time": mean["foam_time"]}
    notes = [
        f"heat maps: {len(found)} rooms with {mean['rise']:.1f} K of rise (rms) and {mean['peak']:.0f} K at most; telemetry within 5 %, "
        f"{SENSORS[0] * SENSORS[1]} sensors of {SENSOR_ERROR_K:g} K; error = rms over sites / rms rise, mean over rooms",
        f"heat maps: the band's share has a standard error of {band_se:.3f} over rooms; a posterior standard deviation is "
        f"{mean['spread']:.3f} K on average, the telemetry's alone {mean['prior_spread']:.3f} K; "
        "the band errs where the rooms are not as Gaussian as the prior: their small sources are few and nowhere negative",
        f"heat maps: telemetry alone stays within the gate ({mean['telemetry alone']:.3f}); what the sensors add is the step from there",
        "heat maps leave out: air currents (laplacianFoam only diffuses), sensors smaller than a cell, racks that are not where they are "
        "said to be, and a diffusivity that is not known",
    ]
    return measures, baselines, notes


def measure_room(seed: int, draw: Draw | None = None) -> dict[str, float]:
    """Figures of the layout `seed`; `draw` None is the exact one, by Matheron's rule.

    Raises:
        FoamError: OpenFOAM did not solve it.
    """
    room = Room.drawn(seed)
    fine, foam_s = foam_steady(room, FINE)
    truth = fine.reshape(SIDE, FINE // SIDE, SIDE, FINE // SIDE).mean((1, 3))
    read = truth[tuple(room.where.T)] + room.noise_k
    generator = torch.Generator().manual_seed(seed)
    began_s = time.perf_counter()
    prior = told(room)
    seen = ObservedGaussian(prior, torch.as_tensor(room.where), torch.as_tensor(read), SENSOR_ERROR_K)
    maps = (draw or exact)(seen, DRAWS, generator).numpy()
    low, high = np.quantile(maps, (0.05, 0.95), axis=0)
    seconds = time.perf_counter() - began_s
    rise = float(np.sqrt(np.mean((truth - WALL_K) ** 2)))

    def error(field: Field) -> float:
        return float(np.sqrt(np.mean((field - truth) ** 2))) / rise

    prior_spread = prior.draw(DRAWS, 1.0, generator).std(0)
    guesses = baseline_maps(room, read, prior, float(prior_spread.square().mean()))
    return {
        "error": error(maps.mean(0)),
        "band": float(np.mean((low <= truth) & (truth <= high))),
        "steady": error(plate([(s, s.power_w) for s in room.racks + room.small]).mean.numpy()),
        "time": seconds,
        "foam_time": foam_s,
        "rise": rise,
        "peak": float(truth.max()) - WALL_K,
        "spread": float(maps.std(0).mean()),
        "prior_spread": float(prior_spread.mean()),
    } | {name: error(field) for name, field in guesses.items()}


def exact(energy: ObservedGaussian, count: int, generator: torch.Generator) -> torch.Tensor:
    """Draws by Matheron's rule."""
    return energy.draw(count, 1.0, generator)


def plate(sources: list[tuple[Source, float]], extra_w: float = 0.0) -> HeatPlate:
    """The room at our resolution with these powers [W], and `extra_w` spread over the plan."""
    cell_m2 = (EXTENT_M / SIDE) ** 2
    heat = sum((power_w * source.spread(SIDE) for source, power_w in sources), np.full((SIDE, SIDE), extra_w / SIDE**2))
    return HeatPlate(
        SIDE,
        torch.as_tensor(heat / cell_m2),
        extent_m=EXTENT_M,
        conductance_w_per_k=CONDUCTANCE_W_PER_K,
        set_point_k=WALL_K,
    )


def told(room: Room) -> UncertainHeat:
    """The law of the room's steady states, from what is told of it and before any sensor."""
    low, high = SMALL_W
    square_w2 = (high**2 + high * low + low**2) / 3.0
    patterns = [
        TELEMETRY_ERROR * power_w * rack.spread(SIDE) for rack, power_w in zip(room.racks, room.told_w, strict=True)
    ]
    expected = plate(list(zip(room.racks, room.told_w, strict=True)), SMALL * (low + high) / 2.0)
    return UncertainHeat(expected, float(np.sqrt(SMALL * square_w2)) / SIDE, torch.as_tensor(np.stack(patterns)))


BASELINES = (
    "nearest sensor",
    "inverse distance",
    "spline",
    "spline, walls",
    "free-field kriging",
    "telemetry alone",
    "telemetry + spline",
    "telemetry, Boltzmann prior",
)


def baseline_maps(room: Room, read: Field, prior: UncertainHeat, prior_variance: float) -> dict[str, Field]:
    """Maps by others: of sensors alone, of sensors and walls, of telemetry alone, and of telemetry with the sensors' surprise spread.

    The last takes HeatPlate's own Boltzmann law for the prior, at the kT that gives it the same mean variance [K²].
    """
    step_m = EXTENT_M / SIDE
    sites = (np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), -1).reshape(-1, 2) + 0.5) * step_m
    sensors = (room.where + 0.5) * step_m
    square_m2 = ((sites[:, None] - sensors[None]) ** 2).sum(-1)
    weights = 1.0 / np.maximum(square_m2, (0.5 * step_m) ** 2)
    along = np.linspace(0.0, EXTENT_M, 9)
    walls = np.array([(a, b) for a in along for b in along if {a, b} & {0.0, EXTENT_M}])

    def spline(values: Field, wall: float | None) -> Field:
        places = sensors if wall is None else np.concatenate([sensors, walls])
        values = values if wall is None else np.concatenate([values, np.full(len(walls), wall)])
        return RBFInterpolator(places, values, kernel="thin_plate_spline")(sites).reshape(SIDE, SIDE)

    expected = prior.mean.numpy()
    boltzmann = prior.plate
    kt = prior_variance / boltzmann.site_variance()
    where, values = torch.as_tensor(room.where), torch.as_tensor(read)
    maps = (
        read[square_m2.argmin(1)].reshape(SIDE, SIDE),
        (weights @ read / weights.sum(1)).reshape(SIDE, SIDE),
        spline(read, None),
        spline(read, WALL_K),
        kriged(where, values),
        expected,
        expected + spline(read - expected[tuple(room.where.T)], 0.0),
        ObservedGaussian(boltzmann, where, values, SENSOR_ERROR_K, kt=kt).mean.numpy(),
    )
    return dict(zip(BASELINES, maps, strict=True))


def kriged(where: torch.Tensor, values: torch.Tensor) -> Field:
    """The sensors' mean plus a free field given what they read beyond it; its mass and kT have the highest evidence."""
    level = values.mean()
    best = max(
        (
            (ObservedGaussian(GaussianFreeField(SIDE, mass2), where, values - level, SENSOR_ERROR_K, kt=kt), kt)
            for mass2 in (1e-4, 1e-3, 1e-2, 1e-1)
            for kt in np.geomspace(0.01, 30.0, 10).tolist()
        ),
        key=lambda pair: pair[0].log_evidence(pair[1]),
    )
    return (level + best[0].mean).numpy()


def foam_steady(room: Room, points: int) -> tuple[Field, float]:
    """laplacianFoam's steady temperatures (points, points) [K] and its wall time [s].

    -∇·(D∇T) = P/(ρc·height) on one layer of cells: each source is a set of cells with a `scalarSemiImplicitSource` of that much.

    Raises:
        FoamError: it did not do so.
    """
    depth_m = EXTENT_M / points
    sets, options = [], []
    for number, source in enumerate(room.racks + room.small):
        (x, y), (width, length) = source.corner_m, source.size_m
        box = f"({x:.9g} {y:.9g} -1) ({x + width:.9g} {y + length:.9g} 1)"
        sets.append(
            f"{{ name s{number}; type cellSet; action new; source boxToCell; sourceInfo {{ box {box}; }} box {box}; }}"
        )
        rate = source.power_w / (AIR_J_PER_M3_K * HEIGHT_M) * depth_m
        options.append(
            f"s{number} {{ type scalarSemiImplicitSource; selectionMode cellSet; cellSet s{number}; "
            f"volumeMode absolute; injectionRateSuSp {{ T ({rate:.17g} 0); }} }}"
        )
    files = {
        "constant/transportProperties": f"DT [0 2 -1 0 0 0 0] {DIFFUSIVITY_M2_S:.17g};",
        "constant/fvOptions": "\n".join(options),
        "system/topoSetDict": "actions\n(\n" + "\n".join(sets) + "\n);",
        "system/fvSolution": SOLUTION,
        "system/fvSchemes": SCHEMES.replace("backward", "steadyState"),
    }
    start = field_text("T", np.full((points, points), WALL_K), "[0 0 0 1 0 0 0]", wall=WALL_K)
    with tempfile.TemporaryDirectory(prefix="eil-openfoam-") as name:
        folder = Path(name)
        write_case(folder, points, EXTENT_M, 1.0, 1, files, {"T": start}, WALLED)
        run_program(folder, "blockMesh", DEADLINE_S)
        run_program(folder, "topoSet", DEADLINE_S)
        seconds = run_program(folder, "laplacianFoam", DEADLINE_S)
        return last_field(folder, "T", points), seconds
