"""Our .proto files describe the same wire format as the public ones: names, numbers, wire types, repetition."""
import importlib
import pkgutil
import subprocess

import opentelemetry.proto
import pytest
from google.protobuf import descriptor_pb2

import rules

LABELS = descriptor_pb2.FieldDescriptorProto
# https://protobuf.dev/programming-guides/encoding: what a decoder sees of a type.
VARINT, I64, LEN, I32 = 0, 1, 2, 5
WIRE_TYPE = {
    LABELS.TYPE_DOUBLE: I64, LABELS.TYPE_FIXED64: I64, LABELS.TYPE_SFIXED64: I64,
    LABELS.TYPE_FLOAT: I32, LABELS.TYPE_FIXED32: I32, LABELS.TYPE_SFIXED32: I32,
    LABELS.TYPE_STRING: LEN, LABELS.TYPE_BYTES: LEN, LABELS.TYPE_MESSAGE: LEN,
    LABELS.TYPE_INT32: VARINT, LABELS.TYPE_INT64: VARINT, LABELS.TYPE_UINT32: VARINT, LABELS.TYPE_UINT64: VARINT,
    LABELS.TYPE_BOOL: VARINT, LABELS.TYPE_ENUM: VARINT,
    LABELS.TYPE_SINT32: VARINT, LABELS.TYPE_SINT64: VARINT,
}


def wire_shape(message):
    return {field.name: (field.number, WIRE_TYPE[field.type], field.label == LABELS.LABEL_REPEATED) for field in message.field}


def differences(ours, public):
    """What is wrong with our messages; each must be a public message with exactly its fields."""
    for name, shape in sorted(ours.items()):
        if name not in public:
            yield f"message {name}: the public schema has none of that name"
            continue
        for field in sorted(shape.keys() | public[name].keys()):
            mine, theirs = shape.get(field), public[name].get(field)
            if mine != theirs:
                yield f"{name}.{field}: (number, wire type, repeated) is {mine}, public {theirs}"


@pytest.fixture(scope="module")
def public():
    found = {}
    for module in pkgutil.walk_packages(opentelemetry.proto.__path__, "opentelemetry.proto."):
        if module.name.endswith("_pb2") and ".profiles." not in module.name:
            file = descriptor_pb2.FileDescriptorProto()
            importlib.import_module(module.name).DESCRIPTOR.CopyToProto(file)
            for message in file.message_type:
                found[message.name] = wire_shape(message)
    assert "Span" in found and "ExportTraceServiceRequest" in found
    return found


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    out = tmp_path_factory.mktemp("proto") / "ours.pb"
    protos = [path for path in rules.Tree(rules.ROOT).paths if path.startswith("proto/") and path.endswith(".proto")]
    assert protos
    subprocess.run(["protoc-c", "--proto_path=proto", f"--descriptor_set_out={out}", *protos], cwd=rules.ROOT, check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return {message.name: wire_shape(message) for file in files.file for message in file.message_type}


def test_our_messages_have_the_public_fields_numbers_and_wire_types(ours, public):
    messages = list(differences(ours, public))
    assert not messages, "\n  " + "\n  ".join(messages)


def test_a_wrong_number_type_repetition_or_name_is_found(public):
    good = public["Span"]
    for field, wrong in {"flags": (16, VARINT, False), "name": (6, LEN, False), "links": (13, LEN, False)}.items():
        assert len(list(differences({"Span": good | {field: wrong}}, public))) == 1
    assert len(list(differences({"Span": {k: v for k, v in good.items() if k != "status"}}, public))) == 1
    assert len(list(differences({"Spam": good}, public))) == 1
