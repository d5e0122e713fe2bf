"""Upgrades under load: each service is replaced by its next replica while clients that try nothing twice go on through the door."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from eil_cli.door import DoorError
from eil_mesh.testing import postgres_database, postgres_url
from support.plant import Plant
from support.replicas import Fleet

pytestmark = pytest.mark.skipif(not postgres_url(), reason="no PostgreSQL server: set EIL_TEST_POSTGRES")
SERVICES = ("economy", "regime", "atlas", "nvp", "diffusion", "decision", "proof", "market")
DRAIN_S = 4.0
BEGIN_S = -20_000.0
"""What sources send is so old at first that, sent faster than time goes by, it stays in the past on the slowest machine."""
FIELD = {"gaussian_free_field": {"side": 4, "mass2": 0.5}}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with postgres_database() as url, Fleet(tmp_path_factory.mktemp("fleet"), url, SERVICES, DRAIN_S) as running:
        yield running


class Load:
    """Threads that call through the door until told to stop; what fails is kept."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._stop = fleet, threading.Event()
        self._threads: list[threading.Thread] = []
        self.failed: list[str] = []
        self.slowest_s: dict[str, float] = {}

    def add(self, call: Callable[[Any, int], None], every_s: float) -> None:
        """`call(door, n)` again and again, n from 1."""

        def run() -> None:
            with self._fleet.door() as door:
                n = 0
                while not self._stop.wait(every_s):
                    n, began = n + 1, time.monotonic()
                    try:
                        call(door, n)
                        took_s = time.monotonic() - began
                        self.slowest_s[call.__name__] = max(took_s, self.slowest_s.get(call.__name__, 0.0))
                    except Exception as error:
                        self.failed.append(f"{time.time():.2f} {call.__name__} {n}: {error!r} {error}")

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_no_call_is_lost_while_every_service_is_replaced(fleet: Fleet, stamp: Callable[[float], str]) -> None:
    load, sensed, done, decided = Load(fleet), dict[str, int](), dict[str, int](), list[str]()
    with fleet.door() as door:
        plant = Plant(door, stamp, source="plant", begin_s=BEGIN_S)
        door.call("PUT", "/v1/sources/plant", {"kind": "simulated"})
        plant.sense(30)
        deadline = time.monotonic() + 60
        while True:  # whoever began before a name was known asks for it again, by and by
            with suppress(DoorError):
                decided.append(plant.act()["prediction_id"])
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def sense(source: str) -> Callable[[Any, int], None]:
        def sensing(door: Any, n: int) -> None:
            telemetry, context = {"power_draw": 1000.0 + n % 7}, {"power_kind": "mean"}
            body = {"source": source, "timestamp": stamp(BEGIN_S + n), "telemetry": telemetry, "context": context}
            door.call("POST", "/v1/sense", body)
            sensed[source] = n

        return sensing

    def pay(door: Any, n: int) -> None:
        of = {"debit_owner": "@treasury", "credit_owner": "ann", "token": "CEU", "amount_u": 10}
        door.call("POST", "/v1/economy/transfers", {"id": f"pay-{n}", **of})
        done["pay"] = n

    def price(door: Any, n: int) -> None:
        assert door.call("GET", "/v1/market/pricing")["prices"]
        done["price"] = n

    def link(door: Any, n: int) -> None:
        of = {"from_source": "feed", "to_source": f"rack-{n}", "kind": "LINK_KIND_FEEDS"}
        door.call("POST", "/v1/atlas/links", {"links": [of]})
        done["link"] = n

    def sample(door: Any, n: int) -> None:
        answer = door.call("POST", "/v1/diffusion/sample", {"energy": FIELD, "seed": n})
        assert door.call("GET", f"/v1/diffusion/runs/{answer['run_id']}")["run"]["count"] == 1
        done["sample"] = n

    def act(door: Any, n: int) -> None:
        plant.door = door
        plant.sense()
        decided.append(plant.act()["prediction_id"])

    for n in range(3):
        load.add(sense(f"rack-{n}"), 0.02)
    load.add(pay, 0.02)
    load.add(act, 0.2)
    for call in (price, link, sample):
        load.add(call, 0.1)
    time.sleep(1.0)
    old = []
    for service in SERVICES:
        old.append(fleet.upgrade(service))
        time.sleep(1.0)
    for replica in old:
        assert replica.ended() == 0, replica.log()
    time.sleep(1.0)
    load.end()
    print("slowest calls [s]:", load.slowest_s)
    assert not load.failed, "\n".join(load.failed)
    with fleet.door() as door:
        status = {one["source"]: int(one["samples"]) for one in door.call("GET", "/v1/regime/status", None)["sources"]}
        assert {source: status[source] for source in sensed} == sensed
        balances = door.call("GET", "/v1/economy/balances", params={"owner": "ann"})["balances"]
        assert [int(one["balance_u"]) for one in balances if one["token"] == "CEU"] == [10 * done["pay"]]
        links = door.call("GET", "/v1/atlas/links", params={"page_size": 1000})["links"]
        assert len(links) == min(done["link"], 1000)
    assert len(decided) == len(set(decided)) > 10
    assert min(*sensed.values(), *done.values()) > 50


def test_a_writer_that_is_killed_is_followed_by_the_one_that_stands_by(
    fleet: Fleet, stamp: Callable[[float], str]
) -> None:
    killed, next_one = fleet.replicas["regime"], fleet.start("regime")
    next_one.wait()
    fleet.publish("regime", killed, next_one)
    stored, began = 0, 0.0
    with fleet.door() as door:
        for n in range(400):
            body = {"source": "survivor", "timestamp": stamp(BEGIN_S + n), "telemetry": {"power_draw": 1000.0 + n}}
            if n == 100:
                killed.kill()
                fleet.publish("regime", next_one)
                began = time.monotonic()
            status, answer = door.post("/v1/sense", body)
            assert status in (200, 503), answer  # what was under way is told so
            assert status == 200 or time.monotonic() - began < 10
            stored += status == 200
        (source,) = door.call("GET", "/v1/regime/status", params={"source": "survivor"})["sources"]
    assert stored <= int(source["samples"]) <= 400
    assert stored > 300
