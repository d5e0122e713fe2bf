"""What the protos say that the door must know: every method of the services in the table, and their descriptors for transcoding."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eil_mesh import stream_end
from eil_mesh.access import FOREIGN, Access, access_of, contract, methods
from eil_mesh.services import SERVICES
from google.api import annotations_pb2, httpbody_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
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


def own_methods() -> Iterator[Method]:
    """Every method of every service in our own contract. The journals (`EventLogService`) are left out: the bridge streams events."""
    for name, file in _files():
        for interface in file.services_by_name.values():
            for path, method in methods(interface):
                access = access_of(path)
                if access is None:
                    raise LookupError(f"{path} has no access: its generated code is not in the default descriptor pool")
                yield Method(path, name, access, bool(method.server_streaming or method.client_streaming))


def all_methods() -> Iterator[Method]:
    """Those, and the methods of other people's contracts that a service serves."""
    yield from own_methods()
    for path, (name, access) in FOREIGN.items():
        yield Method(path, name, access, streaming=False)


def rest_of(path: str) -> str:
    """Verb and path by which REST reaches a method of our own contract, such as `POST /v1/sense`, or "" if it does not."""
    service, _, name = path.removeprefix("/").partition("/")
    method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    http: Any = annotations_pb2.http  # the generated type is that of any extension
    rule = method.GetOptions().Extensions[http]
    verb = rule.WhichOneof("pattern")
    return f"{verb.upper()} {getattr(rule, verb)}" if verb else ""


def raw_posts() -> list[str]:
    """REST paths whose bodies are taken as they come (`google.api.HttpBody`)."""
    return [
        rest_of(path).removeprefix("POST ")
        for _, file in _files()
        for interface in file.services_by_name.values()
        for path, method in methods(interface)
        if method.input_type.full_name == httpbody_pb2.HttpBody.DESCRIPTOR.full_name
    ]


def descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """The contracts with all that they import, imports first, and google.rpc's errors, which would be left out of answers without.

    Messages that a server streams have one field more than in the protos, `error`: see `eil_mesh.stream_end`.
    """
    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for imported in file.dependencies:
                add(imported)
            files[file.name] = file

    for file in (error_details_pb2.DESCRIPTOR, status_pb2.DESCRIPTOR, *(file for _, file in _files())):
        add(file)
    streamed = {
        method.output_type.full_name
        for _, file in _files()
        for interface in file.services_by_name.values()
        for _, method in methods(interface)
        if method.server_streaming
    }
    collected = descriptor_pb2.FileDescriptorSet()
    for file in files.values():
        written = collected.file.add()
        file.CopyToProto(written)
        for message in written.message_type:
            if f"{written.package}.{message.name}" in streamed:
                _add_error(written, message)
    return collected


def _add_error(file: descriptor_pb2.FileDescriptorProto, message: descriptor_pb2.DescriptorProto) -> None:
    kind = descriptor_pb2.FieldDescriptorProto
    message.field.add(
        name="error",
        json_name="error",
        number=stream_end.FIELD,
        type=kind.TYPE_MESSAGE,
        label=kind.LABEL_OPTIONAL,
        type_name=f".{status_pb2.Status.DESCRIPTOR.full_name}",
    )
    if status_pb2.DESCRIPTOR.name not in file.dependency:
        file.dependency.append(status_pb2.DESCRIPTOR.name)
