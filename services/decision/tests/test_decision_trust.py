"""How far the mesh may go with a source, held where actions leave: modes, the red button, leases, the budget, and what nothing follows."""

import asyncio
import re
from contextlib import aclosing, asynccontextmanager

import pytest
from eil.decision.v1 import decision_pb2
from eil_decision.domain import trust
from eil_decision.domain.disruption import score
from eil_decision.domain.trust import Following, Lease, Limits, Pending
from eil_decision.main import SCHEMA
from eil_mesh import event_log, journal, metrics, requests
from eil_mesh.testing import look
from hypothesis import given
from hypothesis import strategies as st

TABLES = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", SCHEMA + journal.SCHEMA + requests.SCHEMA + event_log.SCHEMA)


def contents(folder):
    """Every row of every table."""
    with look(folder, "decision") as conn:
        return {table: [tuple(row) for row in conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in TABLES}


def changed(before, after):
    return {table for table in after if after[table] != before.get(table)}


async def until(holds, limit_s=60.0):
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(world, source="", count=0):
    """What a subscriber hears, as it grows; at the end it has had time for `count` actions, and for one too many."""
    heard = []
    request = decision_pb2.StreamActionsRequest(source=source)
    call = world.stub.StreamActions(request, metadata=world.auth("agent"))

    async def listen():
        async for action in call:
            heard.append(action)

    watchers = world.store._watchers
    before, task = len(watchers), asyncio.create_task(listen())
    await until(lambda: len(watchers) > before)
    await asyncio.sleep(0.1)  # the subscription stands
    try:
        yield heard
        await until(lambda: len(heard) >= count)
        await asyncio.sleep(0.1)
    finally:
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def emitted(outcome):
    return metrics.EMISSIONS.labels(outcome)._value.get()


class TestModes:
    async def test_observe_writes_nothing_and_emits_nothing(self, serve):
        async with serve() as world:
            await world.mode("auto")
            await world.act(12, 11)
            await world.mode("observe")
            async with listening(world) as heard:
                before = contents(world.folder)
                response = await world.act(11, 9)
                lowered = await world.act(11, 9, source="never-seen", mode="observe")
                assert contents(world.folder) == before
            assert heard == []
            for answer in (response, lowered):
                assert (answer.mode, answer.emitted, answer.prediction_id, answer.pft_reward) == (
                    "observe",
                    False,
                    "",
                    0,
                )
                assert answer.action.target_servers == 9, "the answer says what would be done"
                assert answer.action.lease_s == 0

    async def test_observe_keeps_the_answer_under_a_request_id_and_nothing_else(self, serve):
        async with serve() as world:
            await world.mode("observe")
            before = contents(world.folder)
            first = await world.act(11, 9, request_id="once")
            assert changed(before, contents(world.folder)) == {"requests"}
            assert await world.act(11, 9, request_id="once") == first

    async def test_advise_commits_and_emits_nothing(self, serve):
        async with serve() as world:
            before = contents(world.folder)
            async with listening(world) as heard:
                response = await world.act(12, 10)
            assert changed(before, contents(world.folder)) == {"clocks", "decisions", "fleets", "journal"}
            assert (response.mode, response.emitted, response.action.lease_s) == ("advise", False, 0)
            assert heard == []
            assert (await world.decision(response.prediction_id)).response == response

    async def test_approve_emits_after_the_approval_and_auto_at_once(self, serve):
        async with serve() as world:
            await world.mode("approve")
            async with listening(world, count=2) as heard:
                waiting = await world.act(12, 10)
                await asyncio.sleep(0.2)
                assert (waiting.emitted, heard) == (False, [])
                assert await world.approve(waiting.prediction_id) == waiting.action
                assert await world.approve(waiting.prediction_id) == waiting.action, "once more changes nothing"
                await world.mode("auto")
                at_once = await world.act(10, 9)
                assert at_once.emitted
            assert [action.prediction_id for action in heard] == [waiting.prediction_id, at_once.prediction_id]
            stored = await world.decision(waiting.prediction_id)
            assert (stored.approved_by, stored.response.emitted) == ("tester", True)

    async def test_a_mode_lowered_since_holds_an_approval_back(self, serve, refused):
        async with serve() as world:
            await world.mode("approve")
            waiting = await world.act(12, 10)
            await world.mode("advise")
            assert await refused(world.approve(waiting.prediction_id)) == "NOT_FOR_APPROVAL"
            assert not (await world.decision(waiting.prediction_id)).response.emitted

    async def test_an_approval_does_not_undo_a_newer_action(self, serve, refused):
        async with serve() as world:
            await world.mode("approve")
            old = await world.act(12, 10)
            await world.approve((await world.act(12, 11)).prediction_id)
            assert await refused(world.approve(old.prediction_id)) == "DECISION_SUPERSEDED"

    async def test_what_advises_only_is_not_emitted(self, serve):
        async with serve() as world:
            await world.mode("auto")
            world.script.advise_only = "the telemetry is older than the horizon"
            response = await world.act(12, 10)
            assert (response.mode, response.emitted) == ("advise", False)
            assert "not emitted: the telemetry is older" in response.reason


class TestRedButton:
    @pytest.mark.parametrize("stopped", ["", "plant"])
    async def test_it_stops_at_once_and_survives_a_restart(self, serve, stopped):
        async with serve() as world:
            await world.mode("auto")
            (stop,) = await world.stop(stopped, reason="too hot")
            assert (stop.source, stop.by, stop.reason) == (stopped, "tester", "too hot")
        async with serve() as world:
            async with listening(world, count=1) as heard:
                response = await world.act(12, 10)
                assert (response.mode, response.emitted) == ("advise", False)
                assert "tester stopped all actions" in response.reason
                assert "too hot" in response.reason
                assert (await world.decision(response.prediction_id)).response == response, "advice is committed"
                assert await world.release(stopped) == []
                after = await world.act(12, 10)
                assert after.emitted
            assert [action.prediction_id for action in heard] == [after.prediction_id]

    async def test_it_stops_one_source_or_all_and_no_other_tenant(self, serve):
        async with serve() as world:
            for source in ("plant", "other"):
                await world.mode("auto", source)
            await world.mode("auto", tenant="acme")
            await world.stop("plant")
            assert not (await world.act(12, 10)).emitted
            assert (await world.act(12, 10, source="other")).emitted
            await world.stop()
            assert not (await world.act(12, 10, source="other")).emitted
            assert (await world.act(12, 10, tenant="acme")).emitted
            assert [stop.source for stop in await world.release()] == ["plant"], "its own stop still holds it"
            assert not (await world.act(12, 10)).emitted

    async def test_it_holds_approvals_back(self, serve, refused):
        async with serve() as world:
            await world.mode("approve")
            waiting = await world.act(12, 10)
            await world.stop()
            assert await refused(world.approve(waiting.prediction_id)) == "ACTIONS_STOPPED"

    async def test_it_stands_in_the_journal_with_every_mode(self, serve):
        async with serve() as world:
            await world.mode("auto")
            for _ in range(2):  # pressed twice it is one stop, of whoever was first
                await world.stop(reason="fire")
            await world.release()
            rows = [row for row in contents(world.folder)["journal"] if row[3] == "eil.act.controls"]
            told = [decision_pb2.Control.FromString(row[5]) for row in rows]
            assert [(c.change, c.mode, c.by, c.reason) for c in told] == [
                ("mode", "auto", "tester", ""),
                ("stop", "", "tester", "fire"),
                ("release", "", "tester", ""),
            ]

    async def test_only_operators_press_it(self, serve, refused):
        async with serve() as world:
            for role in ("viewer", "agent"):
                request = decision_pb2.StopActionsRequest()
                assert await refused(world.stub.StopActions(request, metadata=world.auth(role))) == "ROLE_NOT_ALLOWED"
            await world.stub.StopActions(decision_pb2.StopActionsRequest(), metadata=world.auth("admin"))
            listed = await world.stub.ListStops(decision_pb2.ListStopsRequest(), metadata=world.auth("viewer"))
            assert len(listed.stops) == 1

    async def test_what_was_stopped_before_a_subscriber_could_hear_it_is_not_sent(self, serve, monkeypatch):
        slow = asyncio.Event()

        async def held_back(*args, **kwargs):
            async with aclosing(event_log.tail(*args, **kwargs)) as journal:
                async for entry in journal:
                    await slow.wait()
                    yield entry

        monkeypatch.setattr("eil_decision.service.tail", held_back)
        async with serve() as world:
            await world.mode("auto")
            async with listening(world, count=1) as heard:
                assert (await world.act(12, 10)).emitted
                await world.stop()
                slow.set()
                await asyncio.sleep(0.2)
                assert heard == []
                await world.release()
                after = await world.act(12, 10)
            assert [action.prediction_id for action in heard] == [after.prediction_id]


class TestLeases:
    async def test_an_emitted_action_is_a_lease_and_a_confirmation_renews_it(self, serve):
        async with serve(lease_s=700.0) as world:
            await world.mode("auto")
            async with listening(world, "plant", count=2) as heard:
                first = await world.act(12, 10)
                world.pass_time(300)
                second = await world.act(10, 10)
            assert (first.action.lease_s, first.action.revert_to_servers, first.action.renewal) == (700.0, 12, False)
            assert (second.action.type, second.action.revert_to_servers, second.action.renewal) == ("hold", 12, True)
            assert [action.action.renewal for action in heard] == [False, True]
            assert heard[1].lease_until.ToSeconds() - heard[0].lease_until.ToSeconds() == 300
            assert heard[0].lease_until.ToSeconds() - heard[0].emitted.ToSeconds() == 700

    async def test_a_long_horizon_has_a_long_lease(self, serve):
        async with serve() as world:
            await world.mode("auto")
            assert (await world.act(12, 10, horizon_s=3600.0)).action.lease_s == 7200.0

    async def test_after_a_lapse_the_size_to_go_back_to_is_found_anew(self, serve):
        async with serve() as world:
            await world.mode("auto")
            assert (await world.act(12, 10)).action.revert_to_servers == 12
            assert (await world.act(10, 9)).action.revert_to_servers == 12, "held without a gap"
            world.pass_time(901)
            assert (await world.act(10, 9)).action.revert_to_servers == 10

    @given(st.integers(1, 40), st.integers(1, 40), st.none() | st.builds(Lease, st.integers(1, 40), st.integers(1, 40)))
    def test_a_lapse_takes_no_server_away(self, servers, target, standing):
        ordered = trust.order(servers, target, standing, 300.0, Limits())
        assert ordered.revert_to >= max(servers, target)
        assert ordered.renewal == (standing is not None and standing.target == target)
        assert ordered.moved == 0 or not ordered.renewal


class TestBudget:
    async def test_half_of_the_fleet_moves_in_an_hour_also_over_a_restart(self, serve):
        async with serve() as world:
            await world.mode("auto")
            assert (await world.act(12, 8)).emitted
        async with serve() as world:
            world.pass_time(600)
            withheld = await world.act(8, 5)
            assert (withheld.mode, withheld.emitted) == ("advise", False)
            assert "at most 6 may move in an hour" in withheld.reason
            assert (await world.act(8, 6)).emitted, "what is left of the budget"
            world.pass_time(3001)
            assert (await world.act(6, 3)).emitted, "an hour later the first move no longer counts"

    async def test_the_same_order_again_moves_nothing_more(self, serve):
        async with serve() as world:
            await world.mode("auto")
            for _ in range(5):  # the fleet is slow: it still has 12
                assert (await world.act(12, 7)).emitted
                world.pass_time(10)

    async def test_servers_that_the_load_needs_are_not_held_back(self, serve):
        async with serve() as world:
            await world.mode("auto")
            assert (await world.act(12, 6)).emitted
            assert not (await world.act(6, 9)).emitted
            world.script.urgent = True
            assert (await world.act(6, 9)).emitted

    async def test_it_holds_at_the_approval(self, serve, refused):
        async with serve() as world:
            await world.mode("approve")
            waiting = await world.act(12, 10)
            world.clock.advance(1)
            waiting_too = await world.act(12, 6)
            await world.approve(waiting_too.prediction_id)
            world.clock.advance(1)
            assert await refused(world.approve(waiting.prediction_id)) == "DECISION_SUPERSEDED"
            more = await world.act(6, 5)
            assert more.mode == "advise", "the budget is used up before it is asked for"

    @given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30), st.floats(0.01, 1.0))
    def test_the_budget_is_never_passed_and_always_lets_one_move(self, moving, moved, fleet, share):
        why = trust.over_budget(moving, moved, fleet, Limits(moved_per_hour=share))
        if not why and moving:
            assert moved + moving <= max(1, share * fleet)
        if moving <= 1 and moved == 0:
            assert not why


class TestFollowing:
    async def test_after_five_orders_that_nothing_follows_the_source_falls_back_to_advise(self, serve):
        async with serve() as world:
            await world.mode("auto")
            before = emitted("ineffective")
            for _ in range(5):
                assert (await world.act(12, 10)).emitted
                world.pass_time(300)
            fallen = await world.act(12, 10)
            assert (fallen.mode, fallen.emitted) == ("advise", False)
            assert "5 emitted actions in a row were not followed" in fallen.reason
            assert emitted("ineffective") == before + 1
        async with serve() as world:
            later = await world.act(10, 9)
            assert (later.mode, later.emitted) == ("advise", False)
            assert "not followed" in later.reason, "it goes on saying why"
            await world.mode("auto")
            trusted = await world.act(10, 9)
            assert trusted.emitted
            assert "not followed" not in trusted.reason

    async def test_orders_that_are_followed_late_or_in_part_count_as_followed(self, serve):
        async with serve(missed_orders=2) as world:
            await world.mode("auto")
            servers = 12
            for _ in range(4):
                assert (await world.act(servers, servers - 1)).emitted
                world.pass_time(1000)
                assert (await world.act(servers, servers - 1)).emitted, "one is missed"
                world.pass_time(1000)
                servers -= 1  # then it follows

    async def test_a_fleet_has_time_to_start(self, serve):
        async with serve(missed_orders=1) as world:
            await world.mode("auto")
            for _ in range(29):
                assert (await world.act(8, 12)).emitted
                world.pass_time(10)
            assert (await world.act(12, 12)).emitted

    def test_an_order_taken_back_is_not_missed(self):
        following = Following(pending=Pending(12, 10, 0)).ordered(12, 12, 100)
        assert following.pending is None
        assert following.seen(12, 10**12, 300.0).missed == 0

    @given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 600)), max_size=30))
    def test_missed_orders_never_outnumber_orders_and_a_followed_one_begins_anew(self, steps):
        following, orders, clock_us = Following(), 0, 0
        for servers, target, passed_s in steps:
            clock_us += passed_s * trust.MICROSECONDS
            seen = following.seen(servers, clock_us, 300.0)
            move = following.pending
            if move and abs(servers - move.target) < abs(move.before - move.target):
                assert seen.missed == 0
            orders += servers != target
            following = seen.ordered(servers, target, clock_us)
            assert following.missed <= orders


class TestDisruption:
    def test_it_is_the_saved_share_over_the_moved_share(self):
        assert score(100.0, 90.0, 10, 8) == pytest.approx(0.5)
        assert score(100.0, 100.0, 10, 10) == 0.0
        assert score(100.0, 120.0, 10, 12) == pytest.approx(-1.0)

    @given(st.integers(1, 50), st.integers(1, 50))
    def test_energy_in_proportion_to_servers_scores_one_either_way(self, servers, target):
        expected = (target < servers) - (target > servers)
        assert score(float(servers), float(target), servers, target) == pytest.approx(expected)


def test_a_request_can_only_lower():
    for own in trust.MODES:
        for asked in ("", *trust.MODES):
            assert trust.MODES.index(trust.lower(own, asked)) <= trust.MODES.index(own)
