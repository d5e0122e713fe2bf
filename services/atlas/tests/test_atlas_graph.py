"""One suite for the graph, on either side: what is recorded, rolled up, forgotten and asked, against a list of states in memory."""

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from eil_atlas import topology
from eil_atlas.changes import END_OF_TIME_US, Change, Forgotten, Link, Place, Shift, StateRow, States, Stretch
from eil_atlas.domain import embedding
from eil_atlas.domain.spans import DAY_US, HOUR_US, Span
from eil_atlas.domain.windows import WINDOW_US
from eil_mesh.errors import NotFound
from support.atlas import Side

T0 = 20_000 * DAY_US
EVERYTHING = (0, END_OF_TIME_US)
NEWEST = (END_OF_TIME_US, "")


def row(minute: int, energy_j: float = 60.0, regime: str = "r1", covered_s: float = 60.0) -> StateRow:
    return StateRow(T0 + minute * WINDOW_US, energy_j, covered_s, energy_j / 300, "METERED", regime)


class Oracle:
    """The states as a list."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, int], StateRow] = {}

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change, States):
                self.states |= {(change.source, one.start_us): one for one in change.rows}
            elif isinstance(change, Stretch):
                for (source, start_us), one in self.states.items():
                    if source == change.source and change.start_us <= start_us < change.end_us:
                        self.states[source, start_us] = one._replace(regime=change.regime)
            elif isinstance(change, Forgotten):
                self.states = {key: one for key, one in self.states.items() if key[0] != change.source}

    def within(self, start_us: int, end_us: int, source: str = "") -> list[tuple[str, StateRow]]:
        return [
            (name, one)
            for (name, us), one in sorted(self.states.items())
            if start_us <= us < end_us and source in ("", name)
        ]

    def sums(self, start_us: int, end_us: int, step_us: int) -> dict[tuple[str, int], tuple[float, float, int, str]]:
        """(energy, covered time, states, last regime) by source and step."""
        found: dict[tuple[str, int], tuple[float, float, int, str]] = {}
        for name, one in self.within(start_us, end_us):
            key = (name, one.start_us - (one.start_us - start_us) % step_us)
            energy_j, covered_s, states, _ = found.get(key, (0.0, 0.0, 0, ""))
            found[key] = (energy_j + one.energy_j, covered_s + one.covered_s, states + 1, one.regime)
        return found


def assert_same(spans: list[Span], expected: dict[tuple[str, int], tuple[float, float, int, str]]) -> None:
    assert [(span.source, span.start_us) for span in spans] == sorted(expected)
    for span in spans:
        energy_j, covered_s, states, last = expected[span.source, span.start_us]
        assert (span.states, span.last_regime) == (states, last)
        assert (span.energy_j, span.covered_s) == pytest.approx((energy_j, covered_s))


def some_changes(rng: random.Random, sources: int, minutes: int, times: int) -> list[Change]:
    """Puts in runs, over what stands, late and repeated; and renamed stretches."""
    changes: list[Change] = []
    for _ in range(times):
        source, first = f"s{rng.randrange(sources)}", rng.randrange(minutes)
        run = [
            row(first + i, rng.uniform(1, 100), f"r{rng.randrange(3)}", rng.uniform(1, 60))
            for i in range(rng.randint(1, 30))
        ]
        changes.append(States(source, run))
        if rng.random() < 0.2:
            start = rng.randrange(minutes)
            stretch = T0 + start * WINDOW_US, T0 + (start + rng.randint(1, 200)) * WINDOW_US
            changes.append(Stretch(source, *stretch, f"n{rng.randrange(3)}"))
    return changes


async def everything(side: Side, tenant: str = "", source: str = "") -> list[tuple]:
    """All states, oldest first, with what came before."""
    found = await side.graph.states(tenant or side.tenant, source, EVERYTHING, NEWEST, 100_000)
    return [
        (s.source, s.start_us, s.energy_j, s.covered_s, s.entropy, s.regime, s.previous_us) for s in reversed(found)
    ]


def expected_of(oracle: Oracle) -> list[tuple]:
    newest: dict[str, int] = {}
    found = []
    for name, one in sorted(oracle.within(*EVERYTHING), key=lambda pair: (pair[1].start_us, pair[0])):
        figures = (one.energy_j, one.covered_s, one.entropy, one.regime)
        found.append((name, one.start_us, *figures, newest.get(name)))
        newest[name] = one.start_us
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_any_changes_make_the_graph_that_they_say_and_repeating_them_changes_nothing(side: Side, seed: int):
    rng, oracle = random.Random(seed), Oracle()
    changes = some_changes(rng, 3, 300, 40)
    while changes:
        several, changes = changes[: (size := rng.randint(1, 9))], changes[size:]
        await side.record(*several)
        oracle.apply(several)
        if rng.random() < 0.3:
            await side.record(*several)  # delivered again
    assert await everything(side) == expected_of(oracle)


async def test_a_late_state_finds_its_place_between_two_others(side: Side):
    await side.record(States("dc", [row(0), row(9)]))
    await side.record(States("dc", [row(4), row(2)]))
    await side.record(States("dc", [row(-3)]))
    starts = [T0 + minute * WINDOW_US for minute in (-3, 0, 2, 4, 9)]
    assert [(one[1], one[-1]) for one in await everything(side)] == list(zip(starts, [None, *starts], strict=False))


async def test_a_state_at_a_moment_is_the_one_that_holds_it_else_the_newest_before(side: Side):
    await side.record(States("dc", [row(0, 1.0), row(5, 2.0)]), States("other", [row(3, 9.0)]))
    for minute, energy_j in ((0, 1.0), (0.99, 1.0), (4.5, 1.0), (5, 2.0), (99, 2.0)):
        found = await side.answers.state_at(side.tenant, "dc", T0 + round(minute * WINDOW_US))
        assert found.energy_j == energy_j
    for source, minute in (("dc", -1), ("nobody", 5)):
        with pytest.raises(NotFound) as refused:
            await side.answers.state_at(side.tenant, source, T0 + minute * WINDOW_US)
        assert refused.value.reason == "STATE_NOT_FOUND"


@pytest.mark.parametrize("source", ["", "s1"])
@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_pages_are_complete_and_do_not_overlap(side: Side, source: str, limit: int):
    oracle, span = Oracle(), (T0 + 10 * WINDOW_US, T0 + 100 * WINDOW_US)
    changes = some_changes(random.Random(5), 3, 120, 12 if limit > 1 else 3)
    await side.record(*changes)
    oracle.apply(changes)
    before, seen = NEWEST, []
    while page := await side.graph.states(side.tenant, source, span, before, limit):
        assert len(page) <= limit
        seen += [(one.start_us, one.source) for one in page]
        before = seen[-1]
    expected = [(one.start_us, name) for name, one in oracle.within(*span, source)]
    assert seen == sorted(expected, reverse=True)


async def test_tenants_are_apart(side: Side):
    await side.record(States("dc", [row(0)]))
    await side.record(States("dc", [row(1, 5.0)]), tenant=side.other)
    assert [one[1] for one in await everything(side)] == [T0]
    assert [one[1] for one in await everything(side, side.other)] == [T0 + WINDOW_US]
    (theirs,) = await side.answers.sums(side.other, T0, T0 + HOUR_US)
    assert theirs.energy_j == 5.0
    assert await side.graph.newest_us(side.tenant) == T0
    await side.forget(side.other, "dc")
    assert await everything(side, side.other) == []
    assert len(await everything(side)) == 1


async def test_forgetting_a_source_erases_it_alone_and_it_may_come_again(side: Side):
    await side.record(States("dc", [row(0), row(70)]), States("other", [row(0)]))
    await side.answers.put_links(side.tenant, [Link("dc", "other", "feeds", 1.0), Link("other", "x", "calls", 2.0)])
    await side.roll(T0 + 2 * DAY_US)
    await side.forget(side.tenant, "dc")
    assert [one[0] for one in await everything(side)] == ["other"]
    assert [span.source for span in await side.answers.sums(side.tenant, T0, T0 + DAY_US)] == ["other"]
    assert await side.answers.links(side.tenant) == [Link("other", "x", "calls", 2.0)]
    await side.record(States("dc", [row(1)]), Forgotten("dc"), States("dc", [row(2)]))
    assert [one[1] for one in await everything(side, source="dc")] == [T0 + 2 * WINDOW_US]


SPANS = ((0, 60), (7, 133), (0, 24 * 60), (-30, 3 * 24 * 60 + 11), (60, 49 * 60))
"""Minutes after T0: aligned and not."""


async def assert_spans(side: Side, oracle: Oracle) -> None:
    for first, last in SPANS:
        start_us, end_us = T0 + first * WINDOW_US, T0 + last * WINDOW_US
        for step_us in (WINDOW_US * 10, HOUR_US, DAY_US, end_us - start_us):
            found = await side.answers.energies(side.tenant, start_us, end_us, step_us / 1e6)
            assert_same(found, oracle.sums(start_us, end_us, step_us))


async def test_spans_add_up_before_while_and_after_they_are_rolled_up_and_when_states_come_late(side: Side):
    rng, oracle = random.Random(8), Oracle()
    changes = some_changes(rng, 2, 3 * 24 * 60, 60)
    await side.record(*changes)
    oracle.apply(changes)
    await assert_spans(side, oracle)
    settled_us = T0 + 2 * DAY_US + 5 * HOUR_US + 7
    for _ in range(3):
        await side.graph.roll(settled_us)
        await assert_spans(side, oracle)
    await side.roll(settled_us)
    assert await side.graph.rolled_us() == T0 + 2 * DAY_US + 5 * HOUR_US
    await assert_spans(side, oracle)
    late = some_changes(rng, 2, 3 * 24 * 60, 12)
    await side.record(*late)  # hours and days that were rolled up no longer add up
    oracle.apply(late)
    await assert_spans(side, oracle)
    await side.roll(settled_us)
    await assert_spans(side, oracle)
    await side.roll(T0 + 5 * DAY_US)
    await assert_spans(side, oracle)


@pytest.mark.parametrize(("level_us", "name"), [(HOUR_US, "hour"), (DAY_US, "day")])
async def test_roll_ups_are_listed_with_what_their_states_add_up_to(side: Side, level_us: int, name: str):
    oracle = Oracle()
    changes = some_changes(random.Random(9), 2, 3 * 24 * 60, 40)
    await side.record(*changes)
    oracle.apply(changes)
    await side.roll(T0 + 9 * DAY_US)
    found = await side.graph.states(side.tenant, "", EVERYTHING, NEWEST, 1000, level_us)
    expected = oracle.sums(T0, T0 + 9 * DAY_US, level_us)
    assert {(one.source, one.start_us) for one in found} == expected.keys()
    for one in found:
        energy_j, covered_s, states, _ = expected[one.source, one.start_us]
        assert (one.energy_j, one.covered_s, one.states) == pytest.approx((energy_j, covered_s, states))
        earlier = [key[1] for key in expected if key[0] == one.source and key[1] < one.start_us]
        assert one.previous_us == max(earlier, default=None), name
        if level_us == HOUR_US:
            names = Counter(s.regime for _, s in oracle.within(one.start_us, one.start_us + HOUR_US, one.source))
            assert one.regime == min(names, key=lambda regime: (-names[regime], regime))


async def test_retention_takes_states_and_leaves_roll_ups(side: Side):
    changes = [States("dc", [row(minute) for minute in range(0, 3 * 24 * 60, 5)])]
    await side.record(*changes)
    await side.roll(T0 + 3 * DAY_US)
    await side.record(States("dc", [row(1)]))  # to be rolled up: nothing that it needs may go
    assert await side.graph.forget(T0 + DAY_US) == 0
    await side.roll(T0 + 3 * DAY_US)
    while await side.graph.forget(T0 + DAY_US):
        pass
    assert min(one[1] for one in await everything(side)) == T0 + DAY_US
    (whole,) = await side.answers.sums(side.tenant, T0, T0 + 3 * DAY_US)
    assert (whole.states, whole.energy_j) == (3 * 288 + 1, pytest.approx((3 * 288 + 1) * 60.0))
    assert await side.graph.forget(T0 + DAY_US, HOUR_US) == 24
    assert await side.graph.forget(T0 + DAY_US, DAY_US) == 1
    assert await side.answers.sums(side.tenant, T0, T0 + DAY_US) == []


async def test_digests_are_the_same_on_both_sides_and_tell_any_change(side: Side):
    changes = some_changes(random.Random(2), 1, 300, 20)
    await side.record(*changes)
    before = await side.answers.digest(side.tenant, "s0", *EVERYTHING)
    oracle = Oracle()
    oracle.apply(changes)
    hours = Counter(one.start_us // HOUR_US for _, one in oracle.within(*EVERYTHING))
    assert [(hour.start_us // HOUR_US, hour.states) for hour in before] == sorted(hours.items())
    assert before[0].digest == 16924851356865016083, "of the changes of seed 2, on whichever side"
    await side.record(*changes)
    assert await side.answers.digest(side.tenant, "s0", *EVERYTHING) == before
    (name, one), *_ = oracle.within(before[1].start_us, END_OF_TIME_US)
    await side.record(States(name, [one._replace(energy_j=one.energy_j * (1 + 1e-15))]))
    after = await side.answers.digest(side.tenant, "s0", *EVERYTHING)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, *([True] * (len(before) - 2))]


async def add_shift(side: Side, source: str, second: int, left: str, entered: str) -> Shift:
    shift = Shift(source, T0 + second * 1_000_000, f"{source}@{second}", T0 + second * 1_000_000 - 5, left, entered)
    key = (side.tenant, source, shift.detected_us, shift.id, shift.onset_us, left, entered, entered)
    await side.write("INSERT INTO shifts VALUES (?,?,?,?,?,?,?,?)", *key)
    await side.record(shift)
    return shift


async def test_links_are_drawn_weighed_listed_and_taken_away(side: Side):
    drawn = [Link("a", "b", "feeds", 1.0), Link("a", "b", "calls", 1.0), Link("b", "c", "adjacent", 2.0)]
    await side.answers.put_links(side.tenant, drawn)
    await side.answers.put_links(side.tenant, [Link("a", "b", "feeds", 3.0)])
    assert await side.answers.links(side.tenant) == [
        Link("a", "b", "calls", 1.0), Link("a", "b", "feeds", 3.0), Link("b", "c", "adjacent", 2.0)
    ]  # fmt: skip
    assert await side.answers.links(side.other) == []
    assert await side.answers.delete_links(side.other, drawn) == 0
    assert await side.answers.delete_links(side.tenant, [*drawn[:2], Link("x", "y", "feeds", 1.0)]) == 2
    assert await side.answers.links(side.tenant) == drawn[2:]
    await side.graph.caught_up()


async def test_energy_flows_over_links_by_their_weights(side: Side):
    await side.record(States("rack", [row(0, 600.0), row(1, 300.0)]), States("host", [row(0, 100.0)]))
    await side.answers.put_links(
        side.tenant,
        [
            Link("pdu1", "rack", "feeds", 2.0),
            Link("pdu2", "rack", "feeds", 1.0),
            Link("api", "rack", "calls", 5.0),
            Link("rack", "host", "feeds", 1.0),
            Link("rack", "other", "adjacent", 1.0),
        ],
    )
    flows = await side.answers.flow(side.tenant, T0, T0 + 2 * WINDOW_US)
    assert {(link.source, link.to_source): energy_j for link, energy_j in flows} == {
        ("pdu1", "rack"): pytest.approx(600.0),
        ("pdu2", "rack"): pytest.approx(300.0),
        ("api", "rack"): pytest.approx(900.0),
        ("rack", "host"): pytest.approx(100.0),
    }


async def test_a_shift_is_traced_to_earlier_ones_nearby(side: Side):
    await side.answers.put_links(
        side.tenant,
        [Link("feed", "rack", "feeds", 1.0), Link("rack", "host", "feeds", 1.0), Link("far", "feed", "calls", 1.0)],
    )
    for source, second in (("rack", 590), ("feed", 595), ("far", 599), ("alone", 599), ("rack", 100), ("feed", 601)):
        await add_shift(side, source, second, "r1", "r2")
    shift = await add_shift(side, "host", 600, "r1", "r2")
    found, origins, complete = await side.answers.trace(side.tenant, "host", "", 300.0, 2, 10)
    assert (found, complete) == (shift, True)
    assert [(one.shift.source, one.before_s, one.hops) for one in origins] == [("rack", 10.0, 1), ("feed", 5.0, 2)]
    assert [one.score for one in origins] == pytest.approx([0.904837, 0.475615], abs=1e-6)
    _, widest, _ = await side.answers.trace(side.tenant, "host", "host@600", 900.0, 3, 10)
    assert {(one.shift.source, one.before_s) for one in widest} == {
        ("rack", 10.0), ("rack", 500.0), ("feed", 5.0), ("far", 1.0)
    }  # fmt: skip
    _, nothing, _ = await side.answers.trace(side.tenant, "alone", "", 300.0, 3, 10)
    assert nothing == []
    with pytest.raises(NotFound):
        await side.answers.trace(side.tenant, "host", "host@1", 300.0, 3, 10)
    with pytest.raises(NotFound):
        await side.answers.trace(side.other, "host", "", 300.0, 3, 10)


async def test_the_path_of_regimes_covers_the_span_and_shares_no_window(side: Side):
    await side.write(
        'INSERT INTO sources (tenant, name, clock_us, sends_power, regime, regime_us, "offset", row_us, rack_us)'
        " VALUES (?,?,1,1,'r3',1,1,0,0)",
        side.tenant,
        "dc",
    )
    for second, left, entered in ((90, "r1", "r2"), (600, "r2", "r3")):
        await add_shift(side, "dc", second, left, entered)
    await side.record(States("dc", [row(minute, float(minute)) for minute in range(20)]))
    path = await side.answers.path(side.tenant, "dc", T0, T0 + 20 * WINDOW_US, 10)
    assert [(stretch.regime, (stretch.start_us - T0) // 10**6, (stretch.end_us - T0) // 10**6) for stretch, _ in path] == [
        ("r1", 0, 90), ("r2", 90, 600), ("r3", 600, 1200)
    ]  # fmt: skip
    assert [sums.energy_j for _, sums in path if sums] == [0.0, sum(range(1, 10)), sum(range(10, 20))]
    paged, start_us = [], T0
    while start_us < T0 + 20 * WINDOW_US:
        paged += await side.answers.path(side.tenant, "dc", start_us, T0 + 20 * WINDOW_US, 1)
        start_us = paged[-1][0].end_us
    assert paged == path
    assert await side.answers.path(side.tenant, "nobody", T0, T0 + WINDOW_US, 10) == []


async def test_top_consumers_against_the_list(side: Side):
    rng, oracle = random.Random(4), Oracle()
    changes = some_changes(rng, 6, 240, 60)
    await side.record(*changes)
    oracle.apply(changes)
    middle_us, end_us = T0 + 120 * WINDOW_US, T0 + 240 * WINDOW_US
    top, total_j = await side.answers.top(side.tenant, middle_us, end_us, 4)
    now, before = (oracle.sums(*span, end_us - middle_us) for span in ((middle_us, end_us), (T0, middle_us)))
    assert total_j == pytest.approx(sum(figures[0] for figures in now.values()))
    ranked = sorted(now, key=lambda key: -now[key][0])[:4]
    assert [one.source for one in top] == [key[0] for key in ranked]
    for one in top:
        energy_j, covered_s, *_ = now[one.source, middle_us]
        earlier = before[one.source, T0]
        assert one.energy_j == pytest.approx(energy_j)
        assert one.trend == pytest.approx((energy_j / covered_s) / (earlier[0] / earlier[1]) - 1)
    newcomer = await side.answers.top(side.tenant, T0, middle_us, 1)
    assert newcomer[0][0].trend is None, "nothing is known of the time before"


async def test_similar_states_against_the_list(side: Side):
    oracle = Oracle()
    changes = some_changes(random.Random(6), 3, 200, 20)
    await side.record(*changes)
    oracle.apply(changes)
    target = await side.answers.state_at(side.tenant, "s1", END_OF_TIME_US - 1)
    found, scanned, complete = await side.answers.similar(side.tenant, target, "", EVERYTHING, 5)
    listed = oracle.within(*EVERYTHING)
    columns = zip(*((s.start_us, s.energy_j, s.covered_s, s.entropy) for _, s in listed), strict=True)
    vectors = embedding.vectors(*columns, WINDOW_US)  # pyright: ignore[reportCallIssue]
    own = [(name, s.start_us) for name, s in listed].index(("s1", target.start_us))
    away = sorted(embedding.distances(vectors[own], vectors))[1:6]
    assert (scanned, complete) == (len(listed), True)
    assert [distance for _, distance in found] == pytest.approx(away)
    among, _, _ = await side.answers.similar(side.tenant, target, "s2", EVERYTHING, 5)
    assert {state.source for state, _ in among} == {"s2"}


async def test_shifts_and_places_are_read_where_the_learner_keeps_them(side: Side):
    shift = await add_shift(side, "dc", 90, "r1", "r2")
    await side.record(Place("dc", 3.0, 4.0), States("dc", [row(1)]))
    assert await side.store.read(lambda conn: topology.list_shifts(conn, side.tenant, "", NEWEST, 9)) == [shift]
    windows = [("dc", T0 + WINDOW_US), ("dc", T0)]
    assert await side.graph.standing(side.tenant, windows) == {("dc", T0 + WINDOW_US)}


async def test_a_name_that_is_taken_back_at_once_leaves_the_first(side: Side):
    await side.record(States("dc", [row(minute, regime="r1") for minute in range(4)]))
    span = (T0, T0 + 4 * WINDOW_US)
    await side.record(Stretch("dc", *span, "r2"), Stretch("dc", *span, "r1"))
    assert {state.regime for state in await side.graph.states(side.tenant, "dc", span, (END_OF_TIME_US, ""), 10)} == {
        "r1"
    }
