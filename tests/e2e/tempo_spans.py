"""Traces of a small shop with a little of everything that TraceQL can ask about, as OTLP's JSON, the same for every run."""

import json
import random

SECOND = 10**9
MESSAGES = ["timeout", "no such user", "card declined: \"expired\"", ""]


def value(of):
    """A value as OTLP writes it."""
    if isinstance(of, bool):
        return {"boolValue": of}
    if isinstance(of, int):
        return {"intValue": str(of)}
    if isinstance(of, float):
        return {"doubleValue": of}
    if isinstance(of, list):
        return {"arrayValue": {"values": [value(one) for one in of]}}
    return {"stringValue": of}


def attributes(of):
    return [{"key": key, "value": value(one)} for key, one in of.items() if one is not None]


def some(dice, of, share=0.8):
    """A part of them."""
    return {key: one for key, one in of.items() if dice.random() < share}


RESOURCES = {
    "gate": {"service.name": "gate", "service.namespace": "edge", "region": "eu", "code": 7, "zones": ["a", "b"]},
    "shop": {"service.name": "shop", "region": "us", "deployment.environment": "prod", "replica": 2},
    "bank": {"service.name": "bank", "service.instance.id": "bank-1", "region": "eu", "deployment.environment": "dev", "weight": 0.5, "up": True},
    "users": {"service.name": "users", "user": "service", "zones": ["b", "c"]},
    "misc": {"service.name": "misc", "region": "nowhere"},
}
SCOPES = {
    "gate": {"name": "http", "version": "1.2.0", "attributes": attributes({"stable": True, "tier": "front"})},
    "shop": {"name": "orders", "version": "0.9"},
    "bank": {"name": "ledger", "attributes": attributes({"tier": "back", "level": 3})},
    "users": {},
    "misc": {"name": "http", "version": "2.0.0"},
}
NAMES = {"gate": ["GET /", "POST /cart"], "shop": ["charge", "list"], "bank": ["charge", "query"], "users": ["query", "list", "GET /"], "misc": ["odd name \"x\""]}


def span(dice, trace_id, span_id, parent, service, begin, root):
    """One span."""
    length = dice.choice([0, 7_000, 2_500_000, 20_000_000, 100_000_000, 200_000_000, 1_500_000_000]) + dice.randint(0, 999) * 1000
    values = {
        "code": dice.choice([200, 200, 404, 500]), "user": f"u{dice.randint(1, 12)}", "ratio": round(dice.random(), 3), "paid": dice.random() < 0.5,
        "mixed": dice.choice([1, 1.5, "one", True]), "list": dice.choice([["red"], ["red", "blue"], ["blue", "green"], []]),
        "numbers": dice.choice([[1, 2], [2, 3, 500], [7]]), "floats": dice.choice([[0.5, 1.5], [2.5]]), "flags": dice.choice([[True], [True, False]]),
        "http.status_code": dice.choice([200, 301, 500]), "text": dice.choice(["500", "a b", "Ünïcode", "x\"y", "", "tab\tend", "back\\slash", "line\nend"]),
        "negative": dice.randint(-5, 5), "big": dice.choice([2**53 + 1, 2**62, -(2**62)]), "name": dice.choice(["inner", "other"]),
        "with space": dice.choice(["yes", "no"]), "region": dice.choice(["span-eu", "us"]), "bytes": dice.randint(0, 10**6),
    }
    events = [{"timeUnixNano": str(begin + n * 1_000_000), "name": dice.choice(["exception", "retry", "cache miss"]),
               "attributes": attributes(some(dice, {"exception.type": dice.choice(["IOError", "KeyError"]), "attempt": n, "user": "evented", "code": 1}))}
              for n in range(dice.choice([0, 0, 1, 2]))]
    links = [{"traceId": f"{dice.choice([1, 2, 3]):032x}", "spanId": f"{dice.choice([10, 11]):016x}", "attributes": attributes({"why": dice.choice(["batch", "follow"])})}
             for _ in range(dice.choice([0, 0, 0, 1, 2]))]
    status = {"code": dice.choice([0, 0, 1, 2])}
    if status["code"] == 2:
        status["message"] = dice.choice(MESSAGES)
    made = {"traceId": trace_id, "spanId": span_id, "name": dice.choice(NAMES[service]), "kind": 2 if root else dice.randint(0, 5),
            "startTimeUnixNano": str(begin), "endTimeUnixNano": str(begin + length), "attributes": attributes(some(dice, values, 0.55)), "status": status}
    if parent:
        made["parentSpanId"] = parent
    if events:
        made["events"] = events
    if links:
        made["links"] = links
    if dice.random() < 0.1:
        made["traceState"] = "a=b"
    return made


SHAPES = ["whole", "rootless", "two roots", "orphan"]


def trace(dice, n, now, shapes):
    """One trace: its id, and its spans by service; it may lack its root, have two, or a span whose parent is not there."""
    trace_id = f"{dice.getrandbits(128 if n % 5 else 60):032x}"
    start = now - n * 700_000_000 - 2 * SECOND
    shape, ids, by_service = dice.choice(shapes), [], {}
    for i in range(dice.choice([1, 1, 2, 3, 5, 8, 13])):
        service = "gate" if i == 0 else dice.choice(["shop", "bank", "users", "shop", "bank", "users", "gate", "misc"])
        span_id = f"{dice.getrandbits(64 if i % 4 else 40):016x}"
        if i == 0:
            parent = "00000000000000ff" if shape == "rootless" else ""
        elif i == 1 and shape == "two roots":
            parent = ""
        elif i == 2 and shape == "orphan":
            parent = "00000000000000ee"
        else:
            parent = dice.choice(ids)
        ids.append(span_id)
        begin = start + i * 1_300_000
        by_service.setdefault(service, []).append(span(dice, trace_id, span_id, parent, service, begin, i == 0))
    return trace_id, by_service


def request(by_service):
    """What a collector would push of a trace."""
    groups = [{"resource": {"attributes": attributes(RESOURCES[service])}, "scopeSpans": [{"scope": SCOPES[service], "spans": spans}]}
              for service, spans in by_service.items()]
    return json.dumps({"resourceSpans": groups}).encode()


def traces(now, count=120, seed=7, shapes=("whole",)):
    """All of them, the newest first."""
    dice = random.Random(seed)
    return [trace(dice, n, now, shapes) for n in range(count)]


def calls(now):
    """Requests with the calls that a service graph tells apart: answered, failed, by message, to a database, to somebody unseen, from nobody."""
    kinds = {"client": 3, "server": 2, "producer": 4, "consumer": 5}

    def one(service, trace_id, span_id, parent, kind, ms, failed=False, **values):
        made = {"traceId": f"{trace_id:032x}", "spanId": f"{span_id:016x}", "name": "call", "kind": kinds[kind], "startTimeUnixNano": str(now),
                "endTimeUnixNano": str(now + ms * 1_000_000), "attributes": attributes(values), "status": {"code": 2} if failed else {}}
        if parent:
            made["parentSpanId"] = f"{parent:016x}"
        return {"resource": {"attributes": attributes({"service.name": service})}, "scopeSpans": [{"spans": [made]}]}

    for n in range(1, 41):
        trace_id, failed = (0xCA11 << 64) + n, n % 5 == 0
        for sent, taken, to in (("client", "server", "called"), ("producer", "consumer", "called later")):
            span_id = n * 100 + kinds[sent]
            groups = [one("caller", trace_id, span_id, 1, sent, n * 40, failed), one(to, trace_id, span_id + 50, span_id, taken, n * 30, n % 3 == 0)]
            # Either side comes first.
            yield json.dumps({"resourceSpans": groups[::1 if n % 2 else -1]}).encode()
        yield json.dumps({"resourceSpans": [one("caller", trace_id, n * 100 + 10, 1, "client", n, **{"db.name": "called db", "db.system": "postgresql"})]}).encode()
        yield json.dumps({"resourceSpans": [one("caller", trace_id, n * 100 + 11, 1, "client", n, **{"peer.service": "called unseen"})]}).encode()
        yield json.dumps({"resourceSpans": [one("called first", trace_id + (1 << 32), n, 0, "server", n)]}).encode()
