"""The tools that agents get, and what they mean in numbers. Nothing here comes from telemetry: what a tool says of itself is fixed."""

from eil_bridge.tools import Schema, Tool, count, number, numbers, record, text

SOURCE = "^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
"""What names of sources look like, as in the contract."""
_TIME = {"format": "date-time"}
_PAGE = {
    "page_size": count("Entries wanted at most; 100 by default.", minimum=1, maximum=1000),
    "page_token": text("`next_page_token` of the page before."),
}
_REQUEST_ID = text(
    "Your own id of this request, kept 7 days: sent again, it gets the same answer and counts once.", maxLength=128
)
_STATE = {
    "energy": number("Energy over the prediction's window [J].", minimum=0),
    "entropy": number("Entropy generated over the window [J/K]."),
}

_QUESTION: dict[str, Schema] = {
    "goal": text(
        "What is wanted: least energy, least cost (give price_per_kwh), least carbon (give carbon_g_per_kwh), or least energy "
        "for each unit of work.",
        enum=["minimize_energy", "minimize_cost", "minimize_carbon", "maximize_efficiency"],
    ),
    "current_state": {
        "description": "The plant now.",
        **record(
            {
                "active_servers": count("Servers that serve now.", minimum=1, maximum=100_000),
                "avg_utilization": number("Utilisation per active server, from 0 to 1.", minimum=0, maximum=1),
            },
            "active_servers",
            "avg_utilization",
        ),
    },
    "constraints": {
        "description": "Hard limits; 0 or left out is none.",
        **record(
            {
                "max_latency_ms": number("Largest latency [ms].", minimum=0),
                "min_throughput": number("Smallest throughput that must be servable [requests/s].", minimum=0),
                "max_power_w": number("Largest power [W].", minimum=0),
                "max_temperature_c": number("Largest temperature [°C].", minimum=0),
            }
        ),
    },
    "source": text("Source whose learned behaviour is used; left out, current_state alone is."),
    "price_per_kwh": numbers("Price of energy by hour from now on [currency/kWh]."),
    "carbon_g_per_kwh": numbers("Carbon intensity by hour from now on [g/kWh]."),
    "horizon_s": number("Time that the prediction speaks of [s]; 300 by default.", minimum=0, maximum=86_400),
}

TOOLS: tuple[Tool, ...] = (
    Tool(
        "sense",
        "Report one sample",
        "Reports one sample of a source and answers its energy state: total_energy [J] and entropy [J/K] over the accounting window, "
        "regime and where it goes. Units of well-known channels: power_draw W; temperature and ambient_temperature °C; network_throughput "
        "byte/s; cpu_usage 0-1; request_rate 1/s; latency_ms ms; active_servers 1. What you report is kept as your own word.",
        "regime",
        "Sense",
        {
            "source": text("Name of the source, e.g. rack/7.", pattern=SOURCE),
            "timestamp": text("When the sample was taken, RFC 3339 in UTC.", **_TIME),
            "telemetry": {
                "type": "object",
                "description": "Values by channel, 1 to 256.",
                "additionalProperties": {"type": "number"},
                "minProperties": 1,
                "maxProperties": 256,
            },
            "context": {
                "type": "object",
                "description": "Labels; power_kind is `instant` (default) or `mean`.",
                "additionalProperties": {"type": "string"},
                "maxProperties": 32,
            },
            "request_id": _REQUEST_ID,
        },
        ("source", "timestamp", "telemetry"),
        reads=False,
    ),
    Tool(
        "get_status",
        "Energy state and regime",
        "The present state of one source (a server, rack or plant that sends telemetry) or of all. total_energy [J] and entropy [J/K] "
        "are over the last window_s seconds, of which covered_s were measured; power [W], temperature [°C]. The regime is stable, "
        "drifting, transition or critical; confidence (0-1) is the probability that it is in next_regime_id 60 samples on. Fields named in "
        "`missing` were never sent: their 0 means nothing.",
        "regime",
        "GetStatus",
        {"source": text("One source; left out, all."), **_PAGE},
    ),
    Tool(
        "act",
        "Ask for the cheapest action",
        "Asks which action saves most energy within the constraints, and commits the prediction of its outcome, which cannot be "
        "altered afterwards. Answers action (scale_down, scale_up, adjust or hold, with target_servers and settings of other levers; "
        "expected_energy_savings [J] over the horizon, against doing nothing), predicted_state (energy [J] with a 90 % interval, "
        "entropy [J/K]), prediction_id and why. Asking does not carry it out unless `emitted` is true. After horizon_s, claim the "
        "outcome with `prove`.",
        "decision",
        "Act",
        {
            **_QUESTION,
            "mode": text(
                "How far the mesh may go; it can only lower the source's own mode.",
                enum=["observe", "advise", "approve", "auto"],
            ),
            "request_id": _REQUEST_ID,
        },
        ("goal", "current_state"),
        reads=False,
        repeatable=False,
    ),
    Tool(
        "what_if",
        "Try a question without committing",
        "Asks the same as `act`, and commits nothing: the answer has no prediction_id, nothing is carried out and nothing can be proven. "
        "Ask it to compare constraints, goals or horizons.",
        "decision",
        "Act",
        _QUESTION,
        ("goal", "current_state"),
        repeatable=False,
        fixed={"mode": "observe"},
    ),
    Tool(
        "decisions",
        "Decisions made",
        "Decisions of the tenant, newest first: what was asked, what was answered, the window [window_start, window_end) that the "
        "prediction speaks of, on the source's clock, and the purpose that the caller named.",
        "decision",
        "ListDecisions",
        {"source": text("One source; left out, all."), **_PAGE},
    ),
    Tool(
        "explain_decision",
        "Why a decision was made",
        "The tree of a decision: the question, every candidate with its cost [J] and predicted energy [J], which was chosen, which "
        "rejected and why, and what became of the action.",
        "decision",
        "GetDecisionTree",
        {"prediction_id": text("From `act` or `decisions`.", maxLength=128)},
        ("prediction_id",),
    ),
    Tool(
        "regime_history",
        "Shifts between regimes",
        "Shifts of a source's behaviour, newest first: when the new regime began (onset) and when that was found (detected), regimes left "
        "and entered, the channels that moved, the statistic and its threshold.",
        "regime",
        "ListShifts",
        {"source": text("One source; left out, all."), **_PAGE},
    ),
    Tool(
        "predict",
        "Predict a source's next minutes",
        "Predicts each channel of a source from the states that the Atlas keeps of it, one row a minute: point, low and high (the interval "
        "at `level`), and the sum over the horizon. If in_domain is false the model has not seen the like, and the interval is widened.",
        "nvp",
        "Predict",
        {
            "source": text("The source.", maxLength=128),
            "horizon": count("Rows to predict; 1 by default.", minimum=1, maximum=1000),
            "level": number("Level of the interval; 0.9 by default.", exclusiveMinimum=0, exclusiveMaximum=1),
        },
        ("source",),
    ),
    Tool(
        "prove",
        "Prove a prediction",
        "Judges a prediction of `act` against what was measured, once its window is over (before: NOT_YET_MEASURED). "
        "energy_error and entropy_error are percent of the measured value. A valid proof of a metered source mints pft_minted [PFT]; "
        "`reason` says why or why not. One verdict stands for each prediction.",
        "proof",
        "Prove",
        {
            "prediction_id": text("From `act`."),
            "predicted_state": {
                "description": "energy and entropy of act's predicted_state, echoed exactly.",
                **record(_STATE, "energy", "entropy"),
            },
            "actual_state": {
                "description": "What your own meter says of the same window.",
                **record(_STATE, "energy", "entropy"),
            },
            "timestamp": text("When the outcome was read, RFC 3339 in UTC.", **_TIME),
            "request_id": _REQUEST_ID,
        },
        ("prediction_id", "predicted_state", "actual_state"),
        reads=False,
    ),
    Tool(
        "energy_map",
        "Map of energy",
        "Where the energy went: a node for each source with its energy [J], entropy generated [J/K] and newest regime, and an edge for "
        "each kind of transition between regimes, with how often it happened. By default over the hour up to the newest state. "
        "Mean power [W] is energy divided by the seconds from start to end.",
        "atlas",
        "GetEnergyMap",
        {
            "start": text("Begin, included, RFC 3339 in UTC.", **_TIME),
            "end": text("End, excluded, RFC 3339 in UTC.", **_TIME),
        },
    ),
    Tool(
        "balances",
        "Token balances",
        "Balances of the tenant's accounts: CEU (1 CEU = 1000 inference steps), PFT (minted by valid proofs), MUNT (a model licence). "
        "balance_u and reserved_u are exact integers of 10^-6 token, written as strings; balance is the same in tokens, for people.",
        "economy",
        "GetBalances",
        {"owner": text("One owner; left out, all of the tenant.", maxLength=128)},
    ),
    Tool(
        "budget",
        "Your compute budget",
        "The caller's budget of CEU (1 CEU = 1000 inference steps): left_u and leased_u are exact integers of 10^-6 CEU, written as "
        "strings; capacity_u is what it is filled up to, refill_u_per_h what flows in within an hour.",
        "economy",
        "GetBudget",
        {"principal": text("Whose; left out, your own.", maxLength=100)},
    ),
    Tool(
        "pricing",
        "Posted prices",
        "Posted prices of CEU, PFT and MUNT: amount of the currency for one token (see unit, e.g. EUR/CEU), and the factors whose "
        "product it is, each with its unit, meaning and source.",
        "market",
        "GetPricing",
        {"quantity": number("CEU wanted at once [CEU], for the bulk tier; 1 by default.", minimum=0)},
    ),
)
