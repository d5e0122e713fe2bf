"""Compiled moves of Ising spins that leave exp(βΣ_⟨ij⟩ sᵢsⱼ) as it is: Swendsen and Wang's clusters, and single spins.

A lattice of side x side sites is a row of N = side² bytes, periodic. Every function that needs chance takes and gives back the
state of its random numbers, so nothing is shared and the interpreter's lock is not held.
"""

import math

import numpy as np
from numba import njit

_GOLDEN, _FIRST, _SECOND = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


@njit(cache=True, nogil=True)
def anneal_chains(spins, states, log_weights, energies, betas, side, clusters):  # pragma: no cover
    """Anneal in place: `spins` (n, N) int8 of ±1, `states` (n,) uint64 of random numbers, `log_weights` (n,) float64.

    Per pair of neighbouring `betas` (steps + 1,) float64 the energies before the move go to `energies` (n, steps) int32 and
    their weight is added; then the spins move at the second. Chain by chain, so that a lattice stays in the nearest cache.
    `clusters`: whether a step's first sweep is Swendsen and Wang's; else it is a heat bath, as the second always is.
    """
    sites = side * side
    parent = np.empty(sites, np.int32)
    bonds = np.empty(2 * sites, np.bool_)
    todo = np.empty(sites, np.int32)
    noise = np.empty(sites, np.uint64)
    up = np.empty(5, np.uint32)
    for chain in range(len(spins)):
        s, state, log_weight = spins[chain], states[chain], 0.0
        for k in range(len(betas) - 1):
            beta = betas[k + 1]
            energy = 2 * sites - 2 * _aligned(s, side)
            energies[chain, k] = energy
            log_weight -= (beta - betas[k]) * energy
            for i in range(5):
                up[i] = _threshold(1 / (1 + math.exp(-4 * beta * (i - 2))))
            if clusters:
                state = _swendsen_wang(s, side, _threshold(-math.expm1(-2 * beta)), parent, bonds, todo, noise, state)
            else:
                state = _heat_bath(s, side, up, noise, state)
            state = _heat_bath(s, side, up, noise, state)
        states[chain] = state
        log_weights[chain] += log_weight


@njit(cache=True, nogil=True)
def _threshold(probability):  # pragma: no cover
    """The number below which a random number of 32 bits falls with this probability."""
    return np.uint32(min(4294967296.0 * probability, 4294967295.0))


@njit(cache=True, nogil=True)
def _fill(noise, state):  # pragma: no cover
    """SplitMix64 (Steele, Lea & Flood, 2014) by its counter, so that the compiler may take several numbers at once."""
    for i in range(len(noise)):
        z = state + _GOLDEN * np.uint64(i + 1)
        z = (z ^ (z >> np.uint64(30))) * _FIRST
        z = (z ^ (z >> np.uint64(27))) * _SECOND
        noise[i] = z ^ (z >> np.uint64(31))
    return state + _GOLDEN * np.uint64(len(noise))


@njit(cache=True, nogil=True)
def _aligned(s, side):  # pragma: no cover
    """Bonds between equal spins."""
    sites, count = side * side, 0
    for row in range(0, sites, side):
        for i in range(row, row + side - 1):
            count += s[i] == s[i + 1]
        count += s[row] == s[row + side - 1]
    for i in range(sites - side):
        count += s[i] == s[i + side]
    for i in range(side):
        count += s[i] == s[sites - side + i]
    return count


@njit(cache=True, nogil=True)
def _heat_bath(s, side, up, noise, state):  # pragma: no cover
    """Every spin once, one colour of the checkerboard after the other, from its law given its neighbours."""
    sites = side * side
    state = _fill(noise[: (sites + 1) // 2], state)
    chance, k = noise.view(np.uint32), 0
    for colour in range(2):
        for row in range(side):
            here, above, below = row * side, (row - 1) % side * side, (row + 1) % side * side
            for column in range((row + colour) & 1, side, 2):
                left = column - 1 if column > 0 else side - 1
                right = column + 1 if column + 1 < side else 0
                around = s[above + column] + s[below + column] + s[here + left] + s[here + right]
                s[here + column] = 2 * (chance[k] < up[(around + 4) >> 1]) - 1
                k += 1
    return state


@njit(cache=True, nogil=True)
def _root(parent, i):  # pragma: no cover
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def _join(parent, i, j):  # pragma: no cover
    """The smaller root becomes the parent, so that one ascending pass flattens the forest."""
    i, j = _root(parent, i), _root(parent, j)
    if i < j:
        parent[j] = i
    else:
        parent[i] = j


@njit(cache=True, nogil=True)
def _swendsen_wang(s, side, bond, parent, bonds, todo, noise, state):  # pragma: no cover
    """Bonds between equal spins with probability 1 - exp(-2β), then a fair coin for each cluster.

    bonds[i] leads from i to its left, bonds[sites + i] to the site above, both around the edges.
    """
    sites = side * side
    state = _fill(noise, state)
    chance = noise.view(np.uint32)
    for i in range(1, sites):
        bonds[i] = (s[i] == s[i - 1]) & (chance[i] < bond)
    for i in range(0, sites, side):
        bonds[i] = (s[i] == s[i + side - 1]) & (chance[i] < bond)
    for i in range(side, sites):
        bonds[sites + i] = (s[i] == s[i - side]) & (chance[sites + i] < bond)
    for i in range(side):
        bonds[sites + i] = (s[i] == s[sites - side + i]) & (chance[sites + i] < bond)
    for row in range(0, sites, side):
        label = row
        for i in range(row, row + side):
            label = label if bonds[i] and i > row else i
            parent[i] = label
    # Listed first, as a branch on chance costs more than the work; a bond beside another that joins the same two runs is left out.
    count = 0
    for i in range(side, sites):
        todo[count] = i
        new = (parent[i] == i) | (parent[i - side] == i - side) | (not bonds[sites + i - 1])
        count += bonds[sites + i] & new
    for row in range(0, sites, side):
        if bonds[row]:
            _join(parent, row, row + side - 1)
    for k in range(count):
        _join(parent, todo[k], todo[k] - side)
    for i in range(side):
        if bonds[sites + i]:
            _join(parent, i, sites - side + i)
    state = _fill(noise[: (sites + 63) // 64], state)
    for i in range(sites):
        root = parent[parent[i]]
        parent[i] = root
        s[i] = np.int8(1) - np.int8(2) * np.int8((noise[root // 64] >> np.uint64(root % 64)) & np.uint64(1))
    return state
