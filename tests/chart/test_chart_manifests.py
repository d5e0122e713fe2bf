"""What the chart renders is what Kubernetes takes, and says what EIL promises."""

import subprocess
from pathlib import Path

import pytest
import yaml
from eil_gateway import provision
from eil_mesh.services import SERVICES, STATEFUL
from eil_mesh.version import VERSION

from .helm import CHART, FULL, TRIAL, cluster_script, manifests, mesh, named, pods, program, text

EVERYBODY = {*SERVICES, "gateway"}
FREE = EVERYBODY - set(STATEFUL)
BOTH = pytest.mark.parametrize("values", [TRIAL, FULL], ids=["trial", "full"])


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("schemas")
    made = subprocess.run([str(cluster_script()), "schemas", str(folder)], capture_output=True, text=True, timeout=300)
    if made.returncode != 0:
        pytest.skip(f"Kubernetes' schemas cannot be made: {made.stderr[-300:]}")
    return folder


def restrictions_missed(pod: dict) -> list[str]:
    """What keeps a pod from being PodSecurity "restricted" (kubernetes.io/docs/concepts/security/pod-security-standards)."""
    missed = []
    own = pod.get("securityContext", {})
    if own.get("runAsNonRoot") is not True or not own.get("runAsUser"):
        missed.append("may be root")
    if own.get("seccompProfile") != {"type": "RuntimeDefault"}:
        missed.append("has no seccomp profile")
    missed += [f"has {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    kinds = {kind for volume in pod.get("volumes", []) for kind in volume if kind != "name"}
    if kinds - {"emptyDir", "secret", "configMap"}:
        missed.append(f"has volumes of {kinds}")
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        context = container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
            missed.append(f"{container['name']} may gain privileges")
        if context.get("capabilities") != {"drop": ["ALL"]}:
            missed.append(f"{container['name']} has capabilities")
        if any("hostPort" in port for port in container.get("ports", [])):
            missed.append(f"{container['name']} has a port of the node")
    return missed


@BOTH
def test_every_manifest_fits_the_strict_schemas_of_kubernetes(values: tuple[str, ...], schemas: Path):
    where = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [program("kubeconform"), "-strict", "-summary", "-schema-location", where]
    command += ["-skip", "ServiceMonitor,ScaledObject", "-"]
    done = subprocess.run(command, input=text(*values), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0" in done.stdout


def test_the_chart_is_of_the_release_that_it_installs():
    assert named("Deployment", *TRIAL)["regime"]["spec"]["template"]["spec"]["containers"][0]["image"] == (
        f"eil-regime:{VERSION}"
    )


@BOTH
def test_every_pod_is_restricted(values: tuple[str, ...]):
    assert {where: missed for where, pod in pods(*values).items() if (missed := restrictions_missed(pod))} == {}


@BOTH
def test_every_pod_keeps_to_the_contract_of_the_images(values: tuple[str, ...]):
    for where, pod in pods(*values).items():
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 65532, where
        assert pod["automountServiceAccountToken"] is False, where
        assert pod["enableServiceLinks"] is False, where  # else Kubernetes adds variables that settings refuse
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
            assert "sh" not in container.get("command", []), where
            assert "lifecycle" not in container, where


@BOTH
def test_every_container_asks_for_what_it_needs(values: tuple[str, ...]):
    for where, pod in pods(*values).items():
        for container in pod["containers"]:
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, where


@BOTH
def test_no_manifest_holds_a_secret(values: tuple[str, ...]):
    assert not manifests(*values, kind="Secret")
    for where, pod in pods(*values).items():
        for container in pod["containers"]:
            for variable in container.get("env", []):
                secret = variable["name"] in ("PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
                assert secret == ("secretKeyRef" in variable.get("valueFrom", {})), f"{where}: {variable['name']}"
    for name, one in named("ConfigMap", *values).items():
        for variable, value in one["data"].items():
            assert "PASSWORD" not in variable or value.startswith("/"), f"{name}: {variable}"
            assert ":" not in value.partition("@")[0].partition("://")[2] or "@" not in value, f"{name}: {variable}"


def test_each_service_sees_its_own_password_alone():
    for name in STATEFUL:
        env = named("Deployment", *FULL)[name]["spec"]["template"]["spec"]["containers"][0]["env"]
        password = next(one for one in env if one["name"] == "PGPASSWORD")
        assert password["valueFrom"]["secretKeyRef"] == {"name": "eil-postgres", "key": name}
        volumes = named("Deployment", *FULL)[name]["spec"]["template"]["spec"]["volumes"]
        postgres = next(one for one in volumes if one["name"] == "postgres")
        assert [item["key"] for item in postgres["secret"]["items"]] == ["ca.crt"]


def test_everything_rolls_without_a_gap_but_what_loses_its_state_with_its_pod():
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    for values in (TRIAL, FULL):
        deployments = named("Deployment", *values)
        assert deployments.keys() == EVERYBODY
        for name, one in deployments.items():
            alone = values == TRIAL and name in STATEFUL
            assert one["spec"]["strategy"] == ({"type": "Recreate"} if alone else rolling), name


def test_a_pod_says_where_its_like_reach_it():
    for name, one in named("Deployment", *FULL).items():
        pod = one["spec"]["template"]["spec"]
        own = [one for one in pod["containers"][0].get("env", []) if one["name"].endswith("_ADVERTISE")]
        address = {"name": f"EIL_{name.upper()}_ADVERTISE", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        assert own == ([address] if name in STATEFUL else [])


def test_what_may_have_more_than_one_pod_is_spread_and_what_has_is_protected():
    assert named("PodDisruptionBudget", *TRIAL).keys() == FREE
    for name, one in named("Deployment", *TRIAL).items():
        spread = one["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
        keys = [constraint["topologyKey"] for constraint in spread]
        expected = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"] if name in FREE else []
        assert keys == expected


def test_a_service_with_state_may_have_pods_that_stand_by():
    two = (*FULL, "--set", "services.regime.replicas=2")
    assert named("Deployment", *two)["regime"]["spec"]["replicas"] == 2
    assert "regime" in named("PodDisruptionBudget", *two)
    alone = named("Deployment", *FULL)["regime"]["spec"]["template"]
    assert alone["spec"]["topologySpreadConstraints"]
    assert named("Deployment", *two)["regime"]["spec"]["template"] == alone, "scaling replaces no pod"


def test_a_lone_replica_has_no_budget_that_would_hold_up_its_node():
    assert named("PodDisruptionBudget", *TRIAL, "--set", "services.bridge.replicas=1").keys() == {"gateway"}


def test_scaling_leaves_the_number_of_pods_to_the_scaler():
    deployments, scalers = named("Deployment", *FULL), named("HorizontalPodAutoscaler", *FULL)
    assert scalers.keys() == {"bridge"}
    assert (scalers["bridge"]["spec"]["minReplicas"], scalers["bridge"]["spec"]["maxReplicas"]) == (2, 6)
    assert named("ScaledObject", *FULL).keys() == {"atlas"}
    assert {name for name, one in deployments.items() if "replicas" not in one["spec"]} == {"bridge", "atlas"}
    assert deployments["gateway"]["spec"]["replicas"] == 3


def test_a_replica_number_of_zero_stands():
    assert named("Deployment", *TRIAL, "--set", "services.regime.replicas=0")["regime"]["spec"]["replicas"] == 0


@BOTH
def test_there_is_time_to_go(values: tuple[str, ...]):
    for name, one in named("Deployment", *values).items():
        told = named("ConfigMap", *values)[name]["data"]
        grace_s = float(
            told.get(f"EIL_{name.upper()}_GRACE_S", 0)
        )  # before the state is handed over, and after the drain
        needed = float(told[f"EIL_{name.upper()}_DRAIN_S"]) + 2 * grace_s
        assert one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= needed + 10
        assert (told[f"EIL_{name.upper()}_DRAIN_S"] == "0") == (values == TRIAL and name in STATEFUL)


@BOTH
def test_probes_ask_for_health(values: tuple[str, ...]):
    for name, one in named("Deployment", *values).items():
        container = one["spec"]["template"]["spec"]["containers"][0]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name == "gateway":
                assert container[probe]["httpGet"] == {"path": "/ready", "port": "metrics"}
            else:
                assert container[probe]["grpc"] == {"port": 7001}


@BOTH
def test_services_have_the_names_of_the_certificates_and_lead_to_their_pods(values: tuple[str, ...]):
    services, deployments = named("Service", *values), named("Deployment", *values)
    assert services.keys() - {"metrics"} == EVERYBODY
    for name in EVERYBODY:
        labels = deployments[name]["spec"]["template"]["metadata"]["labels"]
        assert services[name]["spec"]["selector"] == deployments[name]["spec"]["selector"]["matchLabels"] == labels
        assert (services[name]["spec"].get("clusterIP") == "None") == (name != "gateway")
        ports = {port["name"] for port in deployments[name]["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in services[name]["spec"]["ports"]} <= ports


def test_the_pods_of_hooks_and_tests_answer_for_no_service():
    components = {
        one["spec"]["selector"].get("app.kubernetes.io/component") for one in manifests(*FULL, kind="Service")
    }
    assert not {"migrate", "test"} & components


def test_secrets_are_mounted_where_the_services_look():
    for name, one in named("Deployment", *FULL).items():
        spec = one["spec"]["template"]["spec"]
        secrets = {volume["name"]: volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
        mounted = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        assert secrets[mounted["/tls"]] == f"eil-{name}"
        assert ("/state/keys" in mounted) == (name == "gateway")
        files = [value for value in named("ConfigMap", *FULL)[name]["data"].values() if value.startswith("/")]
        assert all(any(f"{value}/".startswith(f"{path}/") for path in mounted) for value in files)
    other = named("Deployment", *TRIAL, "--set", "secrets.prefix=plant")["gateway"]["spec"]["template"]["spec"]
    assert [one["secret"]["secretName"] for one in other["volumes"] if "secret" in one] == [
        "plant-door",
        "plant-gateway",
    ]


def test_the_secrets_that_are_provisioned_are_those_that_are_mounted(tmp_path: Path):
    made = {
        one["metadata"]["name"]: one["data"].keys()
        for one in yaml.safe_load_all(provision.manifests(provision.provision(tmp_path, []), "eil"))
    }
    mounted = {
        volume["secret"]["secretName"]
        for one in named("Deployment", *TRIAL).values()
        for volume in one["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    }
    assert made.keys() == mounted
    for name, one in named("ConfigMap", *TRIAL).items():
        files = {Path(value).name for value in one["data"].values() if value.startswith("/tls/")}
        assert made[f"eil-{name}"] >= files | {"ca.crt", "tls.crt", "tls.key"}


def test_tables_are_made_before_pods_where_there_is_a_database():
    jobs = named("Job", *FULL)
    assert jobs.keys() == {f"{name}-migrate" for name in STATEFUL}
    for name in STATEFUL:
        job = jobs[f"{name}-migrate"]
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        container = job["spec"]["template"]["spec"]["containers"][0]
        deployed = named("Deployment", *FULL)[name]["spec"]["template"]["spec"]["containers"][0]
        assert (container["args"], container["image"]) == (["--migrate"], deployed["image"])
        # What the pods read from a ConfigMap the hook must have by itself: nothing of the chart's is there yet.
        told = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        assert told.items() >= named("ConfigMap", *FULL)[name]["data"].items()
        assert "serviceAccountName" not in job["spec"]["template"]["spec"]
    assert not named("Job", *TRIAL)


def test_a_gpu_is_asked_for_where_it_is_used():
    for name, one in named("Deployment", *FULL).items():
        container = one["spec"]["template"]["spec"]["containers"][0]
        wanted = name in ("diffusion", "nvp")
        assert container["resources"].get("limits", {}).get("nvidia.com/gpu") == (1 if wanted else None)
    assert named("ConfigMap", *FULL)["nvp"]["data"]["EIL_NVP_DEVICE"] == "cuda"


def test_a_changed_setting_changes_the_pods_that_it_concerns_alone():
    def sums(*values: str) -> dict[str, str]:
        return {
            name: one["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
            for name, one in named("Deployment", *values).items()
        }

    before, after = sums(*TRIAL), sums(*TRIAL, "--set", "services.regime.settings.window_s=30")
    assert {name for name in EVERYBODY if before[name] != after[name]} == {"regime"}
    everywhere = sums(*TRIAL, "--set", "settings.log_level=debug")
    assert {name for name in EVERYBODY if before[name] != everywhere[name]} == set(SERVICES)


def test_prometheus_finds_every_pod_once():
    (monitor,) = manifests(*FULL, kind="ServiceMonitor")
    service = named("Service", *FULL)["metrics"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    for one in named("Deployment", *FULL).values():
        template = one["spec"]["template"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        assert "metrics" in [port["name"] for port in template["spec"]["containers"][0]["ports"]]


def test_the_table_of_the_chart_is_the_code_s():
    assert mesh().keys() == EVERYBODY
    assert {name for name, row in mesh().items() if row["stateful"]} == set(STATEFUL)


def test_files_stay_small():
    assert len((CHART / "values.yaml").read_text().splitlines()) <= 200
