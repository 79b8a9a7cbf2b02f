#!/usr/bin/env python3
"""Prints the fields of an OTLP trace export request, as the package opentelemetry-proto describes them: one a line with tabs
between message, field, number, wire type and JSON name, "repeated" last where it applies.

usage: scripts/otlp_fields.py > Tests/OTLPWireTests/Fixtures/otlp_fields.tsv      (pip install opentelemetry-proto)
"""
from google.protobuf import descriptor_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

TYPES = descriptor_pb2.FieldDescriptorProto
WIRE_TYPE = {
    TYPES.TYPE_DOUBLE: 1, TYPES.TYPE_FIXED64: 1, TYPES.TYPE_SFIXED64: 1,
    TYPES.TYPE_FLOAT: 5, TYPES.TYPE_FIXED32: 5, TYPES.TYPE_SFIXED32: 5,
    TYPES.TYPE_STRING: 2, TYPES.TYPE_BYTES: 2, TYPES.TYPE_MESSAGE: 2,
}
VARINT = 0


def rows(message, seen):
    """The fields of a message and of all messages in it, each once."""
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    shape = descriptor_pb2.DescriptorProto()
    message.CopyToProto(shape)
    for field in sorted(shape.field, key=lambda field: field.number):
        repeated = ["repeated"] if field.label == TYPES.LABEL_REPEATED else []
        yield [message.name, field.name, str(field.number), str(WIRE_TYPE.get(field.type, VARINT)), field.json_name
               or message.fields_by_name[field.name].json_name] + repeated
    for field in message.fields:
        if field.message_type is not None:
            yield from rows(field.message_type, seen)


if __name__ == "__main__":
    for row in rows(trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR, set()):
        print("\t".join(row))
