import itertools
import math

import pytest
import torch
from eil_diffusion.domain import QuadraticEnergy, SampledEnergy, energy_gradient, optimise
from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.energies.graph import GraphEnergy
from eil_diffusion.domain.energies.user_quadratic import BoxQuadratic, UserQuadratic, quadratic_to_optimise
from numpy.testing import assert_allclose
from torch import Tensor

EDGES = [(0, 1, 2.0), (1, 2, 0.5), (2, 0, 1.0), (3, 4, 3.0), (0, 1, 1.0), (2, 3, 0.0)]
PULL = [1.0, 0.0, 0.5, 0.0, 2.0]
TARGET = [3.0, 7.0, -1.0, 5.0, 4.0]


def seeded(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def graph() -> GraphEnergy:
    return GraphEnergy(EDGES, PULL, TARGET)


def user(size: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, float, UserQuadratic]:
    root = seeded(seed, size, size)
    matrix, linear = root @ root.T + 0.1 * torch.eye(size, dtype=torch.float64), seeded(seed + 1, size)
    return matrix, linear, -2.5, UserQuadratic(matrix, linear, -2.5)


def indefinite(size: int, seed: int) -> tuple[Tensor, Tensor]:
    root = seeded(seed, size, size)
    return root + root.T, seeded(seed + 100, size)


@pytest.fixture(params=["graph", "user", "box"])
def energy(request: pytest.FixtureRequest) -> Energy:
    box = BoxQuadratic(*indefinite(5, 3), 1.5, lower=-1.0, upper=[1.0, 2.0, 3.0, 0.5, 0.0])
    return {"graph": graph(), "user": user()[3], "box": box}[request.param]


def test_energies_are_their_formulas() -> None:
    x = seeded(7, 3, 5)
    by_hand = sum(0.5 * w * (x[:, i] - x[:, j]) ** 2 for i, j, w in EDGES)
    by_hand = by_hand + sum(0.5 * k * (x[:, i] - h) ** 2 for i, (k, h) in enumerate(zip(PULL, TARGET, strict=True)))
    assert_allclose(graph().energy(x), by_hand, rtol=1e-12)
    matrix, linear, constant, quadratic = user()
    as_given = 0.5 * torch.einsum("bi,ij,bj->b", x, matrix, x) + x @ linear + constant
    assert_allclose(quadratic.energy(x), as_given, rtol=1e-10)
    box = BoxQuadratic(*indefinite(5, 3), 1.5, lower=4.0, upper=6.0)
    matrix, linear = indefinite(5, 3)
    assert_allclose(box.energy(x), 0.5 * torch.einsum("bi,ij,bj->b", x, matrix, x) + x @ linear + 1.5, rtol=1e-10)


def test_gradient_is_the_derivative_of_the_energy(energy: Energy) -> None:
    x = seeded(1, 4, 5)
    assert_allclose(energy.gradient(x), energy_gradient(energy.energy, x), atol=1e-10)


def test_log_z_holds_the_offset_as_numerical_integration_says() -> None:
    quadratic = UserQuadratic([[2.0, 0.5], [0.5, 1.0]], [1.0, -3.0], 0.7)
    axis = torch.linspace(-15.0, 15.0, 301, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)
    for kt in (1.0, 2.0):
        z = float(torch.exp(-quadratic.energy(x) / kt).sum()) * 0.1**2
        assert quadratic.log_z(kt) == pytest.approx(math.log(z), abs=1e-9)
    pair = GraphEnergy([(0, 1, 2.0)], [1.0, 0.5], [4.0, -2.0])
    z = float(torch.exp(-pair.energy(x)).sum()) * 0.1**2
    assert pair.offset > 1
    assert pair.log_z() == pytest.approx(math.log(z), abs=1e-9)


def test_modes_diagonalise_both_energies() -> None:
    for quadratic in (graph(), user()[3]):
        assert isinstance(quadratic, QuadraticEnergy)
        assert isinstance(quadratic, SampledEnergy)
        shift = seeded(2, 3, 5)
        modes = quadratic.to_modes(shift)
        assert_allclose(quadratic.from_modes(modes), shift, atol=1e-10)
        energies = quadratic.offset + 0.5 * (quadratic.eigenvalues * modes**2).sum(1)
        assert_allclose(quadratic.energy(quadratic.mean + shift), energies, rtol=1e-10)
        assert_allclose(quadratic.gradient(quadratic.mean[None]), torch.zeros(1, 5), atol=1e-12)


def test_two_coupled_levels_rest_where_computed_by_hand() -> None:
    # Pulls 1 to 0 and 1 to 3, link 1: (2, -1; -1, 2)x = (0, 3), so x = (1, 2) and E = ½(1 + 1 + 1).
    pair = GraphEnergy([(0, 1, 1.0)], 1.0, [0.0, 3.0], nodes=2)
    assert_allclose(pair.mean, torch.tensor([1.0, 2.0]), atol=1e-14)
    assert pair.offset == pytest.approx(1.5)
    assert GraphEnergy([], 2.0, [1.0, 5.0], nodes=2).offset == 0.0


def test_exact_draws_follow_the_law() -> None:
    matrix, _, _, quadratic = user()
    drawn = quadratic.draw(2000, 1.0, torch.Generator().manual_seed(3))
    energies = quadratic.energy(drawn)
    # Equipartition: N/2 above the offset, with a standard deviation of √(N/2).
    assert abs(float(energies.mean()) - quadratic.offset - 2.5) < 4 * math.sqrt(2.5 / 2000)
    spread = torch.linalg.inv(matrix).diagonal()
    error = (spread / 2000).sqrt()
    assert bool(((drawn.mean(0) - quadratic.mean).abs() < 5 * error).all())
    assert bool(((drawn.var(0) - spread).abs() < 5 * spread * math.sqrt(2 / 1999)).all())


def test_bounds_of_a_definite_energy_hold_and_may_be_negative() -> None:
    matrix, linear, constant, free = user()
    assert free.offset < 0
    assert free.lower_bound(free.mean) == pytest.approx(free.offset, rel=1e-12)
    boxed = UserQuadratic(matrix, linear, constant, lower=0.5, upper=2.0)
    lowest = lowest_in_box(matrix, linear, torch.full((5,), 0.5), torch.full((5,), 2.0)) + constant
    for x in 0.5 + 1.5 * torch.rand(20, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64):
        assert free.offset <= boxed.lower_bound(x) <= lowest + 1e-9


def lowest_in_box(matrix: Tensor, linear: Tensor, lower: Tensor, upper: Tensor) -> float:
    """min ½xᵀQx + bᵀx over a box, exact: a stationary point of one of the 3ⁿ faces is the minimum."""
    best = math.inf
    lower, upper = lower.double(), upper.double()
    for face in itertools.product((0, 1, 2), repeat=len(linear)):
        free = [i for i, where in enumerate(face) if where == 2]
        x = torch.where(torch.tensor(face) == 0, lower, upper)
        x[free] = 0.0
        if free:
            right = -(linear + matrix @ x)[free]
            x[free] = torch.linalg.lstsq(matrix[free][:, free], right).solution
        if bool(((x >= lower - 1e-12) & (x <= upper + 1e-12)).all()):
            best = min(best, float(0.5 * x @ matrix @ x + linear @ x))
    return best


@pytest.mark.parametrize("seed", range(6))
def test_bounds_of_an_indefinite_energy_hold_and_lose_no_more_than_stated(seed: int) -> None:
    matrix, linear = indefinite(4, seed)
    lower, upper = torch.tensor([-1.0, 0.0, 2.0, -3.0]), torch.tensor([1.0, 0.5, 6.0, 3.0])
    boxed = BoxQuadratic(matrix, linear, 10.0, lower=lower, upper=upper)
    lowest = lowest_in_box(matrix, linear, lower, upper) + 10.0
    width = (upper - lower).double()
    lift = -float(torch.linalg.eigvalsh(width[:, None] * matrix * width)[0])
    assert lift > 0
    bound = boxed.lower_bound(boxed.centre)
    assert lowest - lift * 4 / 8 - 1e-6 <= bound <= lowest + 1e-9
    found = optimise(boxed, seed=seed)
    assert found.energy == pytest.approx(lowest, abs=1e-7)


def test_the_bound_is_tight_where_nothing_bends_it_and_knows_no_units() -> None:
    concave = BoxQuadratic([[-1.0, 0.0], [0.0, -100.0]], [0.5, 3.0], lower=[-2.0, -0.2], upper=[2.0, 0.2])
    # (-2, -0.2): -2 - 1 - 2 - 0.6; both coordinates weigh alike in units of the box.
    assert concave.lower_bound(concave.centre) == pytest.approx(-5.6, abs=1e-6)
    matrix, linear = indefinite(4, 1)
    unit = torch.tensor([1.0, 1e3, 1e-3, 50.0], dtype=torch.float64)
    here = BoxQuadratic(matrix, linear, lower=-1.0, upper=1.0)
    there = BoxQuadratic(unit[:, None] * matrix * unit, unit * linear, lower=-1 / unit, upper=1 / unit)
    assert there.lower_bound(there.centre) == pytest.approx(here.lower_bound(here.centre), abs=1e-6)
    fixed = BoxQuadratic([[-1.0]], [1.0], lower=3.0, upper=3.0)
    assert fixed.lower_bound(fixed.centre) == pytest.approx(-1.5)


def test_definite_energies_in_a_box_are_solved_by_either_class() -> None:
    matrix, linear, constant, _ = user()
    boxed = BoxQuadratic(matrix, linear, constant, lower=0.5, upper=2.0)
    lowest = lowest_in_box(matrix, linear, torch.full((5,), 0.5), torch.full((5,), 2.0)) + constant
    assert boxed.lower_bound(boxed.centre) == pytest.approx(lowest, abs=1e-5)
    assert isinstance(quadratic_to_optimise(matrix, linear, constant, lower=0.5, upper=2.0), UserQuadratic)
    assert isinstance(quadratic_to_optimise([[1.0, 2.0], [2.0, 1.0]], lower=0.0, upper=1.0), BoxQuadratic)
    assert not isinstance(boxed, QuadraticEnergy | SampledEnergy)


def test_flat_lists_tensors_and_moves_make_the_same_energy() -> None:
    rows = [[2.0, 0.5], [0.5, 1.0]]
    x = seeded(5, 3, 2)
    one, other = UserQuadratic(rows, 1.0), UserQuadratic([2.0, 0.5, 0.5, 1.0], torch.ones(2))
    assert torch.equal(one.energy(x), other.energy(x))
    for moved in (one.to("meta"), BoxQuadratic(rows, lower=0, upper=1).to("meta")):
        assert moved.matrix.device.type == "meta"
    assert one.matrix.device.type == "cpu"


def test_the_largest_graph_is_built() -> None:
    path = [(i, i + 1, 1.0) for i in range(1023)]
    chain = GraphEnergy(path, [1.0] + [0.0] * 1023)
    # A chain held at one end: det(L + e₀e₀ᵀ) = 1.
    assert chain.log_z() == pytest.approx(512 * math.log(2 * math.pi), abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pull": [1.0, 0.0, 1.0, 0.0, 0.0]}, "nothing pulls node 3"),
        ({"pull": 0.0, "nodes": 5}, "nothing pulls node 0"),
        ({"pull": [1.0, 0.0, 1.0, 0.0, 1.0, 0.0], "target": 0.0}, "nothing pulls node 5"),
        ({"pull": [1.0, -0.5, 1.0, 1.0, 1.0]}, "pull of node 1 is -0.5"),
        ({"pull": [1e-300, 0.0, 0.0, 0.0, 1.0]}, "too weak"),
        ({"pull": 1.0}, "give nodes"),
        ({"pull": [1.0] * 4, "target": 0.0}, "edge 3 is"),
        ({"nodes": 6}, "pull has shape"),
        ({"nodes": 0, "pull": 1.0}, "between 1 and 1024"),
        ({"pull": [1.0] * 1025}, "between 1 and 1024"),
        ({"target": [1.0, 2.0]}, "target has shape"),
        ({"target": [math.nan] * 5}, "target holds NaN"),
        ({"edges": [(0, 0, 1.0)]}, "edge 0 is .* two different nodes"),
        ({"edges": [(0, 1, 1.0), (0, 2, -1.0)]}, "edge 1 is .* weight of zero or more"),
        ({"edges": [(0, 1.5, 1.0)]}, "between 0 and 4"),
        ({"edges": [(-1, 1, 1.0)]}, "between 0 and 4"),
        ({"edges": [(0, 1e300, 1.0)]}, "between 0 and 4"),
        ({"edges": [(0, 1)]}, "rows of two nodes and a weight"),
        ({"edges": [(0, 1, math.inf)]}, "edges holds NaN or infinity"),
        ({"edges": [(0, 1, 1.7e308), (1, 2, 1.7e308)], "pull": [1.0] * 5}, "rescale"),
        ({"lower": 2.0, "upper": 1.0}, "lower 2 lies above upper 1 at coordinate 0"),
    ],
)
def test_bad_graphs_are_refused_with_a_reason(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GraphEnergy(**{"edges": EDGES, "pull": PULL, "target": TARGET, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matrix": [[1.0, 2.0], [2.0, 1.0]]}, "smallest eigenvalue is -1 .* closed on both sides"),
        ({"matrix": [[1.0, 1.0], [1.0, 1.0]]}, "flat or falls"),
        ({"matrix": [[1.0, 0.0], [0.0, 1e-17]]}, "flat or falls"),
        ({"matrix": [[1.0, 0.2], [0.1, 1.0]]}, r"entry \(0, 1\) is 0.2 and \(1, 0\) 0.1"),
        ({"matrix": [1.0, 0.0, 1.0]}, "n rows of n numbers"),
        ({"matrix": [[1.0, 0.0], [0.0]]}, "no table of numbers"),
        ({"matrix": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]}, "n rows of n numbers"),
        ({"matrix": []}, "between 1 and 512"),
        ({"matrix": torch.eye(513)}, "between 1 and 512"),
        ({"matrix": torch.eye(2, dtype=torch.complex128)}, "not complex"),
        ({"matrix": [["a"]]}, "no table of numbers"),
        ({"matrix": [[10**400]]}, "no table of numbers"),
        ({"matrix": [[math.inf]]}, "NaN or infinity"),
        ({"matrix": [[1.7e308, 1.7e308], [1.7e308, 1.7e308]]}, "overflow"),
        ({"matrix": [[1e-300]], "linear": 1e300}, "overflows"),
        ({"linear": [1.0]}, "linear has shape"),
        ({"constant": [1.0, 2.0]}, "constant has shape"),
        ({"constant": math.nan}, "constant holds NaN"),
        ({"lower": [0.0, 3.0], "upper": [1.0, 2.0]}, "at coordinate 1"),
        ({"upper": math.inf}, "upper holds NaN or infinity"),
    ],
)
def test_bad_quadratics_are_refused_with_a_reason(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UserQuadratic(**{"matrix": [[2.0, 0.5], [0.5, 1.0]], **arguments})


def test_indefinite_energies_need_a_closed_box() -> None:
    with pytest.raises(ValueError, match="closed on both sides"):
        quadratic_to_optimise([[-1.0]], lower=0.0)
    with pytest.raises(ValueError, match="give both lower and upper"):
        BoxQuadratic([[-1.0]], lower=0.0, upper=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="overflows inside the box"):
        BoxQuadratic([[-1e200]], lower=1e200, upper=1e201)
