"""What the tests of traces have in common: spans by hand, a Reba that takes them, and what it answers."""

import json
import time

import grpc
from harness import Http, wait_until
from protos import TEMPO

JSON, PROTOBUF = "application/json", "application/x-protobuf"
# Reba's own spans would be found by tests that ask for everything, on a machine slow enough for them.
QUIET = "traces: {own: {enabled: false}}\n"


def otlp(spans, service="hand"):
    """A request in JSON."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}, ensure_ascii=False).encode()


def span(trace_id, span_id, parent="", start=None, end=None, **more):
    """A span in JSON, of just now."""
    now = time.time_ns()
    times = {"startTimeUnixNano": str(start or now - 5_000_000), "endTimeUnixNano": str(end or now)}
    return {"traceId": trace_id, "spanId": span_id, "parentSpanId": parent, "name": "op", "kind": 2, **times, **more}


class Tempo:
    """A started Reba that takes traces."""

    def __init__(self, scratch, *arguments, tempo="", reba=QUIET, roles="tempo,otlp"):
        self.scratch = scratch
        scratch.write("conf/tempo/tempo.yml", tempo)
        scratch.write("conf/reba.yml", reba)
        only = ["--only", roles] if roles else []
        self.program = scratch.reba(*only, *arguments, config=scratch.sub("conf"), port=3200, ready="/ready")
        self.http = Http(f"http://127.0.0.1:{self.port(4318)}")

    def port(self, port):
        return self.program.offset + port

    def address(self, port, path=""):
        return f"http://127.0.0.1:{self.port(port)}{path}"

    def push(self, body, path="/v1/traces", kind=JSON, tenant=None, **headers):
        """Status and text of the answer."""
        headers = {"Content-Type": kind, **headers, **({"X-Scope-OrgID": tenant} if tenant else {})}
        status, _, answer = self.http.raw(path, data=body, method="POST", headers=headers)
        return status, answer.decode(errors="replace")

    def ask(self, path, params=None, tenant=None):
        """Status and body."""
        headers = {"X-Scope-OrgID": tenant} if tenant else {}
        status, _, body = self.program.raw(path, params, headers=headers)
        return status, body

    def get(self, path, tenant=None, **params):
        """The parsed answer."""
        status, body = self.ask(path, params, tenant)
        assert status == 200, (status, body[:500])
        return json.loads(body)

    def groups(self, trace_id, tenant=None):
        """Spans by service."""
        groups = {}
        for batch in self.get(f"/api/traces/{trace_id}", tenant)["batches"]:
            names = [a["value"]["stringValue"] for a in batch["resource"]["attributes"] if a["key"] == "service.name"]
            spans = [s for scope in batch["scopeSpans"] for s in scope["spans"]]
            groups.setdefault(names[0] if names else "", []).extend(spans)
        return groups

    def spans(self, trace_id, tenant=None):
        return [span for spans in self.groups(trace_id, tenant).values() for span in spans]

    def found(self, query, tenant=None, **params):
        """Ids of traces that match."""
        return [trace["traceID"] for trace in self.get("/api/search", tenant, q=query, **params)["traces"]]

    def metric(self, line):
        """The value of a line of the role's own metrics."""
        page = self.program.raw("/metrics")[2].decode()
        values = [float(rest.rpartition(" ")[2]) for rest in page.splitlines() if rest.startswith(line)]
        assert len(values) == 1, (line, values)
        return values[0]

    def flush(self):
        assert self.program.raw("/flush", method="POST")[0] == 204

    def reload(self):
        """Reads the configuration again; whether it was taken is told by who waits for an effect."""
        import signal
        self.program.process.send_signal(signal.SIGHUP)

    def restart(self):
        self.program.kill()
        self.program.start()

    def stream(self, method, request, answer, tenant=None):
        """All messages of a call of `StreamingQuerier`, as Grafana makes it."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port(3200)}") as channel:
            call = channel.unary_stream(
                f"/tempopb.StreamingQuerier/{method}",
                request_serializer=lambda m: m.SerializeToString(), response_deserializer=TEMPO[answer].FromString)
            metadata = [("x-scope-orgid", tenant)] if tenant else []
            return list(call(request, timeout=30, metadata=metadata))


def attributes(span):
    """Of a span of an answer, by name."""
    return {a["key"]: next(iter(a["value"].values())) for a in span.get("attributes", [])}


__all__ = ["JSON", "PROTOBUF", "QUIET", "TEMPO", "Tempo", "attributes", "otlp", "span", "wait_until"]
