"""Messages of protobuf out of a few lines of text, for services whose clients are not on PyPI."""

import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

KINDS = {"double": 1, "int64": 3, "uint64": 4, "int32": 5, "fixed64": 6, "bool": 8, "string": 9, "bytes": 12, "uint32": 13}


def messages(package, text):
    """Classes by name. A line is `Name: type field = number; repeated type field = number; …`; other messages of the text may be
    types, and so may maps from string to a type."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    lines = [line.partition(":") for line in text.strip().splitlines()]
    for name, _, fields in lines:
        message = file.message_type.add(name=name.strip())
        for field in filter(None, map(str.strip, fields.split(";"))):
            label, kind, word, number = re.fullmatch(r"(repeated |map )?(\S+) (\w+) = (\d+)", field).groups()
            made = message.field.add(name=word, number=int(number), label=3 if label else 1)
            if label == "map ":
                entry = message.nested_type.add(name=word[0].upper() + word[1:] + "Entry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, label=1, type=9)
                set_kind(entry.field.add(name="value", number=2, label=1), kind, package)
                made.type, made.type_name = 11, f".{package}.{name.strip()}.{entry.name}"
            else:
                set_kind(made, kind, package)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name.strip(): message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name.strip()}"))
            for name, _, _ in lines}


def set_kind(field, kind, package):
    if kind in KINDS:
        field.type = KINDS[kind]
    else:
        field.type, field.type_name = 11, f".{package}.{kind}"


TEMPO = messages("tempopb", """
    SearchRequest: map string Tags = 1; uint32 MinDurationMs = 2; uint32 MaxDurationMs = 3; uint32 Limit = 4; uint32 start = 5; uint32 end = 6; string Query = 8; uint32 SpansPerSpanSet = 9
    SearchResponse: repeated TraceSearchMetadata traces = 1; SearchMetrics metrics = 2
    TraceSearchMetadata: string traceID = 1; string rootServiceName = 2; string rootTraceName = 3; uint64 startTimeUnixNano = 4; uint32 durationMs = 5; SpanSet spanSet = 6; repeated SpanSet spanSets = 7; map ServiceStats serviceStats = 8
    SpanSet: repeated Span spans = 1; uint32 matched = 2; repeated KeyValue attributes = 3
    Span: string spanID = 1; string name = 2; uint64 startTimeUnixNano = 3; uint64 durationNanos = 4; repeated KeyValue attributes = 5
    ServiceStats: uint32 spanCount = 1; uint32 errorCount = 2
    KeyValue: string key = 1; AnyValue value = 2
    AnyValue: string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4
    SearchMetrics: uint32 inspectedTraces = 1; uint64 inspectedBytes = 2; uint32 totalBlocks = 3; uint32 completedJobs = 4; uint32 totalJobs = 5; uint64 totalBlockBytes = 6; uint64 inspectedSpans = 7
    MetadataMetrics: uint64 inspectedBytes = 1; uint32 totalJobs = 2; uint32 completedJobs = 3; uint32 totalBlocks = 4
    SearchTagsRequest: string scope = 1; string query = 2; uint32 start = 3; uint32 end = 4; uint32 maxTagsPerScope = 5
    SearchTagsResponse: repeated string tagNames = 1; MetadataMetrics metrics = 2
    SearchTagsV2Response: repeated TagScope scopes = 1; MetadataMetrics metrics = 2
    TagScope: string name = 1; repeated string tags = 2
    SearchTagValuesRequest: string tagName = 1; string query = 2; uint32 start = 4; uint32 end = 5; uint32 maxTagValues = 6
    SearchTagValuesResponse: repeated string tagValues = 1; MetadataMetrics metrics = 2
    SearchTagValuesV2Response: repeated TagValue tagValues = 1; MetadataMetrics metrics = 2
    TagValue: string type = 1; string value = 2
    QueryRangeRequest: string query = 1; uint64 start = 2; uint64 end = 3; uint64 step = 4; uint32 exemplars = 16; uint32 maxSeries = 17
    QueryRangeResponse: repeated TimeSeries series = 1; SearchMetrics metrics = 2; int32 status = 3; string message = 4
    QueryInstantRequest: string query = 1; uint64 start = 2; uint64 end = 3
    QueryInstantResponse: repeated InstantSeries series = 1; SearchMetrics metrics = 2
    TimeSeries: repeated KeyValue labels = 1; repeated Sample samples = 2; string promLabels = 3; repeated Exemplar exemplars = 4
    Sample: double value = 1; int64 timestamp_ms = 2
    Exemplar: repeated KeyValue labels = 1; double value = 2; int64 timestamp_ms = 3
    InstantSeries: repeated KeyValue labels = 1; double value = 2; string promLabels = 3
    TraceByIDRequest: bytes traceID = 1
    TraceByIDResponse: bytes trace = 1; bytes metrics = 2; int32 status = 3; string message = 4
""")

JAEGER = messages("jaeger.api_v2", """
    PostSpansRequest: Batch batch = 1
    PostSpansResponse:
    Batch: repeated Span spans = 1; Process process = 2
    Process: string service_name = 1; repeated KeyValue tags = 2
    Span: bytes trace_id = 1; bytes span_id = 2; string operation_name = 3; repeated SpanRef references = 4; uint32 flags = 5; Time start_time = 6; Time duration = 7; repeated KeyValue tags = 8; repeated Log logs = 9; Process process = 10
    SpanRef: bytes trace_id = 1; bytes span_id = 2; int32 ref_type = 3
    KeyValue: string key = 1; int32 v_type = 2; string v_str = 3; bool v_bool = 4; int64 v_int64 = 5; double v_float64 = 6; bytes v_binary = 7
    Log: Time timestamp = 1; repeated KeyValue fields = 2
    Time: int64 seconds = 1; int32 nanos = 2
""")
