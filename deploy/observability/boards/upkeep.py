"""Rows of the health dashboard: stores, journals, events, the Atlas, streams."""

from typing import Final

from panels import Query, Row, figure, graph, grown, quantiles, rate, share

CHOSEN: Final = 'service=~"$service"'

UPKEEP: Final = (
    Row(
        "Stores and journals",
        (
            graph(
                "Commits, p99",
                "Time that a commit took, with the work of everything in it.",
                "s",
                *quantiles("eil_store_commit_seconds", CHOSEN, "service", at=[0.99]),
                alerts=["EilStoreSlow"],
                limit=0.25,
                width=8,
            ),
            graph(
                "Writes that share a commit, mean",
                "The busier a store, the more share one.",
                "none",
                Query(
                    share(
                        rate("eil_store_commit_writes_sum", CHOSEN, "service"),
                        rate("eil_store_commit_writes_count", CHOSEN, "service"),
                    ),
                    "{{service}}",
                ),
                width=8,
            ),
            graph(
                "Commits that failed",
                "Disk full, or the database away. Writes are answered 503 and change nothing.",
                "ops",
                Query(rate("eil_store_failures_total", CHOSEN, "service"), "{{service}}"),
                alerts=["EilStoreFailures"],
                width=8,
            ),
            graph(
                "Journals",
                "Entries a second.",
                "eps",
                Query(
                    f"sum by (service) (deriv(eil_journal_offset{{{CHOSEN}}}[$__rate_interval])) >= 0",
                    "{{service}}",
                ),
            ),
            graph(
                "Not anchored",
                "Entries under no signed head yet. Heads are signed every ten seconds.",
                "none",
                Query(f"eil_journal_offset{{{CHOSEN}}} - eil_journal_anchored_offset{{{CHOSEN}}}", "{{service}}"),
                alerts=["EilJournalNotAnchored"],
            ),
        ),
    ),
    Row(
        "Events",
        (
            graph(
                "Age of the oldest event not handled",
                "By follower and what it follows.",
                "s",
                Query(f"eil_events_lag_seconds{{{CHOSEN}}}", "{{service}} behind {{exported_service}}"),
                alerts=["EilEventsLag"],
                limit=60,
            ),
            graph(
                "Events not handled",
                "By follower and what it follows.",
                "none",
                Query(f"eil_events_lag{{{CHOSEN}}}", "{{service}} behind {{exported_service}}"),
                alerts=["EilEventsLag"],
            ),
            graph(
                "Sent and followed",
                "Entries sent to subscribers, and taken from another's journal.",
                "eps",
                Query(rate("eil_events_sent_total", CHOSEN, "service"), "{{service}} sent"),
                Query(
                    rate("eil_events_followed_total", CHOSEN, "service, exported_service"),
                    "{{service}} took of {{exported_service}}",
                ),
                width=8,
            ),
            graph(
                "Dead letters",
                "Events put aside within an hour. `eil events dead` lists them.",
                "none",
                Query("eil:dead_letters:increase1h", "{{service}} of {{exported_service}}"),
                Query(f"eil_dead_letters_total{{{CHOSEN}}}", "{{service}} since its start"),
                alerts=["EilDeadLetters"],
                width=8,
            ),
            graph(
                "Relay to Kafka",
                "Entries that Kafka has not acknowledged yet, and those it did a second.",
                "none",
                Query(f"eil_relay_backlog{{{CHOSEN}}}", "{{service}} waiting"),
                Query(rate("eil_relayed_total", CHOSEN, "service"), "{{service}} a second"),
                alerts=["EilRelayStalled", "EilRelayBacklog"],
                width=8,
            ),
        ),
    ),
    Row(
        "The Atlas",
        (
            figure(
                "Log, graph and segments agreed",
                "How long ago. Compared every six hours; decades if not yet since the Atlas was started.",
                "s",
                'time() - max(eil_atlas_consistency_clean_timestamp_seconds{job="eil-atlas"})',
                alerts=["EilAtlasNotClean"],
                limit=86400,
                width=6,
            ),
            figure(
                "Hours compared",
                "Hours of sources compared with the log within the time range.",
                "none",
                grown("eil_atlas_consistency_checked_hours_total"),
                width=6,
            ),
            figure(
                "Segments lost",
                "Found lost or damaged within the time range.",
                "none",
                grown("eil_atlas_segments_lost_total"),
                alerts=["EilSegmentsLost"],
                limit=1,
                width=6,
            ),
            figure(
                "Contents swept",
                "Removed within the time range because no object had them any more.",
                "none",
                grown("eil_atlas_objects_swept_total"),
                width=6,
            ),
            graph(
                "Not what the log says",
                "Hours found within a day, by what was wrong.",
                "none",
                Query("eil:atlas_consistency_findings:increase1d", "{{kind}}"),
                Query("sum by (kind) (eil_atlas_consistency_findings_total)", "{{kind}} since the start"),
                alerts=["EilAtlasConsistencyFindings"],
            ),
            graph(
                "Changes that wait for Neo4j",
                "Where the graph is kept there. Following stops at 200,000.",
                "none",
                Query('eil_atlas_outbox_entries{job="eil-atlas"}', "{{instance}}"),
                alerts=["EilGraphOutbox"],
                limit=50000,
            ),
        ),
    ),
    Row(
        "Streams and agents",
        (
            graph(
                "Clients of the stream",
                "WebSocket and server-sent events.",
                "none",
                Query("sum(eil_stream_clients)", "clients"),
                width=8,
            ),
            graph(
                "Skipped",
                "Events that slow clients were not sent, as they had asked.",
                "eps",
                Query(rate("eil_stream_skipped_total"), "skipped"),
                alerts=["EilStreamSkipped"],
                width=8,
            ),
            graph(
                "Tools that agents called",
                "By tool and outcome.",
                "reqps",
                Query(rate("eil_mcp_calls_total", by="tool, outcome"), "{{tool}} {{outcome}}"),
                width=8,
            ),
        ),
    ),
)
