"""What the chart tells the services they know, and what it lets people tell them, too."""

import importlib
import json

import pytest
from eil_gateway.settings import GatewaySettings
from eil_mesh.services import SERVICES
from eil_mesh.settings import MeshSettings, ProcessSettings, load_settings

from .helm import CHART, FULL, TRIAL, named

EVERYBODY = [*SERVICES, "gateway"]


def settings_of(name: str) -> type[ProcessSettings]:
    """A service's own class of settings."""
    if name == "gateway":
        return GatewaySettings
    known = vars(importlib.import_module(f"eil_{name}.settings")).values()
    return next(one for one in known if isinstance(one, type) and getattr(one, "service", "") == name)


def told(name: str, *values: str) -> dict[str, str]:
    """The environment of a service's pods, without what comes from secrets."""
    return named("ConfigMap", *values)[name]["data"]


@pytest.mark.parametrize("name", EVERYBODY)
@pytest.mark.parametrize("values", [TRIAL, FULL], ids=["trial", "full"])
def test_every_variable_is_a_setting_and_every_value_is_taken(name: str, values: tuple[str, ...]):
    variables = told(name, *values)
    prefix = f"EIL_{name.upper()}_"
    assert all(variable.startswith(prefix) for variable in variables)
    kind = settings_of(name)
    assert {variable.removeprefix(prefix).lower() for variable in variables} <= kind.model_fields.keys()
    load_settings(kind, variables)  # exits where a value is malformed


def test_values_arrive_as_they_were_written():
    regime, economy = told("regime", *FULL), told("economy", *FULL)
    assert regime["EIL_REGIME_DOOR_PART_W"] == "2000000.5"
    assert economy["EIL_ECONOMY_LEASE_U"] == "10000000"  # and not 1e+07
    assert economy["EIL_ECONOMY_BUDGETS"] == "false"
    assert economy["EIL_ECONOMY_DATABASE_URL"] == "postgresql://eil_economy@postgres.stores:5433/eil"
    assert told("bridge", *FULL)["EIL_BRIDGE_HOSTS"] == "eil.example,eil-gateway"


def test_a_service_s_own_setting_outranks_that_of_all():
    own = ("--set", "settings.budgets=true,services.regime.settings.budgets=false")
    assert told("regime", *TRIAL, *own)["EIL_REGIME_BUDGETS"] == "false"
    assert told("atlas", *TRIAL, *own)["EIL_ATLAS_BUDGETS"] == "true"


def test_only_services_with_state_are_told_of_stores():
    for name in ("bridge", "gateway"):
        assert not [variable for variable in told(name, *FULL) if "KAFKA" in variable or "DATABASE" in variable]
    assert [name for name in EVERYBODY if f"EIL_{name.upper()}_OBJECTS_URL" in told(name, *FULL)] == ["atlas"]


def test_the_schema_takes_every_setting_but_those_that_the_chart_sets():
    chosen = named("ConfigMap", *FULL)
    free = {
        "settings.lease_u",
        "settings.log_level",
        "settings.budgets",
        "regime.keep_samples_days",
        "regime.door_part_w",
        "diffusion.threads",
        "gateway.cors_origins",
        "gateway.traced",
    }  # what ci/full-values.yaml sets by `settings`
    mine = {
        name: {variable.removeprefix(f"EIL_{name.upper()}_").lower() for variable in one["data"]}
        - {key.partition(".")[2] for key in free if key.partition(".")[0] in (name, "settings")}
        for name, one in chosen.items()
    }
    common = set(MeshSettings.model_fields) - mine["economy"] - {"advertise"}  # which is the pod's address
    wanted: dict[str, list[str]] = {"common": sorted(common)}
    for name in EVERYBODY:
        left = set(settings_of(name).model_fields) - mine[name]
        # Kafka and the database are not told to the bridge, and would do nothing there.
        wanted[name] = sorted(left - set(MeshSettings.model_fields) if name != "gateway" else left)
    definitions = json.loads((CHART / "values.schema.json").read_text())["$defs"]
    found = {name: list(definitions[name]["properties"]) for name in wanted}
    assert found == wanted, f"values.schema.json, $defs: {json.dumps(wanted)}"
