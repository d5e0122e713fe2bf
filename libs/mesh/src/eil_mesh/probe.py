"""Whether the service in this container serves: `python -m eil_mesh.probe`, or an image's health check. 0 is yes."""

import os
import sys
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PORT = 7001
"""Where services answer probes, if EIL_MESH_HEALTH_PORT says nothing else."""


def main() -> int:
    """Ask grpc.health.v1 on this machine."""
    with grpc.insecure_channel(f"127.0.0.1:{os.environ.get('EIL_MESH_HEALTH_PORT', PORT)}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=3)
        except grpc.RpcError as error:
            print(f"the service does not answer: {error}", file=sys.stderr)
            return 1
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())
