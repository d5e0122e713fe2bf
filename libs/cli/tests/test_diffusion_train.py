"""`eil diffusion`: what is trained can be read, is the same again, and goes on where it was; what cannot be is said."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest
import torch
from eil.atlas.v1 import archive_pb2
from eil_cli.diffusion import telemetry_set as loading
from eil_cli.diffusion.video import HOLD, SHOWN, filmed
from eil_cli.endpoint import Endpoint
from eil_cli.main import build
from eil_cli.terminal import Failure
from eil_diffusion.domain.energy_diffusion_core import datasets, model, training
from eil_diffusion.domain.energy_diffusion_core.fidelity import evolution
from eil_diffusion.domain.energy_diffusion_core.physics_sets import SETS
from eil_mesh.clock import from_us
from typer.testing import CliRunner

FIELD, RACKS = "gaussian_free_field", "rack_heat_map"
SMALL = ("--fields", "64", "--updates", "5", "--width", "4")
STEPS = 60
"""Of the reverse process that is filmed."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors are slower on several threads, and far slower where the cores are shared."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def eil(*arguments: str):
    return CliRunner().invoke(build(), ["diffusion", *arguments])


def train(folder: Path, *arguments: str, video: bool = False):
    return eil("train", *arguments, *SMALL, "--out", str(folder), "--video" if video else "--no-video", "--json")


def told(said) -> Any:
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with everything that training one model makes, and what was said of it."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, told(train(folder, FIELD, video=True))[FIELD]


def film_of(path: Path) -> tuple[list[np.ndarray], tuple[int, int]]:
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)], (stream.width, stream.height)


def test_a_model_is_trained_with_its_data_its_figures_and_its_film(trained):
    folder, said = trained
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        f"diffusion_checkpoints/{FIELD}.ckpt",
        f"diffusion_sets/{FIELD}.h5",
        "metrics/energy_fidelity.json",
        "visuals/entropy_evolution.mp4",
    ]
    with h5py.File(folder / f"diffusion_sets/{FIELD}.h5") as file:
        fields, about = np.asarray(file["fields"]), json.loads(str(file.attrs["about"]))
    assert fields.shape == (64, 1, 32, 32)
    assert about["energy"] == {"name": FIELD, "side": 32, "mass2": 0.1}
    assert np.array_equal(fields, SETS[FIELD](64, 0).fields.numpy())
    content = Path(said["checkpoint"]).read_bytes()
    card = model.loads(content).card
    assert (card.name, card.width, card.networked) == (FIELD, 4, said["network"])
    assert card.data_digest == said["data_digest"] == about["digest"]
    assert said["digest"] == model.digest(content)
    assert json.loads((folder / "metrics/energy_fidelity.json").read_text()) == {FIELD: said}
    assert abs(said["drift_percent"]) < 5 * said["drift_se_percent"]


def test_the_film_has_a_frame_a_step_and_moves(trained):
    frames, (width, height) = film_of(trained[0] / "visuals/entropy_evolution.mp4")
    assert len(frames) == STEPS + HOLD
    assert width % 2 == height % 2 == 0
    assert all(frame.shape == (height, width, 3) for frame in frames)
    apart = [float(np.abs(frame.astype(float) - frames[-1]).mean()) for frame in frames]
    assert apart[0] > apart[STEPS // 2] > 5 * apart[STEPS]
    assert apart[STEPS] < 1


@pytest.mark.parametrize("name", [FIELD, "phi4"])
def test_what_is_filmed_is_the_process_itself_from_noise_to_structure(trained, name: str):
    shipped = resources.files("eil_diffusion").joinpath("checkpoints", f"{name}.ckpt")
    content = Path(trained[1]["checkpoint"]).read_bytes() if name == FIELD else shipped.read_bytes()
    learned = model.loads(content)
    side = dict(learned.card.energy)["side"]
    nothing = datasets.Provenance(name, learned.card.energy, 1.0, 0, "")
    made = datasets.FieldSet(torch.zeros(SHOWN, 1, side, side, dtype=torch.float64), ("φ",), nothing)
    film = filmed(learned, made)
    assert learned.card.networked is (name == "phi4")  # both kinds are filmed
    assert torch.equal(film.evolution.fields, evolution(learned, made, shown=SHOWN).fields)
    assert film.noisy.shape == film.evolution.fields.shape == (STEPS, SHOWN, side, side)
    assert film.name == "φ"

    law = learned.on((1, side, side)).law(None)
    first = ((film.noisy[0] - law.mean[:, 0]) / law.scale).flatten(1)
    few = first.numel()  # white, of unit spread: five standard errors
    assert abs(float(first.square().mean()) - 1) < 5 * (2 / few) ** 0.5
    assert abs(float((first * first.roll(1, 1)).mean())) < 5 / few**0.5

    def likeness(step: int) -> float:
        return float(
            torch.corrcoef(torch.stack([film.noisy[step].flatten(), film.evolution.fields[-1].flatten()]))[0, 1]
        )

    assert abs(likeness(0)) < 0.15
    assert likeness(STEPS // 2) < likeness(STEPS - 1)
    assert likeness(STEPS - 1) > 0.99


def test_the_same_again_is_the_same_and_other_sets_are_made_anew(tmp_path: Path):
    made = tmp_path / f"diffusion_sets/{FIELD}.h5"
    once, age = told(train(tmp_path, FIELD))[FIELD], made.stat().st_mtime_ns
    again = told(train(tmp_path, FIELD))[FIELD]
    assert (again["digest"], again["data_digest"]) == (once["digest"], once["data_digest"])
    assert made.stat().st_mtime_ns == age
    other = told(train(tmp_path, FIELD, "--seed", "1"))[FIELD]
    assert datasets.read(made).about.seed == 1
    assert other["data_digest"] == datasets.read(made).digest() != once["data_digest"]


def test_models_that_are_not_trained_keep_their_figures(tmp_path: Path):
    first = told(train(tmp_path, FIELD))
    second = told(train(tmp_path, RACKS))
    assert list(second) == [RACKS]
    assert json.loads((tmp_path / "metrics/energy_fidelity.json").read_text()) == first | second
    assert {path.stem for path in (tmp_path / "diffusion_checkpoints").iterdir()} == {FIELD, RACKS}


def test_an_interrupted_training_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained):
    calls, loss = [], training._loss

    def interrupted(*given):
        calls.append(given)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(*given)

    monkeypatch.setattr(training, "KEEP_EVERY", 2)
    monkeypatch.setattr(training, "_loss", interrupted)
    checkpoint = tmp_path / f"diffusion_checkpoints/{FIELD}.ckpt"
    assert train(tmp_path, FIELD).exit_code != 0
    assert checkpoint.with_suffix(".training").exists()
    assert not checkpoint.exists()
    assert told(train(tmp_path, FIELD))[FIELD]["digest"] == trained[1]["digest"]
    assert len(calls) == 4 + 3, "of five updates two were kept"
    assert not checkpoint.with_suffix(".training").exists()


def test_a_set_of_ones_own_is_learned_under_its_own_name(tmp_path: Path, trained):
    given = trained[0] / f"diffusion_sets/{FIELD}.h5"
    said = told(train(tmp_path, "mine", "--data", str(given)))
    assert list(said) == ["mine"]
    assert said["mine"]["data_digest"] == trained[1]["data_digest"]
    card = model.load(tmp_path / "diffusion_checkpoints/mine.ckpt").card
    assert (card.name, dict(card.energy)["name"]) == ("mine", FIELD)
    assert not (tmp_path / "diffusion_sets").exists()


def test_the_table_names_the_set_and_what_comes_next(tmp_path: Path):
    said = eil("train", FIELD, *SMALL, "--out", str(tmp_path), "--no-video")
    assert said.exit_code == 0, said.output
    for part in (FIELD, "drift", f"{tmp_path / 'diffusion_checkpoints'}", "`eil diffusion publish FILE`"):
        assert part in said.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "plasma"), 2, "no such set; there are gaussian_free_field, phi4, rack_heat_map, telemetry, or all"),
        (("train", "telemetry"), 2, "--source, --channel, --start and --end"),
        (("train", "mine", "--data", "BROKEN"), 1, "is no set of fields"),
        (("train", "mine", "--data", "FEW"), 1, "3 fields are too few to learn from"),
        (("train", "mine", "--data", "NAN"), 1, "not finite"),
        (("train", "mine", "phi4", "--data", "FEW"), 2, "name one model"),
        (("train", "all", "--data", "FEW"), 2, "name one model"),
        (("train", "../mine", "--data", "FEW"), 2, "cannot name a model"),
        (("train", FIELD, "--device", "nowhere"), 2, "there is no device nowhere"),
        (("train", FIELD, "--out", "BROKEN/below"), 1, "cannot be read or written"),
        (("publish", "BROKEN"), 1, "no checkpoint of a diffusion model"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str, capfd):
    few = datasets.FieldSet(
        torch.zeros(3, 1, 8, 8, dtype=torch.float64), ("φ",), datasets.Provenance("x", {}, 1, 0, "")
    )
    datasets.write(tmp_path / "FEW", few)
    datasets.write(tmp_path / "NAN", replace(few, fields=torch.full((64, 1, 8, 8), torch.nan, dtype=torch.float64)))
    (tmp_path / "BROKEN").write_bytes(b"nothing")
    given = [str(tmp_path / one) if one.isupper() or one.startswith("BROKEN") else one for one in arguments]
    # Nowhere is a mesh: whoever asked one would end with 3.
    rest = ["--out", str(tmp_path)] if arguments[0] == "train" and "--out" not in arguments else []
    said = eil(*given, *rest, "--state", str(tmp_path / "none"))
    assert said.exit_code == code, said.output
    assert message in said.output + "".join(capfd.readouterr())
    assert not (tmp_path / "diffusion_checkpoints").exists() or not list(tmp_path.glob("diffusion_checkpoints/*"))


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        (f"diffusion_sets/{FIELD}.h5", b"nothing", "is no set of fields"),
        ("metrics/energy_fidelity.json", b"{", "move it away"),
    ],
)
def test_files_that_are_there_and_broken_are_named_before_anything_is_trained(
    tmp_path: Path, path: str, content: bytes, message: str, capfd
):
    file = tmp_path / path
    file.parent.mkdir()
    file.write_bytes(content)
    said = train(tmp_path, FIELD)
    assert said.exit_code == 1
    text = said.output + "".join(capfd.readouterr())
    assert str(file) in text
    assert message in text
    assert file.read_bytes() == content


def test_a_set_that_was_altered_is_not_learned(tmp_path: Path, trained, capfd):
    file = tmp_path / "set.h5"
    file.write_bytes((trained[0] / f"diffusion_sets/{FIELD}.h5").read_bytes())
    with h5py.File(file, "r+") as opened:
        opened["fields"][0, 0, 0, 0] = 9.0  # pyright: ignore[reportIndexIssue]
    said = train(tmp_path, "mine", "--data", str(file))
    assert said.exit_code == 1
    assert "was altered" in said.output + "".join(capfd.readouterr())


def test_without_a_mesh_publishing_says_how_to_start_one(tmp_path: Path, trained, capfd):
    said = eil("publish", trained[1]["checkpoint"], "--state", str(tmp_path / "none"))
    assert said.exit_code == 3
    assert "eil up" in said.output + "".join(capfd.readouterr())


HOUR_US = 3_600_000_000
T0 = 19_000 * 24 * HOUR_US
HOURS = 6
MINUTES = np.arange(HOURS * 60)
COLUMNS = {
    "power_draw": 100.0 + 10.0 * np.sin(MINUTES / 10),
    "cpu_usage": np.where((MINUTES > 99) & (MINUTES < 110), np.nan, np.cos(MINUTES / 25)),
}
SPAN = ("--start", "2022-01-08T00:00:00Z", "--end", "2022-01-08T06:00:00Z")


class FakeArchive:
    """Six hours of one source, a row a minute; ten rows of `cpu_usage` are missing."""

    def __enter__(self) -> "FakeArchive":
        return self

    def __exit__(self, *_: object) -> None: ...

    def segments(self, source: str, start_us: int, end_us: int) -> Iterator[archive_pb2.SegmentInfo]:
        assert (source, start_us, end_us) == ("dc", T0, T0 + HOURS * HOUR_US)
        for hour in range(HOURS):
            found = archive_pb2.SegmentInfo(source=source, hour=from_us(T0 + hour * HOUR_US), content=f"{hour:064x}")
            for name, column in COLUMNS.items():
                there = column[60 * hour : 60 * hour + 60]
                there = there[np.isfinite(there)]
                found.channels.add(name=name, count=there.size, mean=there.mean(), deviation=there.std())
            yield found

    def samples(self, source: str, start_us: int, end_us: int, channels: Sequence[str] = ()):
        times = T0 + MINUTES * 60_000_000
        chosen = (times >= start_us) & (times < end_us)
        yield times[chosen], {name: COLUMNS[name][chosen] for name in channels}


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """Of a mesh whose archive is the fake one; its state folder is tmp_path."""

    class At:
        @staticmethod
        def at(endpoint: Endpoint) -> FakeArchive:
            return FakeArchive()

    monkeypatch.setattr(loading, "Archive", At)
    found = Endpoint("https://127.0.0.1:1", "127.0.0.1:1", str(tmp_path / "ca.crt"), "token", {}, 1)
    found.save(tmp_path)
    return found


def windows_of(endpoint: Endpoint, channels: Sequence[str], length: int) -> datasets.FieldSet:
    return loading.telemetry_set(endpoint, ["dc"], T0, T0 + HOURS * HOUR_US, channels, length, seed=3)


def test_windows_of_telemetry_are_fields_and_those_with_missing_values_are_left_out(endpoint: Endpoint):
    made = windows_of(endpoint, ["cpu_usage", "power_draw"], 16)
    standard = [(column - np.nanmean(column)) / np.nanstd(column) for column in (COLUMNS[name] for name in made.names)]
    rows = [slice(begin, begin + 16) for begin in range(0, MINUTES.size - 15, 8)]
    whole = [chosen for chosen in rows if np.isfinite(COLUMNS["cpu_usage"][chosen]).all()]
    assert len(made) == len(whole) == len(rows) - 3
    assert made.fields.shape == (len(whole), 2, 16, 1)
    assert not made.about.periodic
    assert dict(made.about.energy) == {}
    assert made.signal_names == ("day_cos", "day_sin")
    assert made.signals is not None
    # Windows come in the order of their seed: each is found again by the hour that stands beside it.
    angle = torch.atan2(made.signals[:, 1], made.signals[:, 0]).numpy()
    begins = np.rint(angle / (2 * np.pi) * 24 * 60).astype(int)
    assert sorted(begins) == [chosen.start for chosen in whole]
    for begin, window in zip(begins, made.fields.numpy(), strict=True):
        expected = np.stack([column[begin : begin + 16] for column in standard])
        np.testing.assert_allclose(window[..., 0], expected, rtol=1e-5, atol=1e-5)


def test_too_few_windows_and_channels_without_samples_fail_with_advice(endpoint: Endpoint):
    with pytest.raises(Failure, match=r"3 whole windows of 120 rows of cpu_usage; at least 16 .* shorter windows"):
        windows_of(endpoint, ["cpu_usage"], 120)
    with pytest.raises(Failure, match=r"'unheard' has no samples .* `eil atlas segments`"):
        windows_of(endpoint, ["unheard"], 16)


def test_telemetry_is_learned_from_the_archive(tmp_path: Path, endpoint: Endpoint):
    of = ("--source", "dc", "--channel", "power_draw", "--channel", "cpu_usage", *SPAN, "--length", "16")
    said = told(train(tmp_path, "telemetry", *of, "--state", str(tmp_path), video=True))["telemetry"]
    card = model.load(tmp_path / "diffusion_checkpoints/telemetry.ckpt").card
    assert card.fields == ("power_draw", "cpu_usage")
    assert (dict(card.energy), card.periodic) == ({}, False)
    assert said["data_digest"] == datasets.read(tmp_path / "diffusion_sets/telemetry.h5").digest()
    assert {"drift_percent", "denoising_gain"} < set(said)
    assert "log_z" not in said
    assert len(film_of(tmp_path / "visuals/entropy_evolution.mp4")[0]) == STEPS + HOLD
