-- wrk's script of `eil bench gateway`: each request is a new sample, of so many sources in turn, a second after the source's last one.
-- The samples lie in the past, so that however many are sent none lies in the future.
local token, prefix, sources = os.getenv("EIL_TOKEN"), os.getenv("EIL_PREFIX"), tonumber(os.getenv("EIL_SOURCES"))
local begin, sent = os.time() - 86400, 0
local body = '{"source":"%s-%d","timestamp":"%sZ","telemetry":{"cpu_usage":0.75,"power_draw":850.5,"temperature":72.3,'
  .. '"network_throughput":1250000},"context":{"workload_type":"ml_training","priority":"high"}}'

function init()
  wrk.headers["Content-Type"], wrk.headers["Authorization"] = "application/json", "Bearer " .. token
end

function request()
  local source, round = sent % sources, math.floor(sent / sources)
  sent = sent + 1
  local sample = body:format(prefix, source, os.date("!%Y-%m-%dT%H:%M:%S", begin + round))
  return wrk.format("POST", "/v1/sense", nil, sample)
end

function done(summary, latency)
  local errors = summary.errors
  local refused = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(("result %.3f %.3f %.3f %d %d\n"):format(
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, summary.requests, refused))
end
