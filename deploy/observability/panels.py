"""What a dashboard is made of: queries, panels, and where they stand. Grafana's schema is here and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]
SCHEMA: Final = 39
"""Grafana 10.4 and later."""
SOURCE: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
RATE: Final = "$__rate_interval"
COLUMNS: Final = 24
_ALERTS: Final[Json] = {
    "name": "Alerts",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertname=~"Eil.+",alertstate="firing"}',
    "titleFormat": "{{alertname}} {{service}}",
    "step": "60s",
}
"""Marks on every panel, when an alert fired."""


@dataclass(frozen=True)
class Query:
    """An expression and what its series are called."""

    expr: str
    legend: str = ""
    exemplars: bool = False
    """Whether points name traces that they rest on."""


@dataclass(frozen=True)
class Panel:
    """A panel before it has a place."""

    kind: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int
    height: int
    alerts: tuple[str, ...] = ()
    """Alerts that watch what it shows; it links to their runbooks."""
    options: Json = field(default_factory=dict)
    custom: Json = field(default_factory=dict)
    """What the kind of panel knows of its fields."""
    defaults: Json = field(default_factory=dict)
    """Of every field."""
    extra: Json = field(default_factory=dict)
    """Of every query."""
    instant: bool = False
    """Whether it asks for the end of the time range alone."""


@dataclass(frozen=True)
class Row:
    """A heading, and what stands under it."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """A page. Its file is called as it is."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Json, ...] = ()


def rate(metric: str, match: str = "", by: str = "", *, over: str = RATE) -> str:
    """Change a second, summed. What happens seldom wants a longer time `over` which it is looked at."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{f'{{{match}}}' if match else ''}[{over}]))"


def grown(metric: str, match: str = "", by: str = "", *, over: str = "$__range") -> str:
    """What was added, within the dashboard's time range unless said otherwise."""
    return rate(metric, match, by, over=over).replace("(rate(", "(increase(")


def share(part: str, whole: str) -> str:
    """One over the other."""
    return f"{part} / {whole}"


def or_none(expr: str) -> str:
    """The same, 0 where there is nothing: a label that was never counted has no series."""
    return f"{expr} or vector(0)"


def quantiles(
    histogram: str, match: str = "", by: str = "", *, at: Sequence[float] = (0.5, 0.9, 0.99), over: str = RATE
) -> list[Query]:
    """Quantiles of a histogram, each its own series, with the traces that it knows."""
    within = rate(f"{histogram}_bucket", match, f"{by}, le" if by else "le", over=over)
    named = f" {{{{{by}}}}}" if by else ""
    return [Query(f"histogram_quantile({q:g}, {within})", f"p{100 * q:g}{named}", exemplars=True) for q in at]


def graph(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    width: int = 12,
    alerts: Sequence[str] = (),
    stacked: bool = False,
    limit: float | None = None,
) -> Panel:
    """Lines over time; `limit` draws where it becomes too much."""
    custom: Json = {"lineWidth": 1, "fillOpacity": 30 if stacked else 8, "showPoints": "never"}
    custom["stacking"] = {"mode": "normal" if stacked else "none", "group": "A"}
    defaults: Json = {"min": 0} if unit != "none" else {}
    if limit is not None:
        custom["thresholdsStyle"] = {"mode": "dashed"}
        defaults["thresholds"] = _thresholds(limit)
    options: Json = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return Panel("timeseries", title, description, unit, queries, width, 8, tuple(alerts), options, custom, defaults)


def figure(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    width: int = 4,
    alerts: Sequence[str] = (),
    limit: float | None = None,
    least: float | None = None,
) -> Panel:
    """One number, red above `limit` or below `least`."""
    options: Json = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "textMode": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    steps = _thresholds(limit) if limit is not None else _thresholds(least, above="green", below="red")
    return Panel(
        "stat",
        title,
        description,
        unit,
        (Query(expr),),
        width,
        4,
        tuple(alerts),
        options,
        defaults={"thresholds": steps},
        instant=True,
    )


def heatmap(title: str, description: str, unit: str, histogram: str, match: str = "", *, width: int = 12) -> Panel:
    """How often each bucket of a histogram was met, over time."""
    options: Json = {
        "calculate": False,
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "exponent": 0.5, "steps": 64},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "unit": unit},
    }
    query = Query(rate(f"{histogram}_bucket", match, "le"), "{{le}}", exemplars=True)
    return Panel("heatmap", title, description, unit, (query,), width, 8, options=options, extra={"format": "heatmap"})


def timeline(title: str, description: str, *queries: Query, width: int = 24, alerts: Sequence[str] = ()) -> Panel:
    """When something was so (1) and when not (0)."""
    told = {"0": {"text": " ", "color": "transparent"}, "1": {"text": "yes", "color": "orange"}}
    defaults: Json = {"mappings": [{"type": "value", "options": told}]}
    options: Json = {"mergeValues": True, "showValue": "never", "rowHeight": 0.8, "legend": {"showLegend": False}}
    custom: Json = {"fillOpacity": 80, "lineWidth": 0}
    return Panel(
        "state-timeline", title, description, "bool", queries, width, 6, tuple(alerts), options, custom, defaults
    )


def bars(
    title: str, description: str, unit: str, query: Query, *, width: int = 12, alerts: Sequence[str] = ()
) -> Panel:
    """A bar for each series, at the end of the time range."""
    options: Json = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showUnfilled": False,
    }
    return Panel("bargauge", title, description, unit, (query,), width, 8, tuple(alerts), options, instant=True)


def table(title: str, description: str, query: Query, hidden: Sequence[str], *, width: int = 12) -> Panel:
    """Labels of series, a line each."""
    extra: Json = {"format": "table"}
    panel = Panel("table", title, description, "none", (query,), width, 8, extra=extra, instant=True)
    panel.options["hidden"] = list(hidden)
    return panel


def written(dashboard: Dashboard, variables: Sequence[Json], runbooks: str) -> Json:
    """The dashboard as Grafana reads it."""
    panels, y = list[Json](), 0
    for row in dashboard.rows:
        panels.append(
            {"type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": _at(0, y, COLUMNS, 1)}
        )
        y += 1
        x = tallest = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            panels.append(_panel(panel, _at(x, y, panel.width, panel.height), runbooks))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return {
        "uid": f"eil-{dashboard.name}",
        "title": f"EIL / {dashboard.title}",
        "description": dashboard.description,
        "tags": ["eil"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one cursor for all panels
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "timezone": "utc",
        "templating": {"list": [*variables, *dashboard.variables]},
        "annotations": {"list": [_ALERTS]},
        "links": [
            {
                "type": "dashboards",
                "title": "EIL",
                "tags": ["eil"],
                "asDropdown": True,
                "keepTime": True,
                "includeVars": True,
            }
        ],
        "panels": [{"id": number, **panel} for number, panel in enumerate(panels, 1)],
    }


def _panel(panel: Panel, at: Json, runbooks: str) -> Json:
    options, made = dict(panel.options), Json()
    if panel.kind == "table":
        hidden = {name: True for name in options.pop("hidden")}
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": at,
        "targets": [_target(panel, query, number) for number, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.defaults, "custom": panel.custom}, "overrides": []},
        "options": options,
        "links": [
            {"title": f"{alert}: what to do", "url": f"{runbooks}/{alert}.md", "targetBlank": True}
            for alert in panel.alerts
        ],
        **made,
    }


def _target(panel: Panel, query: Query, number: int) -> Json:
    return {
        "refId": chr(ord("A") + number),
        "datasource": SOURCE,
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "exemplar": query.exemplars,
        "instant": panel.instant,
        "range": not panel.instant,
        **panel.extra,
    }


def _thresholds(at: float | None, *, above: str = "red", below: str = "green") -> Json:
    if at is None:
        return {"mode": "absolute", "steps": [{"color": "text", "value": None}]}
    return {"mode": "absolute", "steps": [{"color": below, "value": None}, {"color": above, "value": at}]}


def _at(x: int, y: int, width: int, height: int) -> Json:
    return {"x": x, "y": y, "w": width, "h": height}
