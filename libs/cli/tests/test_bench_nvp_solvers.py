"""Trusted solvers beside the field predictors: cases as written, fields as read, and the solvers' own errors where they are installed."""

import math
from pathlib import Path

import numpy as np
import pytest
from eil_cli.bench.nvp_solvers import (
    LeftOut,
    SolverFigure,
    closed_forms,
    foam_case,
    grid,
    openfoam_heat,
    openfoam_heat_step,
    openfoam_taylor_green,
    pandapower_grid,
)
from eil_cli.bench.nvp_solvers.closed_forms import decayed, taylor_green
from eil_cli.bench.nvp_solvers.figures import relative_error
from eil_cli.bench.nvp_solvers.foam_case import FoamError, field_text, last_field, read_field, run_program, write_case
from eil_nvp.domain.fields.heat import DIFFUSIVITY, Heat

needs_openfoam = pytest.mark.skipif(not foam_case.installed(), reason=foam_case.ADVICE)


def error_of(outcome: SolverFigure | LeftOut) -> float:
    assert isinstance(outcome, SolverFigure), outcome
    assert outcome.seconds > 0.0
    return outcome.error


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3)])
def test_a_field_is_read_as_it_was_written(shape):
    field = np.random.default_rng(1).normal(size=shape)
    np.testing.assert_array_equal(read_field(field_text("T", field, "[0 0 0 1 0 0 0]"), 3), field)


def test_cells_run_fastest_along_x():
    x_times_ten_plus_y = np.array([[0.0, 1.0], [10.0, 11.0]])
    lines = field_text("T", x_times_ten_plus_y, "[0 0 0 1 0 0 0]").splitlines()
    first = lines.index("(") + 1
    assert [float(line) for line in lines[first : first + 4]] == [0.0, 10.0, 1.0, 11.0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no list"),
        ("internalField uniform 0;", "no list"),
        ("internalField uniform (0 0 0);", "no list"),
        ("internalField nonuniform List<scalar>\n3\n(\n1\n2\n3\n)\n;", "3 values"),
        ("internalField nonuniform List<scalar>\n4\n(\n1\n2\n3\n)\n;", "3 values"),
        ("internalField nonuniform List<scalar>\n4\n(\n1\n2\n3\nnan\n)\n;", "not finite"),
    ],
)
def test_a_field_that_is_not_as_expected_is_refused(text, complaint):
    with pytest.raises(FoamError, match=complaint):
        read_field(text, 2)


def test_a_case_holds_mesh_times_and_fields(tmp_path: Path):
    write_case(tmp_path, 16, 2.0, 5.0, 50, {"constant/transportProperties": "DT 1;"}, {"T": "the start"})
    mesh, control = (tmp_path / f"system/{name}" for name in ("blockMeshDict", "controlDict"))
    assert "(16 16 1)" in mesh.read_text()
    assert "(2 2 0.125)" in mesh.read_text()
    assert "endTime 5; deltaT 0.10000000000000001;" in control.read_text()
    assert "object transportProperties;" in (tmp_path / "constant/transportProperties").read_text()
    assert (tmp_path / "0/T").read_text() == "the start"
    assert not any("$" in path.read_text() for path in tmp_path.rglob("*") if path.is_file())


def test_the_last_field_is_that_of_the_last_time(tmp_path: Path):
    for name, value in (("0", 0.0), ("2.5", 1.0), ("10", 2.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "T").write_text(field_text("T", np.full((2, 2), value), "[0 0 0 1 0 0 0]"))
    (tmp_path / "system").mkdir()
    assert (last_field(tmp_path, "T", 2) == 2.0).all()
    with pytest.raises(FoamError, match="wrote no U"):
        last_field(tmp_path, "U", 2)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (
            "echo '--> FOAM FATAL ERROR:'; echo 'no such scheme' >&2; exit 1",
            "ended with 1: --> FOAM FATAL ERROR: no such scheme",
        ),
        ("exit 3", "ended with 3: it said nothing"),
        ("exec sleep 60", "had not ended after 1 s"),
    ],
)
def test_a_program_that_fails_or_hangs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script, complaint):
    (tmp_path / "bashrc").touch()
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(foam_case, "BASHRC", tmp_path / "bashrc")
    with pytest.raises(FoamError, match=complaint):
        run_program(tmp_path, str(program), 1.0)


def test_what_is_not_installed_is_left_out_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(foam_case, "BASHRC", tmp_path / "bashrc")
    monkeypatch.setattr(grid, "find_spec", lambda name: None)
    for measure in (openfoam_heat, openfoam_heat_step, openfoam_taylor_green):
        outcome = measure(32)
        assert isinstance(outcome, LeftOut)
        assert "apt install openfoam" in outcome.reason
    assert pandapower_grid(24) == LeftOut(
        "pandapower, 24² buses", "pandapower is not installed (pip install pandapower)"
    )


def test_relative_error_is_over_all_entries():
    assert relative_error(np.array([3.0, 4.0 + 1.0j]), np.array([3.0, 4.0])) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="shape"):
        relative_error(np.zeros((2, 1)), np.zeros(2))


def test_decay_of_a_mode_is_its_own():
    angle = 2.0 * math.pi * np.arange(16) / 16
    field = 1.0 + np.cos(angle + 0.3)[:, None] * np.sin(3.0 * angle)[None, :]
    rate = DIFFUSIVITY * (2.0 * math.pi / Heat.extent) ** 2 * (1 + 9)
    np.testing.assert_allclose(
        decayed(field, Heat.extent, 7.0), 1.0 + (field - 1.0) * math.exp(-rate * 7.0), rtol=1e-12
    )


def test_vortices_have_no_divergence_and_are_balanced_by_their_pressure():
    """Momentum's equation without time and viscosity: (u·∇)u = −∇p, by spectral derivatives."""
    velocity, pressure = taylor_green(16)
    k = np.fft.fftfreq(16, 1.0 / 16)

    def slopes(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        spectrum = np.fft.fft2(field)
        return np.fft.ifft2(1j * k[:, None] * spectrum).real, np.fft.ifft2(1j * k[None, :] * spectrum).real

    u, v = velocity[..., 0], velocity[..., 1]
    (u_x, u_y), (v_x, v_y), (p_x, p_y) = slopes(u), slopes(v), slopes(pressure)
    np.testing.assert_allclose(u_x + v_y, 0.0, atol=1e-12)
    np.testing.assert_allclose(u * u_x + v * u_y, -p_x, atol=1e-12)
    np.testing.assert_allclose(u * v_x + v * v_y, -p_y, atol=1e-12)


def test_our_own_truth_meets_its_closed_forms():
    figures = closed_forms()
    assert len({figure.name for figure in figures}) == 4
    assert all(error_of(figure) < 1e-12 for figure in figures), figures


@needs_openfoam
def test_laplacian_foam_errs_by_the_second_order_of_the_grid():
    coarse, fine = error_of(openfoam_heat(16)), error_of(openfoam_heat(32))
    assert fine == pytest.approx(math.log(2.0) * (2.0 * math.pi / 32) ** 2 / 12, rel=0.05)
    assert coarse / fine == pytest.approx(4.0, rel=0.05)


@needs_openfoam
def test_laplacian_foam_on_the_domain_and_ico_foam_come_close():
    assert error_of(openfoam_heat_step(48)) < 0.02
    assert error_of(openfoam_taylor_green(32)) < 0.02


def test_pandapower_agrees_with_the_domain():
    pytest.importorskip("pandapower", reason="pandapower is not installed")
    assert error_of(pandapower_grid(24)) < 1e-9
