"""What the protos say that the door must know: every method of the services in the table, and their descriptors for transcoding."""

from collections.abc import Iterator
from dataclasses import dataclass

from eil_mesh.access import Access, access_of, contract, methods
from eil_mesh.services import SERVICES
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True, slots=True)
class Method:
    """One method."""

    path: str
    """`/package.Service/Method`."""
    service: str
    """Name in the service table."""
    access: Access
    streaming: bool


def _files() -> Iterator[tuple[str, FileDescriptor]]:
    """The contract of each service that speaks gRPC: its name in the table, and a file."""
    for name, service in SERVICES.items():
        if service.grpc:
            yield from ((name, file) for file in contract(name))


def interfaces() -> list[str]:
    """Full names of the gRPC interfaces."""
    return [interface.full_name for _, file in _files() for interface in file.services_by_name.values()]


def all_methods() -> Iterator[Method]:
    """Every method of every service. The journals (`EventLogService`) are not among them: the bridge streams events."""
    for name, file in _files():
        for interface in file.services_by_name.values():
            for path, method in methods(interface):
                access = access_of(path)
                if access is None:
                    raise LookupError(f"{path} has no access: its generated code is not in the default descriptor pool")
                yield Method(path, name, access, bool(method.server_streaming or method.client_streaming))


def descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """The contracts with all that they import, imports first, and google.rpc's errors, which would be left out of answers without."""
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for imported in file.dependencies:
                add(imported)
            files[file.name] = file

    for file in (*(file for _, file in _files()), error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR):
        add(file)
    collected = descriptor_pb2.FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(collected.file.add())
    return collected
