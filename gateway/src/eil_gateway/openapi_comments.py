"""The protos' comments, which generated code lacks: read from the .proto files themselves, in a checkout of the repository."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2

PROTOS = Path(__file__).parents[3] / "protos"


def comments(protos: Path = PROTOS) -> dict[str, str]:
    """Comments of everything in the .proto files of `eil`, by full name: paragraphs in one line each.

    Raises:
        RuntimeError: the files, what they import, or the compiler are not here.
    """
    try:
        from grpc_tools import protoc  # a tool of the workspace, not of the installed door
    except ImportError as error:
        raise RuntimeError("grpcio-tools is missing, which reads the protos' comments; run `make setup`") from error
    files = sorted(str(path) for path in (protos / "eil").rglob("*.proto"))
    imports = [protos, protos.parent / ".venv/protos", Path(protoc.__file__).with_name("_proto")]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "all.binpb"
        options = ["--include_source_info", f"--descriptor_set_out={out}", *(f"-I{path}" for path in imports)]
        if not files or protoc.main(["protoc", *options, *files]) != 0:
            raise RuntimeError(f"the protos in {protos} cannot be read; in a checkout, run `make generate`")
        parsed = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    found: dict[str, str] = {}
    for file in parsed.file:
        for location in file.source_code_info.location:
            text, name = location.leading_comments or location.trailing_comments, _named(file, location.path)
            if text and name:
                found[name] = _reflowed(text)
    return found


def _named(file: descriptor_pb2.FileDescriptorProto, path: Sequence[int]) -> str | None:
    """Full name of what a source location describes: pairs of (field of the descriptor, index); a file's name for its package."""
    if list(path) == [descriptor_pb2.FileDescriptorProto.PACKAGE_FIELD_NUMBER]:
        return file.name
    node: Any = file
    names = [file.package]
    for number, index in zip(path[::2], path[1::2], strict=False):
        field = node.DESCRIPTOR.fields_by_number.get(number)
        if field is None or not field.is_repeated or field.message_type is None or len(path) % 2:
            return None  # an option, a type, a part of a declaration
        node = getattr(node, field.name)[index]
        if "name" not in node.DESCRIPTOR.fields_by_name:
            return None
        names.append(node.name)
    return ".".join(names) if len(names) > 1 else None


def _reflowed(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    kept = "\n".join(line for line in lines if not line.startswith("buf:lint:"))
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n{2,}", kept)).strip()
