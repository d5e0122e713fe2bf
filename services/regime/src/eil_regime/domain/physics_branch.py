"""What physics says about a source's regime: heat balance, entropy, speed of change and early warning, block by block."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from eil_physics import (
    DEFAULT_AMBIENT_K,
    DEFAULT_AMBIENT_U_K,
    Energy,
    ThermalNode,
    ThermalWindow,
    chi2_quantile,
    chi2_sf,
    entropy_generated,
    first_law,
    phi,
    psi,
)

from eil_regime.domain import codec
from eil_regime.domain.evidence import Indicator, Level, PhysicsEvidence
from eil_regime.domain.slowing import STRETCH, memory, rise

MAX_CHANNELS = 8
WINDOW = 32
"""Blocks in each of the two windows that Ψ compares."""
STRETCHES, MIN_STRETCHES = 16, 4
"""Earlier stretches that are remembered, and how many make a comparison."""
BALANCE_BLOCKS = 16
"""Newest blocks over which heat is balanced: a quarter of an hour of minutes."""
SPEEDS, MIN_SPEEDS = 512, 144
"""Speeds of change that are remembered, and how many must have been seen before one counts as unusual."""
LOOK_EVERY = 2
"""Blocks from one slow look to the next."""
BALANCE_Z, SPEED_Z, WARNING_Z, SECOND_LAW_Z = 4.0, 4.5, 3.5, 4.0
CRITICAL_IMBALANCE = 0.15
"""A heat balance off by more than this is critical: no meter is so wrong, but a fan can be."""
_BALANCE_FLOOR = 0.02 / 3  # the first law tolerates 2 %
_RELATIVE_FLOOR = 1e-3  # smallest deviation believed in, as a share of the level: constants and quantised sensors
_MAX_Z = 8.2  # beyond it the normal tail is smaller than a double's resolution at one
_HOLDS = 3.0  # blocks, at the spacing of the last two, for which evidence speaks of the present
_HEAT, _MEMORY = 10, 6  # figures of a block's heat and of a stretch's memory
_STATE = 1
_DAMAGED = "physics state is damaged: restore an older copy or start the source afresh"
_NORMAL = NormalDist()
_UNKNOWN_NODE = ThermalNode(math.nan, math.nan, DEFAULT_AMBIENT_K, math.inf, math.inf, DEFAULT_AMBIENT_U_K, "default")


@dataclass(frozen=True, slots=True)
class Block:
    """One accounting window, or some rows, of a source that has a power channel."""

    end_s: float
    span_s: float
    means: Mapping[str, float]
    """Mean of each channel over the block; those without a value are left out. The first block says which are followed."""
    energy: Energy
    node: ThermalNode | None = None
    """A node that may judge, frozen before this block."""
    window: ThermalWindow | None = None
    """What the temperature did; None without a node or with a gap."""
    modelled_power: bool = False


class PhysicsBranch:
    """Physics of one source in bounded memory. Not thread-safe; give each source its own.

    Every other block costs one of the slow looks, in turn: Ψ, or the early warning of one channel. The others stand as last seen.
    """

    def __init__(self) -> None:
        self.evidence: PhysicsEvidence | None = None
        """After the newest block; None before the first."""
        self._names: list[str] = []
        self._past = np.zeros((STRETCH, 0))
        self._end_s = -math.inf
        self._blocks = 0
        self._heat: list[list[float]] = []  # of the newest blocks: see _balance
        self._node: tuple[float, float] | None = None  # conductance and time of the node that the heat belongs to
        self._speeds: list[float] = []
        self._speed = [math.nan, 0.0]  # Ψ and z
        self._warnings: list[list[float]] = []  # χ_m and z by channel
        self._memories: list[list[list[float]]] = []  # of each channel's earlier stretches: see `memory`
        self._kept: list[int] = []  # block at which each channel's newest stretch was kept

    @property
    def names(self) -> tuple[str, ...]:
        """Channels that are followed; none before the first block that has some."""
        return tuple(self._names)

    def update(self, block: Block) -> PhysicsEvidence:
        """Take the next block. Raises ValueError, changing nothing, unless it ends later than every earlier one and lasts."""
        if not (math.isfinite(block.end_s) and block.end_s > self._end_s and block.span_s > 0):
            raise ValueError(
                f"a block of {block.span_s} s that ends at {block.end_s} s does not follow {self._end_s} s: "
                "blocks come in order of time, once, and last"
            )
        spacing_s = max(block.span_s, block.end_s - self._end_s) if math.isfinite(self._end_s) else block.span_s
        self._end_s = block.end_s
        self._take(block.means)
        self._look(block.span_s)
        balance, u_residual = self._balance(block)
        entropy, heat = self._entropy(block), self._phi(block)
        speed, warning = self._speed_indicator(), self._warning_indicator()
        level, strongest = _level(entropy, balance, speed, warning)
        self.evidence = PhysicsEvidence(
            block.end_s,
            block.end_s + _HOLDS * spacing_s,
            level,
            strongest.sentence if strongest else "",
            strongest.name if strongest else "",
            entropy,
            balance,
            u_residual,
            speed,
            heat,
            warning,
        )
        return self.evidence

    def _take(self, means: Mapping[str, float]) -> None:
        with np.errstate(over="ignore"):  # what single precision does not hold counts as missing
            finite = {name: single for name, value in means.items() if math.isfinite(single := _single(value))}
        if not self._names:
            self._names = sorted(finite)[:MAX_CHANNELS]
            self._past = np.zeros((STRETCH, len(self._names)))
            self._warnings = [[math.nan, 0.0] for _ in self._names]
            self._memories = [[] for _ in self._names]
            self._kept = [0 for _ in self._names]
        if not self._names:
            return
        # A channel that is missing stands still, which is neither change nor warning.
        row = [finite.get(name, held) for name, held in zip(self._names, self._past[-1].tolist(), strict=True)]
        self._past[:-1] = self._past[1:]
        self._past[-1] = row
        self._blocks += 1

    def _look(self, span_s: float) -> None:
        if not self._names or self._blocks % LOOK_EVERY:
            return
        turn, odd = divmod(self._blocks // LOOK_EVERY, 2)
        if odd:
            self._watch_speed(span_s)
        else:
            self._watch_memory(turn % len(self._names))

    def _watch_memory(self, index: int) -> None:
        if self._blocks < STRETCH:
            return
        now = memory(self._past[:, index])
        if now is None:
            self._warnings[index] = [math.nan, 0.0]
            return
        kept = self._memories[index]
        # The newest kept stretch overlaps with the present one until a whole one has passed.
        self._warnings[index] = [math.exp(now[2]), rise(now, kept[:-1]) if len(kept) > MIN_STRETCHES else 0.0]
        if self._blocks - self._kept[index] >= STRETCH:
            kept.append([_single(figure) for figure in now])
            del kept[:-STRETCHES]
            self._kept[index] = self._blocks

    def _watch_speed(self, span_s: float) -> None:
        if self._blocks < 2 * WINDOW:
            return
        recent = self._past[-2 * WINDOW :]
        floor = _RELATIVE_FLOOR * np.abs(recent).max(axis=0) + 1e-12
        change = psi(recent[:WINDOW], recent[WINDOW:], WINDOW * span_s, noise_floor_std=floor)
        usual = 1.0
        if len(self._speeds) >= MIN_SPEEDS:
            # Empirical null (Efron 2004): what a source does every day, its daily cycle, is no news.
            often = sorted(self._speeds)[math.ceil(0.95 * len(self._speeds)) - 1]
            usual = max(1.0, often / chi2_quantile(0.95, change.degrees))
        known = change.decided and len(self._speeds) >= MIN_SPEEDS
        self._speed = [change.psi_per_s2, _z(chi2_sf(change.statistic / usual, change.degrees)) if known else 0.0]
        self._speeds.append(_single(change.statistic))
        del self._speeds[:-SPEEDS]

    def _balance(self, block: Block) -> tuple[Indicator, float]:
        """Heat balanced over the newest blocks that adjoin and belong to one node, so that the edges' noise is met only once."""
        node, window = block.node, block.window
        if node is None or window is None or block.energy.gaps:
            self._heat, self._node = [], None
            return Indicator("heat balance", math.nan, "1", 0.0, ""), math.nan
        key = (node.conductance_w_per_k, node.frozen_at_s)
        if self._node != key or (self._heat and abs(self._heat[-1][1] - window.start_s) > 1e-3):
            self._heat, self._node = [], key
        self._heat.append(
            [
                window.start_s, window.end_s, window.start_k, window.end_k, window.excess_k_s, window.ambient_k,
                float(window.samples), block.energy.energy_j, block.energy.u_energy_j, block.energy.covered_s,
            ]
        )  # fmt: skip
        del self._heat[:-BALANCE_BLOCKS]
        starts, ends, first_k, last_k, excess, ambient, samples, energies, errors, covered = zip(
            *self._heat, strict=True
        )
        start_s, end_s = starts[0], ends[-1]
        span_s = end_s - start_s
        # The meter's error is one gain for all blocks, so its uncertainties add up.
        energy = Energy(sum(energies), sum(covered), span_s, (), sum(errors))
        ambient_k = sum(ambient) / len(ambient)
        whole = ThermalWindow(
            start_s,
            end_s,
            first_k[0],
            last_k[-1],
            sum(excess) / span_s,
            ambient_k,
            window.sensor_std_k,
            int(sum(samples)),
        )
        law = first_law(node, energy, whole, modelled_power=block.modelled_power)
        if law.verdict == "untested" or law.residual is None or law.u_residual is None:
            return Indicator("heat balance", math.nan, "1", 0.0, law.reason), math.nan
        z = abs(law.residual) / math.hypot(law.u_residual, _BALANCE_FLOOR)
        cause = "power meter or airflow" if abs(law.residual) <= CRITICAL_IMBALANCE else "airflow or an unmetered load"
        sentence = f"heat balance off by {100 * law.residual:+.1f} % ± {100 * law.u_residual:.1f} %: {cause}"
        return Indicator("heat balance", law.residual, "1", z, sentence), law.u_residual

    @staticmethod
    def _entropy(block: Block) -> Indicator:
        generated = entropy_generated(block.node or _UNKNOWN_NODE, block.energy, block.window)
        measured = generated.method == "thermal_node"
        rate = generated.entropy_j_per_k / (block.span_s if measured else block.energy.covered_s)
        z = 0.0
        if generated.verdict != "untested" and generated.u_entropy_j_per_k > 0:
            z = max(0.0, -generated.entropy_j_per_k / generated.u_entropy_j_per_k)
        sentence = f"entropy vanishes at {-rate:.3g} W/K: a sign or a unit of power or temperature is wrong"
        return Indicator("entropy rate", rate, "W/K", z, sentence)

    @staticmethod
    def _phi(block: Block) -> Indicator:
        if block.node is None or block.window is None or not block.node.identified:
            return Indicator("Φ", math.nan, "J/K²", 0.0, "")
        return Indicator("Φ", phi(block.node.capacity_j_per_k, block.window.end_k), "J/K²", 0.0, "")

    def _speed_indicator(self) -> Indicator:
        value, z = self._speed
        sentence = f"{' and '.join(self._names)} together change faster than they usually do (Ψ {value:.2g} s⁻²)"
        return Indicator("speed of change", value, "s⁻²", z, sentence)

    def _warning_indicator(self) -> Indicator:
        if not self._warnings:
            return Indicator("early warning", math.nan, "1", 0.0, "")
        index = max(range(len(self._warnings)), key=lambda k: self._warnings[k][1])
        value, z = self._warnings[index]
        sentence = (
            f"{self._names[index]} swings more and recovers more slowly (χ_m {value:.1f}): it may be about to tip"
        )
        return Indicator("early warning", value, "1", z, sentence)

    def dump(self) -> bytes:
        """The whole state as compact bytes: at most 12 kB."""
        known = min(self._blocks, STRETCH)
        header = {
            "state": _STATE,
            "names": self._names,
            "blocks": self._blocks,
            "kept": self._kept,
            "node": self._node,
            "lengths": [len(self._heat), len(self._speeds), *map(len, self._memories)],
            "evidence": dataclasses.asdict(self.evidence) if self.evidence else None,
        }
        figures = np.array([self._end_s, *self._speed, *(figure for pair in self._warnings for figure in pair)])
        stretches = [stretch for kept in self._memories for stretch in kept]
        singles = [self._past[STRETCH - known :].ravel(), self._speeds, np.array(stretches).ravel()]
        return codec.encode(
            header, [figures, np.array(self._heat), *(np.asarray(part, np.float32) for part in singles)]
        )

    @classmethod
    def load(cls, blob: bytes) -> PhysicsBranch:
        """A branch that goes on exactly where `dump` was taken. Raises ValueError for bytes that are none of ours."""
        branch = cls()
        try:
            header, body = codec.decode(blob)
            if header["state"] != _STATE:
                raise ValueError(f"it has version {header['state']}, this release reads {_STATE}")
            branch._names, branch._blocks, branch._kept = header["names"], header["blocks"], header["kept"]
            branch._node = tuple(header["node"]) if header["node"] else None
            branch.evidence = PhysicsEvidence.of(header["evidence"]) if header["evidence"] else None
            channels, known, lengths = len(branch._names), min(branch._blocks, STRETCH), header["lengths"]
            shapes = ((known, channels), (lengths[1],), (sum(lengths[2:]), _MEMORY))
            figures, heat, past, speeds, stretches = codec.arrays(
                body,
                [np.empty(3 + 2 * channels), np.empty((lengths[0], _HEAT)), *(np.empty(n, np.float32) for n in shapes)],
            )
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
            raise ValueError(_DAMAGED) from error
        branch._past = np.zeros((STRETCH, channels))
        branch._past[STRETCH - known :] = past
        branch._end_s = float(figures[0])
        branch._speed, branch._warnings = figures[1:3].tolist(), figures[3:].reshape(-1, 2).tolist()
        branch._heat, branch._speeds = heat.tolist(), speeds.tolist()
        ends = np.cumsum(lengths[2:])
        branch._memories = [stretches[end - size : end].tolist() for size, end in zip(lengths[2:], ends, strict=True)]
        return branch


def _single(value: float) -> float:
    """Rounded to single precision, as it is saved."""
    return float(np.float32(value))


def _z(p_value: float) -> float:
    return max(0.0, min(_MAX_Z, -_NORMAL.inv_cdf(max(p_value, 1e-16)))) if p_value < 1 else 0.0


def _level(
    entropy: Indicator, balance: Indicator, speed: Indicator, warning: Indicator
) -> tuple[Level, Indicator | None]:
    thresholds = ((balance, BALANCE_Z), (warning, WARNING_Z), (speed, SPEED_Z), (entropy, SECOND_LAW_Z))
    beyond = [(indicator.z / threshold, indicator) for indicator, threshold in thresholds if indicator.z >= threshold]
    if not beyond:
        return "none", None
    imbalance = balance.z >= BALANCE_Z and abs(balance.value) > CRITICAL_IMBALANCE
    critical = imbalance or warning.z >= WARNING_Z
    return "critical" if critical else "drifting", max(beyond, key=lambda item: item[0])[1]
