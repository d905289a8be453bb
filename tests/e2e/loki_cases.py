"""What is asked of Reba and of a real Loki: entries of every form, and questions about them."""

import json
import random

SECOND = 10**9
SPAN = 600

WORDS = ["order", "payment", "refund", "timeout", "connection", "cache", "retry", "login"]


def pino(dice, i):
    """A line of a service that logs JSON."""
    line = {
        "level": dice.choice(["debug", "info", "info", "warn", "error"]), "time": 1_700_000_000_000 + i, "msg": f"{dice.choice(WORDS)} {i} done",
        "trace_id": f"{dice.getrandbits(64):016x}", "status": dice.choice([200, 200, 201, 404, 500]), "duration_ms": round(dice.random() * 900, 3),
        "took": dice.choice(["12ms", "1.5s", "2m3s", "250us", "never"]), "size": dice.choice(["5KB", "1.2 MB", "300", "2KiB", "many"]),
        "user": {"id": i % 7, "name": dice.choice(["Zoë", "anna", "b<o>b & \"co\""]), "tags": {"vip": i % 3 == 0}},
        "list": [1, {"deep": "x"}, "three"], "nothing": None, "ok": i % 2 == 0, "big": 12345678901234567890, "exp": 1.5e-7, "odd key.name": "v", "1st": i,
        "app": "inner", "ip": dice.choice(["10.0.0.1", "10.1.2.3", "192.168.4.5", "::1"]), "empty": "", "path": "C:\\temp\\new", "uni": "\u2028é",
    }
    return json.dumps(line, ensure_ascii=i % 5 == 0)


def logfmt(dice, i):
    """A line of a service that logs pairs."""
    return (
        f'level={dice.choice(["info", "warn", "error", "debug"])} method={dice.choice(["GET", "POST"])} path="/api/{dice.choice(WORDS)}?id={i}" '
        f'status={dice.choice([200, 404, 503])} duration={dice.choice(["12.3ms", "1.2s", "45us", "1h2m"])} bytes={dice.choice(["5kB", "12MB", "99B", "77"])} '
        f'ip=10.0.{i % 3}.{i % 200} msg="a \\"quoted\\" text {i}" empty= flag counter={i * 3 % 500} ratio={dice.random():.4f} name=Zoë'
    )


def access(dice, i):
    """A line of a web server."""
    return (
        f'{dice.choice(["10.1.2.3", "192.168.0.9", "8.8.8.8", "2001:db8::1"])} - {dice.choice(["-", "anna"])} [02/Jan/2026:03:04:{i % 60:02}] '
        f'"{dice.choice(["GET", "PUT"])} /{dice.choice(WORDS)}/{i} HTTP/1.1" {dice.choice([200, 301, 500])} {dice.randint(10, 90000)} {dice.random():.3f}'
    )


ODD = [
    "\u001b[31mERROR\u001b[0m something \u001b[1;32mbold\u001b[0m", "tab\there", "<script>alert('x')</script>", 'quote " and \\ backslash', "emoji 🦀 done",
    "  leading and trailing  ", "multi\nline\nstack", "WARN: disk is at 91%", "null", "[]", '"just a string"', "12", "{", "key=value", "a=1 b=2 a=3", "= x",
    "ERROR ten.0.0.1 at 10.20.30.40:8080 and 300.1.1.1", "fe80::1%eth0 said hi", "level=critical msg=x", "the disk", 'a="unclosed', "x=\"a\\nb\" y='single'", '{"a":{"b":{"c":1}},"a_b":2}',
    '{"dup":1,"dup":2}', '{"a":1}trailing', '{"a":tru}', '{"":"noname","a b":"blank","ä":"umlaut"}', "\u0000nul", "%d %s {{.x}}", "plain words",
    '{"log":"inner\\n","stream":"stdout"}', "ts=2024-01-01T00:00:00Z caller=a.go:12 level=ERROR err=\"x: y\"", "Exception in thread main java.lang.Foo",
]

# How levels are written.
LEVELS = [
    '{"level":"FATAL","x":1}', '{"severity":"notice"}', "time=now lvl=trace", "[INFO] started", "debug: nothing", "the information desk", '{"level":30}', '{"level":50,"msg":"x"}',
    '{"a":{"level":"error"}}', '{"LEVEL":"Warn"}', '{"lvl":"err"}', '{"log.level":"warning"}', "level=ERR", "severity=critical", "no level at all", "an error happened", "ERROR: x", "WARN x", '{"msg":"error in text"}',
    '{"msg":"x","level":"informational"}', "E0102 03:04:05 klog", "level=fatal", "msg=info level=debug", "panic: runtime error", '<error>', "2024-01-02 03:04:05,123 INFO [main] x", "terror", "SEVERITY=Info", '{"severity_text":"WARN"}', "trace_id=abc",
]

PACKED = ['{"pod":"p1","node":"n 1","_entry":the kind=x entry a=1}', '{"pod":"p2","num":5,"_entry":"other"}', '{"pod":"p3"}', "no json", '{"_entry":"only"}']


def streams(start):
    """Streams as the push API takes them: (labels, [(ns, line, metadata)]); `start` is in nanoseconds."""
    dice = random.Random(11)
    out = []
    # No two streams have an entry of the same nanosecond: which of them comes first is nobody's promise.
    at = lambda i, n: start + i * (SPAN * SECOND // n) + 1_000_003 * (i % 11) + 1000 * (len(out) + 1)
    for pod in range(2):
        out.append(({"app": "shop", "env": "prod", "pod": f"shop-{pod}"}, [(at(i, 150), pino(dice, i), {}) for i in range(150)]))
    for zone in ("a", "b"):
        out.append(({"app": "gate", "env": "prod", "zone": zone}, [(at(i, 150), logfmt(dice, i), {}) for i in range(150)]))
    out.append(({"app": "web", "env": "dev", "quoted": 'a "b" \\ c é'}, [(at(i, 120), access(dice, i), {}) for i in range(120)]))
    out.append(({"app": "odd", "env": "dev"}, [(at(i, len(ODD)), line, {}) for i, line in enumerate(ODD)]))
    out.append(({"app": "packed"}, [(at(i, 50), PACKED[i % len(PACKED)], {}) for i in range(50)]))
    meta = lambda i: {"trace_id": f"t{i % 9}", "status": str(200 + i % 3), "user": f"u{i % 4}", **({"size": "3KB"} if i % 2 else {})}
    out.append(({"app": "meta", "env": "test"}, [(at(i, 90), f"status={i % 5} user=x n={i} level=warn", meta(i)) for i in range(90)]))
    counter = [(i * 7) % 400 for i in range(120)]
    out.append(({"app": "counter", "instance": "one"}, [(at(i, 120), f'{{"total":{n},"gauge":{n / 7:.3f}}}', {}) for i, n in enumerate(counter)]))
    out.append(({"kind": "levels"}, [(at(i, len(LEVELS)), line, {}) for i, line in enumerate(LEVELS)]))
    # Several lines of one nanosecond, and the same line twice.
    twins = [(at(i // 3, 20), f"line {'same' if i % 3 else 'first'} {i // 3}", {}) for i in range(60)]
    out.append(({"app": "twins", "level": "WARNING"}, twins))
    return out


PARSED = [
    '{app="shop"} | json', '{app="shop"} | json | status=500', '{app="shop"} | json status, user_id="user.id", n="user.name"', '{app="shop"} | json first="list[0]", deep="list[1].deep", all="list", u="user"',
    '{app="shop"} | json missing="a.b.c"', '{app="shop"} | json odd="[\\"odd key.name\\"]"', '{app="gate"} | logfmt', '{app="gate"} | logfmt --strict', '{app="gate"} | logfmt --keep-empty',
    '{app="gate"} | logfmt --strict --keep-empty', '{app="gate"} | logfmt level, p="path", none="missing", e="empty"', '{app="gate"} | logfmt --keep-empty e="empty", flag', '{app="gate"} | regexp "status=(?P<code>\\\\d+) .*ip=(?P<addr>\\\\S+)"',
    '{app="gate"} | regexp `level=(?P<level>\\w+)`', '{app="web"} | pattern `<ip> - <user> [<time>] "<method> <path> <proto>" <status> <size> <took>`', '{app="web"} | pattern `<_> - <user> [<_>] "<method> <_>" <status> <_>`',
    '{app="web"} | pattern "<ip> -"', '{app="web"} | pattern `nothing <here> matches`', '{app="packed"} | unpack', '{app="packed"} | unpack | logfmt', '{app="odd"} | json', '{app="odd"} | logfmt', '{app="odd"} | logfmt --strict', '{app="odd"} | logfmt --keep-empty',
    '{app="odd"} | unpack', '{app="odd"} | json | logfmt', '{app="odd"} | regexp "(?P<word>\\\\w+)"', '{app="odd"} | pattern "<a> <b>"', '{app="odd"} | json a="a", l="level"', '{app="odd"} | logfmt a, level', '{app="meta"} | logfmt', '{app="meta"} | logfmt status, user',
    '{app="meta"} | json', '{app="shop"} | json | line_format "{{.msg}}" | regexp "(?P<first>\\\\w+) (?P<number>\\\\d+)"', '{app="odd"} | decolorize', '{app="shop"} | json | json', '{app="gate"} | logfmt | logfmt', '{app="gate"} | json | logfmt | status=200',
]

FILTERED = [
    '{app="shop"}', '{app=~"shop|gate"}', '{app=~".+", env!="prod"}', '{app!~"shop.*", env=~"dev|test"}', '{app="shop", pod!=""}', '{env="prod", zone=""}', '{quoted="a \\"b\\" \\\\ c é"}', '{app=~"(?i)SHOP"}', '{app="shop",}',
    '{app="shop"} |= "order"', '{app="shop"} != "order"', '{app="shop"} |~ "(order|refund) \\\\d+5"', '{app="shop"} !~ "done"', '{app="shop"} |= "order" |= "1" != "2"', '{app="shop"} |= ""', '{app="shop"} |~ ""', '{app="shop"} != ""', '{app="shop"} !~ ""',
    '{app="shop"} |~ "(?i)ORDER"', '{app="odd"} |~ "^[0-9]+$"', '{app="odd"} |~ "multi.line"', '{app="odd"} |~ "(?s)multi.line"', '{app="odd"} |= `\\`', '{app="odd"} |= "\\u001b[31m"', '{app="odd"} |= "🦀"', '{app="odd"} |~ "\\\\p{L}+ 🦀"',
    '{app="shop"} |= "order" or "refund"', '{app="shop"} != "order" or "refund"', '{app="shop"} |~ "ord" or "ref.nd"', '{app="shop"} !~ "ord" or "ref.nd" or "login"', '{app="web"} |= ip("10.0.0.0/8")', '{app="web"} != ip("10.0.0.0/8")', '{app="web"} |= ip("8.8.8.8")',
    '{app="web"} |= ip("192.168.0.1-192.168.0.20")', '{app="web"} |= ip("2001:db8::/32")', '{app="odd"} |= ip("10.20.30.0/24")', '{app="odd"} |= ip("300.1.1.1/8")', '{app="web"} |= ip("8.8.8.8") or "anna"', '{app="web"} |= "anna" or ip("8.8.8.8")', '{app="odd"} |= ip("fe80::/10")',
    '{app="shop"} |> "<_>order<_>"', '{app="web"} |> `<_> - anna <_>`', '{app="web"} !> `<_> - anna <_>`', '{app="gate"} |> "level=<_> method=GET <_>"', '{app="gate"} |> "level=error<_>" or "level=warn<_>"', '{app="odd"} |> "key=value"', '{app="odd"} |> "<_>"', '{app="odd"} |> "a=<_> b=<_> a=3"',
    '{app="shop"} | json | status >= 400', '{app="shop"} | json | status > 200 and duration_ms < 500', '{app="shop"} | json | status = 404 or status = 500, ok="true"', '{app="shop"} | json | took > 1s', '{app="shop"} | json | took <= 12ms or size > 2KB', '{app="shop"} | json | size >= 1MiB',
    '{app="shop"} | json | size > 1KB', '{app="shop"} | json | size = 5KB', '{app="shop"} | json | size != 300B', '{app="shop"} | json | duration_ms == 12', '{app="shop"} | json | ip = ip("10.0.0.0/8")', '{app="shop"} | json | ip != ip("10.0.0.0/8")', '{app="shop"} | json | ip = ip("::1")',
    '{app="shop"} | json | user_name =~ "Z.*"', '{app="shop"} | json | user_name !~ "Z.*"', '{app="shop"} | json | user_name != "anna"', '{app="shop"} | json | absent = ""', '{app="shop"} | json | absent != ""', '{app="shop"} | json | absent > 5', '{app="shop"} | json | absent =~ ".*"',
    '{app="shop"} | json | (status=200 or status=201) and ok="true"', '{app="shop"} | json | status=200 or status=201 and ok="true"', '{app="shop"} | json | status=200, ok="true" or ok="false"', '{app="shop"} | json | took > 1s | __error__=""', '{app="shop"} | json | took > 1s | __error__!=""',
    '{app="shop"} | json | __error__="LabelFilterErr"', '{app="shop"} | json | msg="x" or took > 1s', '{app="odd"} | json | __error__="JSONParserErr"', '{app="odd"} | json | __error__=""', '{app="odd"} | logfmt --strict | __error__!=""', '{app="odd"} | json | x="1"', '{app="meta"} | trace_id="t3"',
    '{app="meta"} | status="200"', '{app="meta"} | status=201', '{app="meta"} | size > 2KB', '{app="meta"} | size=""', '{app="meta"} | logfmt | status="200"', '{app="meta"} | logfmt | status_extracted="3"', '{app="meta"} | logfmt | n > 80', '{app="meta"} | user=~"u[12]" | trace_id!="t1"',
    '{app="meta"} | detected_level="warn"', '{app="odd"} | detected_level="error"', '{app=~".+"} | detected_level="unknown"', '{app="odd"} | detected_level!="unknown"', '{app="twins"}', '{app="twins"} |= "same"', '{app="shop"} | pod="shop-0"', '{app="shop"} | json | pod="shop-1" | app_extracted="inner"',
    '{app="gate"} | logfmt | duration > 1s', '{app="gate"} | logfmt | bytes >= 5kB', '{app="gate"} | logfmt | bytes < 1MB', '{app="gate"} | logfmt | counter > 0x10', '{app="gate"} | logfmt | counter >= 1e2', '{app="gate"} | logfmt | ratio < .5', '{app="gate"} | logfmt | counter > -1', '{app="gate"} # a remark\n | logfmt',
]

FORMATTED = ['{app="shop"} | json | line_format "' + t + '"' for t in [
    "{{.msg}} {{.status}}", "{{.absent}}|{{.user_name}}", "{{ __line__ | len }}", "{{ __timestamp__ | unixEpoch }}", '{{ __timestamp__ | date \\"2006-01-02T15:04\\" }}', "{{ToUpper .msg}}", "{{.msg | upper | trunc 5}}", "{{.msg | trunc -5}}", '{{ Replace .msg \\" \\" \\"_\\" 1 }}',
    '{{ .msg | replace \\" \\" \\"_\\" }}', '{{ Trim .msg \\"edon\\" }}', '{{ .msg | trimSuffix \\"done\\" }}|{{ TrimSuffix .msg \\"done\\" }}', '{{ regexReplaceAll \\"(\\\\\\\\w+) (\\\\\\\\d+)\\" .msg \\"$2-$1\\" }}', '{{ regexReplaceAllLiteral \\"\\\\\\\\d\\" .msg \\"$1\\" }}',
    "{{ if eq .ok \\\"true\\\" }}yes{{ else }}no{{ end }}", "{{ add .status 1 }} {{ sub 10 .status }} {{ mul 2 3 }} {{ div 7 2 }} {{ mod 7 4 }}", "{{ addf 1.5 .duration_ms }} {{ mulf 2 1.5 }} {{ divf 1 3 }} {{ subf 1 0.25 }}", "{{ max 1 2 3 }} {{ min 4 2 }} {{ maxf 1.5 2 }} {{ minf 1.5 2 }}",
    "{{ ceil 1.2 }} {{ floor 1.8 }} {{ round 1.2345 2 }}", "{{ .duration_ms | float64 | printf \\\"%.1f\\\" }}", "{{ int .status }} {{ .status | int }}", "{{ b64enc .msg }} {{ .msg | b64enc | b64dec }}", "{{ urlencode .msg }} {{ urldecode \\\"a%20b\\\" }}", "{{ duration .took }} {{ duration_seconds \\\"1m\\\" }}",
    "{{ bytes .size }}", "{{ alignLeft 5 .msg }}|{{ alignRight 5 .msg }}", "{{ .msg | title }} {{ lower .msg }}", "{{ repeat 3 .ok }}", "{{ indent 4 .msg }}", "{{ nindent 2 .msg }}", "{{ substr 0 3 .msg }}", "{{ contains \\\"order\\\" .msg }} {{ hasPrefix \\\"order\\\" .msg }} {{ hasSuffix \\\"done\\\" .msg }}",
    "{{ default \\\"none\\\" .absent }} {{ default \\\"none\\\" .msg }}", "{{ .time | unixToTime | date \\\"2006-01-02\\\" }}", "{{ unixToTime \\\"1700000000\\\" }}", "{{ range $i, $e := fromJson .user_tags }}{{ $i }}{{ end }}", "{{ $x := .status }}{{ $x }}", "{{ with .absent }}a{{ else }}b{{ end }}",
    "{{ printf \\\"%-10s|%5s|%q\\\" .ok .status .msg }}", "{{ len .msg }} {{ index .msg 0 }}", "{{ slice .msg 1 4 }}", "{{ print 1 2 \\\"a\\\" }} {{ println 1 }}", "{{ html .user_name }} {{ js .user_name }} {{ urlquery .user_name }}", "{{ and .ok .msg }} {{ or .absent .msg }} {{ not .absent }}",
    "{{ gt (int .status) 300 }} {{ le 1 2 }} {{ ne .ok \\\"x\\\" }} {{ lt 1.5 2.5 }}", "{{ count \\\"o\\\" .msg }}", "{{ trimAll \\\"do\\\" .msg }} {{ trim \\\"  x \\\" }} {{ trimPrefix \\\"order\\\" .msg }}", "{{ toDate \\\"2006-01-02\\\" \\\"2024-03-01\\\" | unixEpoch }}", "{{ unixEpochMillis __timestamp__ }} {{ unixEpochNanos __timestamp__ }}",
    '{{ toDateInZone \\"2006-01-02\\" \\"UTC\\" \\"2024-03-01\\" }}', "{{ .status | add 5 | mul 2 }}", "{{ TrimSpace .msg }}{{ TrimLeft .msg \\\"o\\\" }}{{ TrimRight .msg \\\"e\\\" }}{{ TrimPrefix .msg \\\"o\\\" }}", "{{ .user_id }}{{/* a remark */}}", "{{ define \\\"T\\\" }}<{{ . }}>{{ end }}{{ template \\\"T\\\" .status }}",
    "{{- .msg -}}  x", "{{ .msg | ToUpper | ToLower }}", "{{ divf 1 0 }}", "{{ div 1 0 }}", "{{ index .msg 1000 }}", "{{ .user_name | substr 0 2 }}", "{{ int \\\"abc\\\" }} {{ float64 \\\"x\\\" }}", "{{ date \\\"15:04:05\\\" (toDate \\\"2006\\\" \\\"2020\\\") }}", "{{ .odd_key_name }} {{ ._1st }}", "{{ fromJson __line__ }}",
    "{{ $j := fromJson __line__ }}{{ $j.user.name }} {{ index $j.list 0 }}", "{{ range $k, $v := (fromJson __line__).user }}{{ $k }}={{ $v }};{{ end }}", "{{ mod 7 0 }}", "{{ trunc 100 .msg }}{{ trunc 0 .msg }}", "{{ repeat 0 .msg }}x{{ substr 5 2 .msg }}", "{{ round 2.5 0 }} {{ round -1.55 1 }}", "{{ eq 1 1 }} {{ eq .status .status }}",
]] + [
    '{app="gate"} | logfmt | label_format lvl=level', '{app="gate"} | logfmt | label_format lvl=level, both="{{.lvl}}-{{.method}}"', '{app="gate"} | logfmt | label_format a="{{.status}}", b="{{.a}}x"', '{app="gate"} | logfmt | label_format app=method', '{app="gate"} | logfmt | label_format gone=nothing',
    '{app="gate"} | logfmt | label_format level="{{.level | ToUpper}}" | level="ERROR"', '{app="gate"} | label_format zone="z-{{.zone}}"', '{app="gate"} | logfmt | label_format x="{{ .duration | duration_seconds }}" | x > 1', '{app="gate"} | logfmt | label_format x=`{{ div 1 0 }}`', '{app="meta"} | label_format t=trace_id',
    '{app="meta"} | label_format user="{{.user}}!"', '{app="gate"} | logfmt | drop level, method', '{app="gate"} | logfmt | drop level="info"', '{app="gate"} | logfmt | drop level=~"inf.|warn", zone', '{app="gate"} | logfmt | keep level', '{app="gate"} | logfmt | keep level="info", app', '{app="gate"} | logfmt | drop __error__',
    '{app="odd"} | json | drop __error__, __error_details__', '{app="odd"} | json | keep a', '{app="odd"} | json | drop __error__', '{app="meta"} | drop trace_id', '{app="meta"} | keep user', '{app="gate"} | drop zone', '{app="gate"} | logfmt | drop absent', '{app="odd"} | line_format "{{.absent.x}}"', '{app="odd"} | line_format "{{ ._entry }}"',
    '{app="gate"} | logfmt | line_format "{{.msg}}" |= "quoted"', '{app="gate"} | logfmt | line_format "" ', '{app="odd"} | decolorize |= "ERROR something"', '{app="odd"} | decolorize | line_format "{{ __line__ }}"', '{app="gate"} | logfmt | label_format msg="{{.msg}}", msg2=path | line_format "{{.msg2}}"',
    '{app="gate"} | logfmt | line_format "{{.status}}" | label_format st="{{ __line__ }}"', '{app="twins"} | label_format level="x"', '{app="shop"} | json | label_format app=app_extracted', '{app="shop"} | json | keep app, app_extracted, __error__', '{app="shop"} | json user="user" | line_format "{{.user}}" | json',
    '{app="gate"} | logfmt | label_format `a`="x"', '{app="gate"} | logfmt | line_format `{{ range $k, $v := . }}{{ $k }};{{ end }}`', '{app="odd"} | line_format `{{ . }}`', '{app="shop"} | json | line_format `{{ .user_tags_vip }} {{ .list }} {{ .nothing }} {{ .big }} {{ .exp }}`', '{app="shop"} | line_format `{{ __line__ | fromJson }}`',
]

RANGED = [
    'count_over_time({app="shop"}[1m])', 'rate({app="shop"}[1m])', 'bytes_over_time({app="shop"}[1m])', 'bytes_rate({app="shop"}[1m])', 'rate({app=~"shop|gate"} |= "order" [2m])', 'count_over_time({app="shop"}[1m] |= "order")', 'count_over_time({app="shop"} | json [1m])',
    'count_over_time({app="shop"} | json status [1m])', 'sum(count_over_time({app="odd"} | json [1m]))', 'sum by (x) (count_over_time({app="odd"} | json [1m]))', 'count_over_time({app="odd"} | json | __error__="" [2m])', 'sum by (__error__) (count_over_time({app="odd"} | json [5m]))', 'count_over_time({app="odd"} | json | drop __error__, __error_details__ [5m])',
    'absent_over_time({app="shop"}[1m])', 'absent_over_time({app="none", env="x"}[1m])', 'absent_over_time({app=~"none|no", env="x"}[1m])', 'count_over_time({app="shop"}[1m] offset 2m)', 'count_over_time({app="shop"}[1m] offset -1m)', 'rate({app="twins"}[30s])', 'count_over_time({app="none"}[1m])',
    'sum_over_time({app="shop"} | json | unwrap duration_ms [1m])', 'sum_over_time({app="shop"} | json | unwrap duration_ms | __error__="" [1m])', 'avg_over_time({app="shop"} | json duration_ms | unwrap duration_ms [1m]) by (pod)', 'max_over_time({app="shop"} | json duration_ms | unwrap duration_ms [1m]) by (pod)', 'min_over_time({app="shop"} | json duration_ms | unwrap duration_ms [1m]) without (pod)',
    'stddev_over_time({app="shop"} | json duration_ms | unwrap duration_ms [2m]) by (app)', 'stdvar_over_time({app="shop"} | json duration_ms | unwrap duration_ms [2m]) by (app)', 'quantile_over_time(0.99, {app="shop"} | json duration_ms | unwrap duration_ms [2m]) by (app)', 'quantile_over_time(0.5, {app="shop"} | json duration_ms | unwrap duration_ms [2m])', 'quantile_over_time(1.5, {app="shop"} | json duration_ms | unwrap duration_ms [2m])',
    'quantile_over_time(0, {app="gate"} | logfmt counter | unwrap counter [2m]) by (zone)', 'first_over_time({app="shop"} | json duration_ms | unwrap duration_ms [1m]) by (pod)', 'last_over_time({app="shop"} | json duration_ms | unwrap duration_ms [1m]) by (pod)', 'first_over_time({app="shop"} | json duration_ms | unwrap duration_ms [1m]) by (app)', 'rate({app="shop"} | json duration_ms | unwrap duration_ms [1m])',
    'rate_counter({app="counter"} | json total | unwrap total [2m])', 'rate_counter({app="counter"} | json total | unwrap total [6s])', 'sum_over_time({app="gate"} | logfmt duration | unwrap duration(duration) [1m]) by (zone)', 'sum_over_time({app="gate"} | logfmt duration | unwrap duration_seconds(duration) [1m]) by (zone)', 'sum_over_time({app="gate"} | logfmt bytes | unwrap bytes(bytes) [1m]) by (zone)',
    'sum_over_time({app="shop"} | json size | unwrap bytes(size) [1m]) by (pod)', 'sum_over_time({app="shop"} | json size | unwrap bytes(size) | __error__="" [1m]) by (pod)', 'sum_over_time({app="shop"} | json took | unwrap duration(took) | __error__="" [1m]) by (pod)', 'sum_over_time({app="gate"} | logfmt | unwrap counter [1m])', 'sum by (level) (sum_over_time({app="gate"} | logfmt | unwrap counter [1m]))',
    'sum_over_time({app="gate"} | logfmt | unwrap counter [1m]) by (level)', 'avg_over_time({app="gate"} | logfmt | unwrap ratio [1m]) without (path, msg, ip, counter, duration, bytes)', 'sum_over_time({app="meta"} | unwrap status [1m])', 'sum_over_time({app="meta"} | logfmt | unwrap n [1m]) by (status)', 'sum_over_time({app="meta"} | unwrap absent [1m])', 'max_over_time({app="gate"} | logfmt | unwrap counter | counter > 100 [1m]) by (zone)',
    'count_over_time({app="gate"} | logfmt | unwrap counter [1m])', 'absent_over_time({app="gate"} | logfmt | unwrap absent [1m])', 'count_over_time({app="meta"}[1m])', 'count_over_time({app="meta"} | keep app [1m])', 'sum by (detected_level) (count_over_time({app=~".+"}[2m]))', 'sum by (trace_id) (count_over_time({app="meta"}[2m]))', 'sum by (level, detected_level) (count_over_time({app=~".+"} | drop __error__ [1m]))',
    'sum by (status) (count_over_time({app="web"} | pattern `<_>" <status> <_>` [2m]))', 'sum by (code) (count_over_time({app="gate"} | regexp "status=(?P<code>\\\\d+)" [2m]))', 'count_over_time({app="packed"} | unpack | __error__="" [2m])', 'bytes_over_time({app="gate"} | logfmt | line_format "{{.msg}}" | keep zone [1m])', 'sum(rate({app="gate"} | decolorize [1m]))', 'count_over_time({app="web"} |= ip("10.0.0.0/8") [1m])', 'sum(count_over_time({app="gate"} |> "level=error<_>" [1m]))',
    'rate({app="shop"}[1w])', 'count_over_time({app="shop"}[1h30m])', 'count_over_time({app="shop"}[500ms])', 'sum(count_over_time({app="gate"} | logfmt | status=200 or status=404 [1m]))', 'count_over_time({app="counter"} | json | unwrap total [1m])', 'sum_over_time({app="counter"} | json | unwrap gauge [1m])',
]

AGGREGATED = [
    f"{op}({inner})" for inner in ['rate({app=~".+"}[2m])'] for op in ("sum", "avg", "min", "max", "count", "stddev", "stdvar", "sort", "sort_desc")
] + [
    f'{op} {group} ({{}})'.replace("{}", 'count_over_time({app=~".+"}[2m])') for op in ("sum", "avg", "max", "count", "stddev") for group in ("by (app)", "by (env, app)", "without (app)", "by ()", "without ()", "by (absent)")
] + [
    'topk(2, sum by (app) (bytes_over_time({app=~".+"}[2m])))', 'bottomk(2, sum by (app) (bytes_over_time({app=~".+"}[5m])))', 'topk(1, sum by (app, env) (bytes_over_time({app=~".+"}[5m]))) by (env)', 'bottomk(100, rate({app=~".+"}[2m]))', 
    'sum(rate({app="shop"}[1m])) by (pod)', 'sum by (pod) (rate({app="shop"}[1m])) / ignoring(pod) group_left sum(rate({app="shop"}[1m]))', 'sum(rate({app="shop"}[1m])) * 60', '60 * sum(rate({app="shop"}[1m]))', 'sum(rate({app="shop"}[1m])) / 0', 'sum(rate({app="shop"}[1m])) % 0', '-1 * sum(rate({app="shop"}[1m]))', 'sum(rate({app="shop"}[1m])) ^ 2',
    'sum(rate({app="shop"}[1m])) > 0.4', 'sum(rate({app="shop"}[1m])) > bool 0.4', 'sum by (app) (rate({app=~".+"}[1m])) > on(app) sum by (app) (rate({app="shop"}[1m]))', 'sum by (app) (rate({app=~".+"}[1m])) and sum by (app) (rate({app="shop"}[1m]))', 'sum by (app) (rate({app=~".+"}[1m])) unless sum by (app) (rate({app="shop"}[1m]))', 'sum by (app) (rate({app="gate"}[1m])) or sum by (app) (rate({app="shop"}[1m]))',
    'count_over_time({app="shop"}[1m]) + count_over_time({app="gate"}[1m])', 'sum(count_over_time({app="shop"}[1m])) + sum(count_over_time({app="gate"}[1m]))', 'sum(count_over_time({app="none"}[1m])) or vector(0)', 'vector(3)', '1 + 2 * 3 ^ 2', '(1 + 2) * 3', '10 % 4', '2 == 2', '2 == bool 3', '1 > 2', '-1', '1e3', '0x10', 'vector(1) + vector(1)', 'vector(1) > bool 2',
    'sum(count_over_time({app="shop"}[1m])) == sum(count_over_time({app="shop"}[1m]))', 'sum by (pod) (count_over_time({app="shop"}[1m])) >= bool on() group_left sum(count_over_time({app="gate"}[1m]))', 'label_replace(sum by (pod) (rate({app="shop"}[1m])), "n", "$1", "pod", "shop-(.*)")', 'label_replace(rate({app="shop"}[1m]), "pod", "", "pod", ".*")', 'label_replace(rate({app="shop"}[1m]), "x", "$1", "pod", "nomatch(.*)")',
    'label_replace(label_replace(rate({app="shop"}[1m]), "x", "y", "", ""), "z", "${x}", "x", "(?P<x>.)")', 'sort(sum by (app) (count_over_time({app=~".+"}[5m])))', 'sort_desc(sum by (app) (count_over_time({app=~".+"}[5m])))', 'sum(sum by (app) (count_over_time({app=~".+"}[5m])))', 'max(sum by (app) (rate({app=~".+"}[5m]))) by (env)', 'count(count by (trace_id) (count_over_time({app="meta"}[5m])))',
    'sum by (app) (count_over_time({app=~".+"}[2m])) / on(app) sum by (app) (count_over_time({app=~".+"}[4m]))', 'sum by (pod) (rate({app="shop"}[1m])) * on() group_left vector(2)', 'avg(avg_over_time({app="shop"} | json duration_ms | unwrap duration_ms [1m]))', 'max by (pod) (max_over_time({app="shop"} | json duration_ms | unwrap duration_ms [1m]))', 'sum(rate({app="shop"} | json | unwrap duration_ms [1m])) by (status)',
    '(sum(rate({app="shop"} | json | status >= 500 [2m])) / sum(rate({app="shop"}[2m]))) * 100', 'sum(rate({app="shop"}[1m])) - on() sum(rate({app="shop"}[1m] offset 1m))', 'sum by (app,env) (rate({app=~".+"}[1m])) + ignoring(env) group_left sum by (app) (rate({app=~".+"}[1m]))', 'sum by (app,env) (rate({env=~".+"}[1m])) * on (env) group_left(x) label_replace(sum by (env) (rate({env=~".+"}[1m])), "x", "y", "", "")',
]

WRONG = [
    "", "{", "{app=", '{app="a"', "{}", '{app=~".*"}', '{app=""}', '{app="shop"} |', '{app="shop"} |=', '{app="shop"} | nosuch', '{app="shop"} | json |', '{app=~"("}', '{app="shop"} |~ "("', '{app="shop"} | regexp "nogroup"', '{app="shop"} | regexp "(?P<a>x"', '{app="shop"} | regexp "(?P<a>.)(?P<a>.)"', '{app="shop"} | pattern "nocapture"', '{app="shop"} | pattern "<a><b>"',
    '{app="shop"} | pattern "<a> <a>"', '{app="shop"} | line_format "{{.x"', '{app="shop"} | line_format "{{ nosuch .x }}"', '{app="shop"} | label_format a="x",a="y"', '{app="shop"} | label_format __error__="x"', '{app="shop"} |= ip("x")', '{app="shop"} |~ ip("10.0.0.1")', '{app="shop"} | a = ip("x")', '{app="shop"} | a > ip("10.0.0.1")', '{app="shop"} | unwrap x', 'rate({app="shop"})',
    'rate({app="shop"}[0s])', 'rate({app="shop"}[x])', 'rate({app="shop"}[1m]) by (x)', 'sum_over_time({app="shop"}[1m])', 'count_over_time({app="shop"} | unwrap x [1m]) by (y)', 'quantile_over_time({app="shop"} | unwrap x [1m])', 'topk(sum(rate({app="shop"}[1m])))', 'topk(0, rate({app="shop"}[1m]))', 'topk(-1, rate({app="shop"}[1m]))', 'topk(1.5, rate({app="shop"}[1m]))', 'nosuch({app="shop"}[1m])', 'sum(', 'sum({app="shop"})',
    'sort(rate({app="shop"}[1m])) by (x)', 'label_replace(rate({app="shop"}[1m]), "x", "y", "z", "(")', 'label_replace(rate({app="shop"}[1m]), "x")', 'rate({app="shop"}[1m]) and 1', '1 or rate({app="shop"}[1m])', 'rate({app="shop"}[1m]) + rate({app="shop"}[1m]) by (x)', '{app="shop"} + 1', 'count_over_time({app="shop"}[1m]) + on(env) count_over_time({app="gate"}[1m])', 'rate({app="shop"}[1m]) @ 5', '{app="shop"} | json "a"',
    '{app="shop"} | json a="x..y"', '{app="shop"} | logfmt --nosuch', '{app="shop"} | drop', '{app="shop"} | keep', '{app="shop"} | decolorize x', '{app="shop", app}', "{'app'='x'}", '{app="shop"} | status > "5"', '{app="shop"} | status => 5', '{app="shop"} |> "<a>"', '{app="shop"} |> "<_><_>"', 'vector({app="shop"})', 'vector(x)', '{app="a" env="b"}', 'sum by app (rate({app="shop"}[1m]))', 'sum(rate({app="shop"}[1m])) by',
    'sum_over_time({app="odd"} | json | unwrap x [10m])', 'count_over_time({app="odd"} | json | x="1" [10m])', 'sum_over_time({app="shop"} | json | unwrap msg [10m])', 'rate_counter({app="shop"}[1m])', 'first_over_time({app="shop"}[1m])', 'approx_topk(2, sum by (app) (rate({app=~".+"}[1m]))) by (x)', 'bytes_rate({app="shop"} | unwrap x [1m])', '{app="shop"}}', ')', '"text"', '{app="shop"} | "x"', 'rate(rate({app="shop"}[1m])[1m])', '{app="shop"}[1m]',
    'count_over_time({app="shop"}[1m]) offset 1m', 'rate({app="shop"}[1m] offset)', '{app="sh\\xop"}', '{app="shop\\q"}', "{app=`shop`} |= `x", '{app="shop"} | line_format 5', '{app="shop"} | label_format a=5', '{app="shop"} != ip("10.0.0.0/99")', '{app="shop"} | distinct x', 'variants(rate({app="shop"}[1m])) of ({app="shop"}[1m])', 'stddev_over_time({app="shop"} | unwrap x(y) [1m])', 'sum(rate({app="shop"}[1m])) without',
]

PRINTED = [q for group in (PARSED, FILTERED, FORMATTED[-40:], RANGED, AGGREGATED) for q in group[::3]] + WRONG[::4]

# What is asked of the streams themselves, as (path, parameters); `start` and `end` are added.
ASKED = [
    ("labels", {}), ("label", {"query": '{app="gate"}'}), ("label/app/values", {}), ("label/zone/values", {"query": '{app="gate",zone="a"}'}), ("series", {"match[]": '{app="gate"}'}), ("series", {"match[]": ['{app="gate"}', '{app="web"}']}), ("series", {}),
    ("series", {"match": '{env="prod"}'}), ("series", {"match[]": "{app="}), ("index/stats", {"query": '{app="none"}'}), ("index/volume", {"query": '{app="none"}'}), ("index/volume", {"query": '{app="gate"}', "aggregateBy": "x"}), ("detected_labels", {}), ("detected_labels", {"query": '{app="gate"}'}),
    ("detected_fields", {"query": '{app="gate"}', "line_limit": 1000}), ("detected_fields", {"query": '{app="meta"}', "line_limit": 1000}), ("detected_fields", {"query": '{app="counter"}', "line_limit": 1000}), ("detected_field/status/values", {"query": '{app="gate"}', "line_limit": 1000}), ("patterns", {"query": '{app="none"}'}),
    ("query", {"query": "vector(1)+vector(1)", "time": 4}), ("query", {"query": 'rate({app="gate"}[1m])', "time": "x"}), ("query_range", {"query": '{app="gate"}', "limit": 0}), ("query_range", {"query": '{app="gate"}', "limit": -1}), ("query_range", {"query": '{app="gate"}', "limit": "x"}),
    ("query_range", {"query": '{app="gate"}', "start": "abc"}), ("query_range", {"query": '{app="gate"}', "since": "abc"}), ("query_range", {"query": '{app="gate"}', "step": "abc"}), ("query_range", {"query": 'rate({app="gate"}[1m])', "step": 0}), ("query_range", {"query": 'rate({app="gate"}[1m])', "step": "0.01"}),
    ("query_range", {"query": '{app="gate"}', "interval": -1}), ("query_range", {"query": '{app="gate"}', "interval": "x"}), ("query_range", {"query": '{app="gate",zone="a"}', "interval": "30s", "limit": 5000}), ("query_range", {"query": '{app="gate"}', "interval": "30s", "limit": 5000, "direction": "forward"}),
    ("query_range", {"query": 'sum(rate({app="gate"}[1m]))', "step": "15000ms"}), ("query_range", {"query": 'sum(rate({app="gate"}[1m]))', "step": "0.5m"}), ("query_range", {"query": 'sum(rate({app="gate"}[1m]))'}), ("query_range", {"query": 'sum(rate({app="gate"}[1m]))', "step": 13}),
] + [("query_range", {"query": query, "limit": limit, "direction": direction}) for query in ('{app="gate"}', '{app=~"gate|shop"}', '{env=~".+"} |= "1"') for limit in (1, 7, 50) for direction in ("forward", "backward")]

CATEGORIZED = ['{app="meta"} | logfmt', '{app="shop"} | json | line_format "{{.msg}}"', '{app="odd"} | json a', '{app="gate"} | label_format zone="x" | drop env', '{app="meta"} | label_format trace_id="x"', '{app="gate"} | logfmt --keep-empty', '{app="shop"}']

_BUG = "a bug of Loki: "
# Where answers differ, and why. What is wrong with a query is said in other words by Reba, so those of WRONG are compared by their status alone.
DIFFERENT = {
    '{app="shop",}': "Reba takes a comma at the end", "{}": "every stream", '{app=~".*"}': "every stream", '{app=""}': "these streams",
    '{app="gate"} | logfmt | label_format level="{{.level | ToUpper}}" | level="ERROR"': _BUG + "the filter looks at the label from before label_format", '{app="odd"} | decolorize |= "ERROR something"': _BUG + "the filter runs before decolorize",
    'count_over_time({app="shop"}[1m]) + on(env) count_over_time({app="gate"}[1m])': "500 there: but the query is wrong, not the server",
    '{app="odd"} | json a="a", l="level"': "an object that is damaged is an error here in any case, and has no labels", '{app="odd"} | json a': "an object that is damaged is an error here in any case, and has no labels",
    '{app="gate"} | logfmt | counter > 0x10': "says it in other words", "0x10": "says it in other words",
    'sum by (x) (count_over_time({app="odd"} | json [1m]))': "names another of the lines that fail",
    'label_replace(rate({app="shop"}[1m]), "pod", "", "pod", ".*")': _BUG + "answers with two samples of one series and time",
}
