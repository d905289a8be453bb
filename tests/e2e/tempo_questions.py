"""What Reba and a real Tempo are both asked, by kind of question."""

import itertools

FIELDS = {
    "name": ['"charge"', '"GET /"', '"nothing"'], "span:name": ['"charge"'], "status": ["ok", "error", "unset"], "span:status": ["error"],
    "kind": ["server", "client", "producer", "consumer", "internal", "unspecified"], "span:kind": ["client"],
    "statusMessage": ['"timeout"', '""', '"card declined: \\"expired\\""'], "span:statusMessage": ['"timeout"'],
    "resource.service.name": ['"gate"', '"none"'], ".service.name": ['"bank"'], ".region": ['"eu"', '"span-eu"'], "span.region": ['"us"'],
    "resource.region": ['"us"'], "span.user": ['"u3"'], ".user": ['"service"', '"evented"'], "span.mixed": ['"one"', "1", "1.5", "true"],
    "rootName": ['"GET /"'], "trace:rootName": ['"POST /cart"'], "rootServiceName": ['"gate"', '"shop"'], "trace:rootService": ['"gate"'],
    "event:name": ['"retry"', '"exception"'], "event.exception.type": ['"IOError"'], "event.attempt": ["0", "1"], "event.user": ['"evented"'],
    "link.why": ['"batch"'], "link:traceID": ['"' + "0" * 31 + '1"'], "link:spanID": ['"' + "0" * 14 + '10"'],
    "instrumentation:name": ['"http"', '"ledger"', '""'], "instrumentation:version": ['"0.9"'], "instrumentation.tier": ['"back"'],
    "instrumentation.level": ["3"], "instrumentation.stable": ["true"], "span.list": ['"red"', '"blue"'], "span.numbers": ["2", "500"],
    "span.floats": ["0.5"], "span.flags": ["true", "false"], "resource.zones": ['"b"'], "span.text": ['"500"', '""', '"Ünïcode"', '"a b"', '"tab\\tend"', "`x\"y`"],
    'span."with space"': ['"yes"'], "span.name": ['"inner"'], "span.code": ["500"], ".code": ["7", "200"], "resource.code": ["7"],
    "span.http.status_code": ["301"], "resource.up": ["true"], "resource.weight": ["0.5", "1"], "resource.replica": ["2", "2.0"],
    "span.paid": ["true", "false"],
}
ORDERED = {
    "duration": ["0s", "1us", "7us", "100ms", "0.1s", "1.5s", "1m", "2ms500us"], "span:duration": ["20ms"], "traceDuration": ["100ms", "1s"], "trace:duration": ["200ms"],
    "span.code": ["200", "404", "404.0", "403.5", "-1"], "span.ratio": ["0.5", "0", "1", ".25"], "span.negative": ["0", "-2", "-0.5"],
    "span.big": ["9007199254740993", "0", "4611686018427387904"], "span.text": ['"5"', '"a b"'], "span.numbers": ["2", "400"], "span.floats": ["1"],
    "event:timeSinceStart": ["0s", "1ms", "500us"], "event.attempt": ["1"], "span:childCount": ["0", "1", "2"], "nestedSetParent": ["0", "1", "-1"],
    "nestedSetLeft": ["1", "3"], "nestedSetRight": ["4"], "instrumentation.level": ["2"], "resource.replica": ["1.5"], "span.bytes": ["500000"],
}
REGEX = {
    "name": ["char.*", "GET /", "(?i)get.*", ".*"], "resource.service.name": ["ba.*", "gate|shop", "sho"], "span.user": ["u1.*", "u[12]", "[", "u(3|4)$"],
    "span.text": ["\\\\d+", ".+", "Ü.*"], "span.list": ["re.*", "blue"], "rootName": ["GET.*"], "rootServiceName": ["g.*"], "event:name": ["ex.*"],
    "statusMessage": ["time.*"], "span.mixed": ["o.*"], "event.exception.type": [".*Error"], "link.why": ["b.*"], "instrumentation:name": ["ht.*"],
    "span.code": ["5.*"], ".region": [".*eu"], "span.nothing": [".*"],
}
PRESENCE = ["span.code", ".code", "resource.code", "span.nothing", "span.list", "event.attempt", "event:name", "link.why", "link:spanID", "instrumentation:version",
            "instrumentation.tier", "resource.service.name", "rootName", "name", "statusMessage", "span.text", "resource.zones", "span:parentID", "span.mixed", "status", "duration",
            "trace:rootService", "span.paid"]

A, B, C = '{ resource.service.name = "gate" }', '{ name = "query" }', "{ status = error }"
STRUCTURE = [">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~", "&&", "||"]
PAIRS = [(A, B), (B, A), (A, C), (B, B), ("{}", C), (C, "{}"), ("{ span.nothing = 1 }", A), (A, "{ span.nothing = 1 }")]


def operators():
    for field, values in FIELDS.items():
        for text in values:
            for op in ("=", "!="):
                yield f"{{ {field} {op} {text} }}"
    for field, values in ORDERED.items():
        for text in values:
            for op in ("=", "!=", "<", "<=", ">", ">="):
                yield f"{{ {field} {op} {text} }}"
    for field, patterns in REGEX.items():
        for pattern in patterns:
            for op in ("=~", "!~"):
                yield f'{{ {field} {op} "{pattern}" }}'
    for field in PRESENCE:
        for op in ("=", "!="):
            yield f"{{ {field} {op} nil }}"
            yield f"{{ nil {op} {field} }}"


def structure():
    for (left, right), op in itertools.product(PAIRS, STRUCTURE):
        yield f"{left} {op} {right}"
    for one, two in itertools.product([">", ">>", "~", "!>", "&>>", "&&", "||", "<<"], repeat=2):
        yield f"{A} {one} {B} {two} {C}"
        yield f"{A} {one} ({B} {two} {C})"
    yield from ["({}) > ({})", "({ name = `query` } | count() > 1) && { status = error }", "({ kind = server } | count() > 1) >> { status = error }",
                "{ name = `query` } >> ({ status = error } | count() > 0)", "{ nestedSetParent < 0 } >> { status = error }", "{ nestedSetParent = -1 }"]


FILTERS = """
{} ; { true } ; { false } ; { !true } ; { !false } ; { 1 = 1 } ; { 1 = 2 } ; { "a" = "a" } ; { 1 < 2.5 } ; { 2h > 1m } ; { ok = ok } ; { nil = nil } ; { true = false }
{ span.paid } ; { !span.paid } ; { .paid && span.code > 300 } ; { !(.code = 200) } ; { !(span.nothing = 1) } ; { !(span.code > 300 && span.paid) }
{ .code = 404 || .code = 500 } ; { .code = 200 && .code = 404 } ; { .code != 200 && .code != 404 } ; { name = "query" || name = "list" || status = error }
{ name = "query" && status = error || kind = server } ; { kind = server || name = "query" && status = error } ; { (kind = server || name = "query") && status = error }
{ name =~ "q.*" || name =~ "l.*" } ; { name !~ "q.*" && name !~ "l.*" } ; { span.list = "red" || span.list = "green" } ; { span.list != "red" && span.list != "green" }
{ span.list = "red" && span.list = "blue" } ; { span.list =~ "r.*" || span.list =~ "g.*" } ; { span.list !~ "r.*" && span.list !~ "g.*" }
{ span.numbers = 2 || span.numbers = 500 } ; { span.numbers != 2 && span.numbers != 500 } ; { span.text = "500" || span.text = "a b" }
{ span.user = "u1" || span.user = "u2" || span.user = "u3" } ; { resource.service.name = "gate" || resource.service.name = "bank" } ; { .nothing = 1 || name = "query" }
{ name = "query" || .nothing = 1 } ; { span.nothing = 1 || true } ; { true || span.nothing = 1 } ; { true && span.nothing = 1 } ; { span.nothing != nil || span.code = 500 }
{ span.code + 1 = 501 } ; { span.code - 1 > 400 } ; { span.code * 2 = 1000 } ; { span.code / 2 = 250 } ; { span.code % 3 = 2 } ; { 2 ^ 3 = 8 } ; { span.code ^ 2 > 100000 }
{ -span.negative > 0 } ; { span.negative + span.code > 500 } ; { span.ratio * 100 > 50 } ; { duration * 2 > 200ms } ; { duration / 2 > 50ms } ; { duration > 100ms + 50ms }
{ duration + 1s > 2s } ; { span.code = span.http.status_code } ; { span.code > span.http.status_code } ; { name = rootName } ; { name = span.name } ; { duration = traceDuration }
{ traceDuration > duration } ; { resource.region = span.region } ; { span.code > resource.code } ; { 500 = span.code } ; { 300 < span.code } ; { 1 + 1 = 2 } ; { span.code = 100 * 5 }
{ span.numbers > 1 && span.numbers < 3 } ; { .name = "inner" } ; { span.mixed > 1 } ; { span.mixed = 1 || span.mixed = "one" } ; { span.bytes > 500000 && duration > 1ms }
{ span:parentID = "" } ; { span:parentID != "" } ; { span:parentID = "00000000000000ff" } ; { span:parentID =~ ".*ff" } ; { parent.nothing = 1 } ; { parent.span.code = 500 } ; { parent.code = 200 }
{ parent.resource.service.name = "gate" } ; { childCount > 1 } ; { parent = nil } ; { span:childCount = 0 } ; { span:childCount > 2 } ; { statusMessage != "" }
{ status != ok && status != unset } ; { status = ok || status = error } ; { kind != server && kind != client } ; { kind > client } ; { status > ok } ; { status < error } ; { kind = 1 }
{ rootServiceName = "gate" && rootName = "GET /" && traceDuration > 100ms } ; { trace:rootName =~ ".*cart" } ; { trace:rootService = resource.service.name }
{ event:timeSinceStart > 500us && event:name = "retry" } ; { event:name = "retry" && event.attempt = 0 } ; { event:name != "retry" && event:name != "exception" }
{ link:traceID != "" } ; { link:spanID = "000000000000000a" } ; { link:traceID = "00000000000000000000000000000002" } ; { link:traceID = "2" }
{ instrumentation:name = "http" && instrumentation:version = "1.2.0" } ; { instrumentation:version > "1" } ; { instrumentation:name = "http" && .region = "eu" }
{ span."with space" = "yes" && span.region = "us" } ; { ."with space" = "no" } ; { resource."service.name" = "gate" } ; { span."http.status_code" = 500 } ; { span.bytes > minInt } ; { span.bytes < maxInt }
{} | count() > 4 ; {} | count() = 1 ; {} | count() != 1 ; { status = error } | count() >= 2 ; {} | avg(duration) > 150ms ; {} | max(duration) >= 1s ; {} | min(duration) < 20us ; {} | sum(duration) > 2s
{} | avg(span.code) > 300 ; {} | max(span.code) >= 500 ; {} | min(span.code) = 200 ; {} | sum(span.code) > 1000 ; {} | max(span.ratio) > 0.9 ; {} | avg(span.negative) < 0 ; {} | sum(span.nothing) > 0
{} | count() > 1 + 1 ; {} | count() * 2 > 8 ; {} | 2 < count() ; {} | max(duration) > min(duration) * 100 ; {} | avg(span.code + 1) > 301 ; {} | max(.code) > 499 ; {} | count() > 2 && count() < 4
{} | max(span.mixed) >= 1.5 ; {} | avg(span.numbers) > 1 ; {} | max(span.user) > 1 ; {} | sum(span.bytes) > 1000000 ; {} | min(span.big) < 0 ; {} | min(event:timeSinceStart) = 0s ; {} | max(traceDuration) > 1s
{} | by(resource.service.name) ; {} | by(name) | count() > 1 ; { status = error } | by(resource.service.name) | count() > 1 ; {} | by(span.code) | avg(duration) > 100ms ; {} | by(span.nothing) | count() > 2
{} | by(status) | count() > 2 ; {} | by(kind) | max(duration) > 1s ; {} | by(1 + 1) ; {} | by(duration > 100ms) | count() > 1 ; {} | by(.region) ; {} | by(span.list) ; {} | by(rootName) | count() > 3
{} | by(name) | by(status) ; {} | by(name) | coalesce() ; {} | by(name) | count() > 1 | coalesce() | count() > 3 ; {} | by(name) | { status = error } ; {} | by(name) | coalesce() | { status = error }
{} | count() > 2 | { status = error } ; {} | { status = error } | count() > 1 ; { kind = server } | { status = error } | { duration > 1ms } ; {} | count() > 2 | avg(duration) > 1ms | max(span.code) > 400
{} | select(span.user) ; { status = error } | select(span.code, resource.region, name, duration) ; {} | select(event:name) ; {} | select(link:spanID) ; {} | select(span.list, span.numbers) ; {} | select(rootName, traceDuration)
{} | select(instrumentation:name, instrumentation.tier) ; {} | select(event.attempt) ; {} | select(.region) ; {} | select(status, kind, statusMessage) ; {} | select(nestedSetParent, nestedSetLeft, nestedSetRight)
{} | select(span:id, span:parentID, trace:id) ; {} | select(span.nothing) ; {} | select(span:childCount) ; {} | select(span."with space", span.mixed, span.text) ; {} | select(event:timeSinceStart, link.why, link:traceID)
{ status = error } | select(span.user) | count() > 1 ; {} | by(name) | select(span.code) ; { span.code = 500 } | count() > 0 | select(name) ; {} | select(span.flags, span.floats, resource.zones, span.big)
{ name = "query" } with (most_recent=true) ; { status = error } | count() > 1 with (most_recent=true) ; {} with (unknown=1)
""".replace("\n", " ; ")

WRONG = """
{ ; { name } ; { name = } ; { .a = "x ; { name = 1 } ; { status = "error" } ; { duration > "1" } ; { name > 1 } ; {} | count() ; {} | avg(name) > 1 ; {} | sum(status) > 1 ; {} | rate() ; {} | foo() > 1
{ .a =~ .b } ; { .a =~ 5 } ; { 1 } ; { "a" } ; { -"a" } ; { !1 } ; { !name } ; { kind = ok } ; {} | by() ; {} | select() ; { true } | {} | ; | {} ; {} {} ; {} & {} ; { .a = 1 } > ; > {} ; ({} ; {}) ; hello ; "" ; {} | by(1) ; {} | count() > "a"
{ foo = 1 } ; { span. = 1 } ; { span:foo = 1 } ; { trace:name = "x" } ; { event:foo = 1 } ; { link:name = 1 } ; { .a = 1h2x } ; {} | max() > 1 ; {} | count(duration) > 1 ; {} | count() > 1s ; { 1 + "a" = 2 } ; { name + 1 = 2 }
{ status = error } | topk(2) ; {} | count() > 2 > 1 ; {} | compare({}) ; {} | quantile_over_time(duration) ; {} with ; {} with () ; {} with (a) ; { name =~ "[" } ; { nil } ; { duration } ; { true && 1 } ; { name && true } ; { span:id = 1 }
{ name = "a" "b" } ; {} | select(1) ; {} | select(name + 1) ; { .a = 'x' } ; { 5 = "a" } ; { status = ok } && ; { duration = 5 } ; { duration > 5 } ; { childCount = "a" } ; { rootName = 5 } ; { traceDuration = "a" } ; {} | min(name) > 1 ; { kind = 5 }
""".replace("\n", " ; ")


def split(text):
    return [one.strip() for one in text.split(" ; ") if one.strip()]


SEARCHES = [*operators(), *structure(), *split(FILTERS)]
REFUSED = split(WRONG)

# Other parameters of a search.
PARAMETERS = [
    {"tags": "service.name=gate"}, {"tags": "service.name=gate name=charge"}, {"tags": 'name="GET /"'}, {"tags": "status.code=error"}, {"tags": "status=error"}, {"tags": "error=true"},
    {"tags": "root.name=GET"}, {"tags": "root.service.name=gate"}, {"tags": "user=u1"}, {"tags": "user=U3"}, {"tags": "code=500"}, {"tags": "http.status_code=500 paid=true"}, {"tags": "region=eu"},
    {"tags": "service.name=ga"}, {"tags": "nothing=1"}, {"tags": ""}, {"tags": "kind=server"}, {"tags": "service.name=gate", "minDuration": "100ms"}, {"minDuration": "100ms"},
    {"maxDuration": "100ms"}, {"minDuration": "10ms", "maxDuration": "1s"}, {"q": "{ status = error }", "minDuration": "100ms"}, {"q": "{}", "minDuration": "1s"}, {"q": "{}", "maxDuration": "10ms"},
    {"q": "{}", "spss": 1}, {"q": "{}", "spss": 100}, {"q": "{ duration > 1ms } && {}", "spss": 2}, {},
]
BAD_PARAMETERS = [
    {"q": "{}", "limit": "x"}, {"q": "{}", "limit": "-1"}, {"q": "{}", "limit": "0"}, {"q": "{}", "spss": "x"}, {"q": "{}", "spss": "-1"}, {"q": "{}", "minDuration": "x"}, {"q": "{}", "minDuration": "5"},
    {"q": "{}", "maxDuration": "x"}, {"q": "{}", "minDuration": "2s", "maxDuration": "1s"}, {"q": "{}", "start": "x", "end": "5"}, {"q": "{}", "start": "10", "end": "5"}, {"q": "{}", "start": "10"},
    {"q": "{}", "end": "10"}, {"q": "{}", "start": "1", "end": "100000000"}, {"q": "{}", "tags": "a=b"}, {"tags": "a=b c"}, {"tags": "=b"}, {"tags": 'a="b'}, {"q": "{}", "start": "-1", "end": "5"},
]

FUNCTIONS = ["rate()", "count_over_time()", "min_over_time(duration)", "max_over_time(duration)", "avg_over_time(duration)", "sum_over_time(duration)", "min_over_time(span.code)",
             "max_over_time(span.ratio)", "avg_over_time(span.negative)", "sum_over_time(span.bytes)", "histogram_over_time(duration)", "histogram_over_time(span.bytes)",
             "quantile_over_time(duration, .5)", "quantile_over_time(duration, 0, .5, .9, .99, 1)", "quantile_over_time(span.bytes, .9)", "avg_over_time(span.mixed)", "sum_over_time(span.numbers)",
             "max_over_time(event:timeSinceStart)", "min_over_time(span.nothing)", "sum_over_time(span.big)", "max_over_time(span.big)", "avg_over_time(traceDuration)", "max_over_time(span:childCount)"]
GROUPS = ["", " by (resource.service.name)", " by (status)", " by (kind, name)", " by (span.code)", " by (span.nothing)", " by (.region)", " by (span.list)", " by (span.paid, span.mixed)", " by (event:name)",
          " by (rootName)", " by (instrumentation:name)", " by (span.ratio > 0.5)"]
FILTERED = ["{}", "{ status = error }", "{ span.nothing = 1 }", '{ resource.service.name = "gate" } >> { status = error }', "{ kind = server } | { duration > 1ms }"]
SERIES = """
{} | rate() | topk(1) ; {} | rate() by (name) | topk(2) ; {} | rate() by (name) | bottomk(2) ; {} | count_over_time() by (name) | topk(100) ; {} | count_over_time() by (name, status) | bottomk(1)
{} | rate() by (name) > 0.01 ; {} | count_over_time() by (name) > 1 ; {} | count_over_time() by (name) >= 2 ; {} | count_over_time() by (name) = 1 ; {} | count_over_time() by (name) != 1 ; {} | count_over_time() by (name) < 2
{} | max_over_time(duration) by (name) > 100ms ; {} | max_over_time(duration) > 0.1 ; {} | avg_over_time(duration) by (name) <= 1s ; {} | count_over_time() by (name) > 1 | topk(1) ; {} | count_over_time() by (name) | topk(3) > 2
({} | rate()) + ({} | rate()) ; ({ status = error } | count_over_time()) / ({} | count_over_time()) ; ({ status = error } | count_over_time() by (name)) / ({} | count_over_time() by (name))
({} | rate()) * 60 ; 100 * ({ status = error } | rate()) / ({} | rate()) ; ({} | rate() by (name)) - ({ status = error } | rate() by (name)) ; ({} | count_over_time() by (name)) / ({} | count_over_time())
({} | count_over_time() by (name)) / ({} | count_over_time() by (status)) ; ({} | max_over_time(duration)) - ({} | min_over_time(duration)) ; ({} | count_over_time()) / 0 ; ({} | rate()) + 1
({} | count_over_time() by (name)) + ({ span.nothing = 1 } | count_over_time() by (name)) ; ({} | count_over_time()) > 5 ; ({} | rate() by (name)) * 2 | topk(1)
{} | compare({ status = error }) ; {} | compare({ status = error }, 2) ; { kind = server } | compare({ duration > 1ms }, 5) ; {} | compare({ span.nothing = 1 }, 3) ; {} | rate() with (exemplars=true) ; {} | rate() with (sample=false)
{ name = "query" || name = "list" } | rate() by (name) ; { span.list = "red" } | count_over_time() by (span.list) ; { span.code > 300 } | histogram_over_time(duration) by (resource.service.name)
{} | histogram_over_time(span.ratio) ; {} | histogram_over_time(span.negative) ; {} | quantile_over_time(span.ratio, .5) by (name) ; {} | quantile_over_time(span.negative, .5) ; {} | histogram_over_time(duration) | topk(2)
{} | select(name) | rate() ; {} | by(name) | rate() ; {} | count() > 2 | rate() ; {} | count() > 2 | count_over_time() by (name) ; {} | coalesce() | rate()
""".replace("\n", " ; ")
RATES = [*split(SERIES), *(f"{{}} | {function}{group}" for function in FUNCTIONS for group in ("", " by (resource.service.name)")),
         *(f"{{}} | {function}{group}" for function in ("rate()", "avg_over_time(span.code)", "quantile_over_time(duration, .9)") for group in GROUPS),
         *(f"{spans} | {function}" for function in ("rate()", "count_over_time() by (name)", "max_over_time(duration) by (status)") for spans in FILTERED)]
WRONG_RATES = split("""
{} ; {} | rate ; {} | rate(duration) ; {} | count_over_time(duration) ; {} | min_over_time() ; {} | min_over_time(name) ; {} | quantile_over_time(duration) ; {} | quantile_over_time(duration, 2) ; {} | quantile_over_time(duration, -1) ; {} | rate() by ()
{} | rate() by (1) ; {} | rate() by (a) ; {} | topk(1) ; {} | rate() | topk(0) ; {} | rate() | topk(-1) ; {} | rate() | topk() ; {} | rate() | rate() ; {} | rate() by (.a, .b, .c, .d, .e, .f) ; {} | compare() ; {} | compare({}, 0) ; {} | compare({}, -1)
{} | compare({}, 10, 5, 1) ; {} | compare({}) by (name) ; {} | count() > 1 ; {} | rate() > "a" ; {} | rate() + ; ({} | rate()) + ({}) ; {} | rate() with (exemplars=1) ; { | rate() ; {} | sum_over_time(status) ; {} | avg_over_time(1) ; {} | rate() by (name + 1) ; 1 + 1
""".replace("\n", " ; "))
TIMES = [{"step": "x"}, {"start": "x"}, {"end": "x"}, {"since": "x"}, {"step": "0"}, {"step": "-5s"}, {"start": "20", "end": "10"}, {"step": "1ms", "start": "1", "end": "86000"}, {"exemplars": "x"}, {"start": "1", "end": "900000"}]

TAGS = ["service.name", "name", "code", "user", "status", "status.code", "kind", "root.name", "root.service.name", "region", "list", "numbers", "paid", "ratio", "mixed", "nothing", "http.status_code", "duration",
        "rootName", "rootServiceName", "error", "statusMessage", "with space", "text", "exception.type", "tier"]
TAGS2 = [".service.name", "resource.service.name", "span.code", ".code", "resource.code", "span.user", ".user", "name", "span:name", "status", "span:status", "kind", "span:kind", "rootName", "trace:rootName", "rootServiceName",
         "trace:rootService", "statusMessage", "span:statusMessage", "duration", "traceDuration", "span:id", "trace:id", "span:parentID", "event:name", "event.exception.type", "event.attempt", "event:timeSinceStart", "link.why", "link:traceID",
         "link:spanID", "instrumentation:name", "instrumentation:version", "instrumentation.tier", "instrumentation.level", "span.list", "span.numbers", "span.floats", "span.flags", "span.mixed", "span.paid", "span.ratio",
         'span."with space"', "span.nothing", "childCount", "nestedSetParent", "nothing", "span:foo", "", "resource.zones", "span.text", "parent.code", "span.name"]
SIFTED = ["{}", '{ resource.service.name = "gate" }', "{ status = error }", '{ resource.service.name = "gate" && status = error }', '{ name = "query" || name = "list" }', "{ span.code > 300 }", '{ resource.service.name = "none" }', "{", "{ span.paid = }",
          '{ name =~ "q.*" }', '{ span.user != "u1" }', "{ duration > 1ms }", '{ resource.service.name = "gate" } && { status = error }']
SCOPES = ["", "none", "span", "resource", "intrinsic", "event", "link", "instrumentation", "all", "nonsense"]
