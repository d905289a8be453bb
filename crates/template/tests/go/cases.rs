//! Templates with the output and the errors that Go's own `text/template` (1.19) gives for them.

/// Template, output.
pub const OUTPUTS: &[(&str, &str)] = &[
    (r"plain {{.S}} text", r"plain hello text"),
    (r"{{.N}} {{.F}} {{.G}} {{.B}} {{.Neg}} {{.Inf}}", r"42 1e+06 0.25 true -7 +Inf"),
    (
        r"{{.L}} {{.M}} {{.SM}} {{.E}} {{.Nil}} {{.Missing}} {{.SM.missing}}|",
        r"[1 two 3.5 <nil>] map[a:x b:2] map[instance:h:1 job:api] [] <no value> <no value> |",
    ),
    (
        r#"{{ 1e3 }} {{ 0x10 }} {{ 1_000 }} {{ 0b101 }} {{ 'a' }} {{ "q\t\u00e9\x41" }} {{ `raw\n` }} {{ 1.50 }} {{ 017 }} {{ 0o17 }} {{-3}} {{ +4 }} {{ .5 }}"#,
        r"1000 16 1000 5 97 q	éA raw\n 1.5 15 15 -3 4 0.5",
    ),
    (r#"{{- " a " -}}  b  {{- /* c */ -}}  d"#, r" a bd"),
    (r"{{/* comment */}}x{{- /* y */ -}} z", r"xz"),
    (r"{{if .E}}yes{{else}}no{{end}}{{if .L}}yes{{end}}", r"noyes"),
    (r"{{if eq .N 1}}one{{else if eq .N 42}}forty-two{{else}}other{{end}}", r"forty-two"),
    (r"{{with .S}}{{.}}{{$.N}}{{else}}none{{end}}{{with .E}}x{{else}}empty{{end}}", r"hello42empty"),
    (r"{{range .L}}[{{.}}]{{end}}{{range .E}}x{{else}}none{{end}}", r"[1][two][3.5][<no value>]none"),
    (
        r"{{range $i, $e := .L}}{{$i}}={{$e}};{{end}}{{range $k, $v := .SM}}{{$k}}={{$v}} {{end}}{{range $e := .M}}{{$e}},{{end}}",
        r"0=1;1=two;2=3.5;3=<no value>;instance=h:1 job=api x,2,",
    ),
    (
        r#"{{range .L}}{{if eq (printf "%v" .) "two"}}{{continue}}{{end}}{{if eq (printf "%v" .) "3.5"}}{{break}}{{end}}{{.}}{{end}}"#,
        r"1",
    ),
    (r"{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 3}}{{$y}}{{end}}{{$x}}", r"32"),
    (r"{{$x := 1}}{{range .L}}{{$x = .}}{{end}}{{$x}}", r"<no value>"),
    (
        r#"{{define "T"}}<{{.}}>{{end}}{{template "T" .S}}{{template "T"}}{{block "B" .N}}[{{.}}]{{end}}"#,
        r"<hello><<no value>>[42]",
    ),
    (
        r#"{{len .L}} {{len .S}} {{len .SM}} {{index .L 1}} {{index .M "a"}} {{index .SM "job"}} {{index .SM "zz"}}|{{index .S 0}}"#,
        r"4 5 2 two x api |104",
    ),
    (r"{{slice .S 1 3}} {{slice .S 2}} {{slice .L 1}} {{slice .L 0 2}}", r"el llo [two 3.5 <nil>] [1 two]"),
    (
        r#"{{and .B .S}} {{or .E .S}} {{not .B}} {{and 0 1}} {{or 0 0.0 "" "x"}} {{.S | and .B}} {{"" | or ""}}|"#,
        r"hello hello false 0 x hello |",
    ),
    (
        r#"{{eq 1 1}} {{eq 1 2 3 1}} {{ne "a" "b"}} {{lt 1 2}} {{le 2.0 2.0}} {{gt "b" "a"}} {{ge 1 2}} {{eq .Nil .Missing}} {{eq .S "hello"}} {{gt .F 100.0}}"#,
        r"true true true true true true false true true true",
    ),
    (
        r#"{{print 1 2 "a" "b" 3 4.5 nil}} {{println "x" 1}}|{{print "a" 1 "b"}}"#,
        r"1 2ab3 4.5 <nil> x 1
|a1b",
    ),
    (
        r#"{{html "<a href='x'>&\"</a>"}} {{js "it's \"<x>\" & = \n"}} {{urlquery "a b&c=d/é~-_."}} {{"<" | html}}"#,
        r#"&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; it\'s \"\u003Cx\u003E\" \u0026 \u003D \u000A a+b%26c%3Dd%2F%C3%A9~-_. &lt;"#,
    ),
    (
        r#"{{printf "%d %5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c|%q|%U|%#x|% d" 42 42 42 42 42 255 255 8 5 65 65 65 255 7}}"#,
        r"42    42|42   |00042|+42|ff|FF|10|101|A|'A'|U+0041|0xff| 7",
    ),
    (
        r#"{{printf "%s|%10s|%-10s|%q|%x|%X|%.2s|%v|%5.1s|" "héllo" "ab" "ab" "a\"b\n" "hi" "hi" "héllo" "v" "xyz"}}"#,
        r#"héllo|        ab|ab        |"a\"b\n"|6869|6869|hé|v|    x|"#,
    ),
    (
        r#"{{printf "%f|%.2f|%8.3f|%-8.1f|%+.1f|%e|%.3e|%g|%G|%.3g|%.10g|%08.2f|% f" 3.14159 3.14159 3.14159 3.14159 3.14159 31415.9 31415.9 1e21 1e-7 1234567.0 0.1 -3.14159 2.0}}"#,
        r"3.141590|3.14|   3.142|3.1     |+3.1|3.141590e+04|3.142e+04|1e+21|1E-07|1.23e+06|0.1|-0003.14| 2.000000",
    ),
    (
        r#"{{printf "%v %v %v %v %v %v %v" 1e5 1e6 1e20 1e21 123456789.0 0.0001 0.00001}}"#,
        r"100000 1e+06 1e+20 1e+21 1.23456789e+08 0.0001 1e-05",
    ),
    (
        r#"{{printf "%t %v %5t|%q|%T %T %T %T %T" true false true "x" 1 1.5 "s" true .L}}"#,
        r#"true false  true|"x"|int float64 string bool []interface {}"#,
    ),
    (
        r#"{{printf "%d %s" "str" 5}} {{printf "%d"}} {{printf "%d" 1 2}} {{printf "%!"}} {{printf "%z" 1}} {{printf "100%%"}} {{printf "%"}}"#,
        r"%!d(string=str) %!s(int=5) %!d(MISSING) 1%!(EXTRA int=2) %!!(MISSING) %!z(int=1) 100% %!(NOVERB)",
    ),
    (
        r#"{{printf "%*d|%-*d|%.*f" 5 42 5 42 2 3.14159}} {{printf "%[2]d %[1]d" 1 2}} {{printf "%[3]d" 1}}"#,
        r"   42|42   |3.14 2 1 %!d(BADINDEX)",
    ),
    (
        r#"{{printf "%v %+v %#v %s %d" .L .M .SM .L .L}}"#,
        r#"[1 two 3.5 <nil>] map[a:x b:2] map[string]string{"instance":"h:1", "job":"api"} [%!s(int=1) two %!s(float64=3.5) <nil>] [1 %!d(string=two) %!d(float64=3.5) <nil>]"#,
    ),
    (
        r#"{{printf "%#v %#v %#v %#v %+v" "s" 1 1.0 .L 5}}"#,
        r#""s" 1 1 []interface {}{1, "two", 3.5, interface {}(nil)} 5"#,
    ),
    (
        r#"{{printf "%6.2f%%" 12.345}} {{printf "%.4g" 1234567.0}} {{printf "%.4g" 0.12}} {{printf "%.0f" 2.5}} {{printf "%.0f" 3.5}} {{printf "%5.1f|%-7.2f|" 1.25 1.25}}"#,
        r" 12.35% 1.235e+06 0.12 2 4   1.2|1.25   |",
    ),
    (
        r#"{{printf "%x %X %g" 3 3 100000.0}} {{printf "%s" .Nil}} {{printf "%v" .Nil}} {{printf "%d" .F}}"#,
        r"3 3 100000 %!s(<nil>) <nil> %!d(float64=1e+06)",
    ),
    (
        r#"{{(index .M "a")}} {{(len .S) | printf "%03d"}} {{.M.a}} {{$.M.a}} {{with $x := .M}}{{$x.a}}{{end}}"#,
        r"x 005 x x x",
    ),
    (
        r#"{{"a" | printf "%s-%s" "b"}} {{printf "%q" `a"b`}} {{print (eq 1 1) (not true)}}"#,
        r#"b-a "a\"b" true false"#,
    ),
    (r"{{range $i, $c := .L}}{{if $i}}, {{end}}{{$c}}{{end}}", r"1, two, 3.5, <no value>"),
    (r"{{with $v := .N}}{{$v}}{{end}}{{if $v := .S}}{{$v}}{{end}}", r"42hello"),
    (
        r#"{{true}} {{false}} {{print nil}} {{print true}} {{printf "%v" nil}}"#,
        r"true false <nil> true <nil>",
    ),
    (r#"{{define "a"}}{{$}}{{end}}{{template "a" .S}}{{define "e"}} {{end}}{{template "e"}}|"#, r"hello |"),
    (
        r#"{{if and .B (gt .N 1)}}ok{{end}}{{if or (eq .S "x") (eq .S "hello")}}ok{{end}}{{if not .E}}ok{{end}}"#,
        r"okokok",
    ),
    (r#"{{.L | len}}{{.S | len | eq 5}}{{.S | printf "%.1s" | printf "%s%s" "z"}}"#, r"4truezh"),
    (r"{{ .S | }}", r"hello"),
    (r#"{{printf "%s %v" (index .M "zz") (index .SM "zz")}}"#, r"%!s(<nil>) "),
    (r#"{{slice .L 1 2 3}} {{slice .L}} {{slice "abc" 0 0}}|"#, r"[two] [1 two 3.5 <nil>] |"),
    (
        r#"{{printf "%5v|%-5v|%05v" 42 true 3.5}} {{printf "%3c|%-3c|" 65 66}} {{printf "%#q" "x"}} {{printf "% x" "abc"}} {{printf "%#x" "abc"}}"#,
        r"   42|true |003.5   A|B  | `x` 61 62 63 0x616263",
    ),
    (
        r#"{{printf "%08d|%-08d|%+08d|%x|%X" -42 -42 42 -255 255}} {{printf "%.3d|%8.3d" 7 7}} {{printf "%e" 0.0}} {{printf "%g" 0.0}} {{printf "%v" -0.0}} {{printf "%08v" .Inf}}"#,
        r"-0000042|-42     |+0000042|-ff|FF 007|     007 0.000000e+00 0 -0     +Inf",
    ),
    (
        r#"{{printf "%v %d %s" .M .M .SM}} {{printf "%q" .L}} {{printf "%v" .E}} {{printf "%s" true}}"#,
        r#"map[a:x b:2] map[%!d(string=a):%!d(string=x) %!d(string=b):2] map[instance:h:1 job:api] ['\x01' "two" %!q(float64=3.5) <nil>] [] %!s(bool=true)"#,
    ),
];

/// Template, error.
pub const ERRORS: &[(&str, &str)] = &[
    (
        r"{{.Missing.Deep}} {{.SM.missing}}|{{.Nil.x}}",
        r#"template: test:1:10: executing "test" at <.Missing.Deep>: nil pointer evaluating interface {}.Deep"#,
    ),
    (r"{{", r"template: test:1: unclosed action"),
    (r"{{.S", r"template: test:1: unclosed action"),
    (r#"{{ "a"#, r"template: test:1: unterminated quoted string"),
    (r"{{ .S }", r#"template: test:1: unexpected "}" in operand"#),
    (r"{{ if }}x{{end}}", r"template: test:1: missing value for if"),
    (r"{{if .S}}x", r"template: test:1: unexpected EOF"),
    (r"{{end}}", r"template: test:1: unexpected {{end}}"),
    (r"{{else}}", r"template: test:1: unexpected {{else}}"),
    (r"{{range .L}}{{else}}{{else}}{{end}}", r"template: test:1: expected end; found {{else}}"),
    (r"{{break}}", r"template: test:1: {{break}} outside {{range}}"),
    (r"{{nope 1}}", r#"template: test:1: function "nope" not defined"#),
    (r"{{$x}}", r#"template: test:1: undefined variable "$x""#),
    (
        r#"{{template "nope"}}"#,
        r#"template: test:1:11: executing "test" at <{{template "nope"}}>: template "nope" not defined"#,
    ),
    (r#"{{define "x"}}"#, r"template: test:1: unexpected EOF"),
    (
        r#"{{define "x"}}1{{end}}{{define "x"}}2{{end}}"#,
        r#"template: test:1: template: multiple definition of template "x""#,
    ),
    (r"{{template}}", r#"template: test:1: unexpected "}}" in template clause"#),
    (r"{{1 2}}", r#"template: test:1:2: executing "test" at <1>: can't give argument to non-function 1"#),
    (r"{{.S 1}}", r#"template: test:1:2: executing "test" at <.S>: S is not a method but has arguments"#),
    (
        r"{{.S.x}}",
        r#"template: test:1:4: executing "test" at <.S.x>: can't evaluate field x in type interface {}"#,
    ),
    (
        r"{{.N.x}}",
        r#"template: test:1:4: executing "test" at <.N.x>: can't evaluate field x in type interface {}"#,
    ),
    (r"{{len 3}}", r#"template: test:1:2: executing "test" at <len 3>: error calling len: len of type int"#),
    (
        r"{{len .Nil}}",
        r#"template: test:1:2: executing "test" at <len .Nil>: error calling len: len of nil pointer"#,
    ),
    (
        r"{{index .L 9}}",
        r#"template: test:1:2: executing "test" at <index .L 9>: error calling index: index out of range: 9"#,
    ),
    (
        r#"{{index .L "a"}}"#,
        r#"template: test:1:2: executing "test" at <index .L "a">: error calling index: cannot index slice/array with type string"#,
    ),
    (
        r"{{index .SM 1}}",
        r#"template: test:1:2: executing "test" at <index .SM 1>: error calling index: value has type int; should be string"#,
    ),
    (
        r"{{index .N 1}}",
        r#"template: test:1:2: executing "test" at <index .N 1>: error calling index: can't index item of type int"#,
    ),
    (
        r"{{slice .S 3 1}}",
        r#"template: test:1:2: executing "test" at <slice .S 3 1>: error calling slice: invalid slice index: 3 > 1"#,
    ),
    (
        r"{{slice .S 9}}",
        r#"template: test:1:2: executing "test" at <slice .S 9>: error calling slice: index out of range: 9"#,
    ),
    (
        r#"{{lt 1 "a"}}"#,
        r#"template: test:1:2: executing "test" at <lt 1 "a">: error calling lt: incompatible types for comparison"#,
    ),
    (
        r"{{lt .L .L}}",
        r#"template: test:1:2: executing "test" at <lt .L .L>: error calling lt: invalid type for comparison"#,
    ),
    (
        r"{{eq 1}}",
        r#"template: test:1:2: executing "test" at <eq 1>: error calling eq: missing argument for comparison"#,
    ),
    (
        r"{{eq 1 1.0}}",
        r#"template: test:1:2: executing "test" at <eq 1 1.0>: error calling eq: incompatible types for comparison"#,
    ),
    (
        r"{{gt .F 100}}",
        r#"template: test:1:2: executing "test" at <gt .F 100>: error calling gt: incompatible types for comparison"#,
    ),
    (
        r"{{eq}}",
        r#"template: test:1:2: executing "test" at <eq>: wrong number of args for eq: want at least 1 got 0"#,
    ),
    (
        r"{{not 1 2}}",
        r#"template: test:1:2: executing "test" at <not>: wrong number of args for not: want 1 got 2"#,
    ),
    (r"{{printf 1}}", r#"template: test:1:9: executing "test" at <1>: expected string; found 1"#),
    (
        r"{{printf}}",
        r#"template: test:1:2: executing "test" at <printf>: wrong number of args for printf: want at least 1 got 0"#,
    ),
    (r"{{nil}}", r#"template: test:1:2: executing "test" at <nil>: nil is not a command"#),
    (r"{{nil | print}}", r#"template: test:1:2: executing "test" at <nil>: nil is not a command"#),
    (r"{{1 | 2}}", r"template: test:1: non executable command in pipeline stage 2"),
    (r#"{{"a".b}}"#, r#"template: test:1: unexpected . after term "\"a\"""#),
    (r"{{1.x}}", r#"template: test:1: bad number syntax: "1.x""#),
    (
        r"{{range .S}}x{{end}}",
        r#"template: test:1:8: executing "test" at <.S>: range can't iterate over hello"#,
    ),
    (r"{{(}}", r"template: test:1: unclosed left paren"),
    (r"{{(1}}", r"template: test:1: unclosed left paren"),
    (r"{{ # }}", r##"template: test:1: unexpected "#" in command"##),
    (r"{{ é }}", r#"template: test:1: function "é" not defined"#),
    (r"{{ .a-b }}", r"template: test:1: bad character U+002D '-'"),
    (r"{{ 1x }}", r#"template: test:1: bad number syntax: "1x""#),
    (r"{{ 'ab' }}", r"template: test:1: malformed character constant: 'ab'"),
    (r"{{ 99999999999999999999 }}", r#"template: test:1: integer overflow: "99999999999999999999""#),
    (r"{{ $x := }}", r"template: test:1: missing value for command"),
    (r"{{ $x, $y := 1 }}", r"template: test:1: too many declarations in command"),
    (r"{{range $x, $y, $z := .L}}{{end}}", r"template: test:1: too many declarations in range"),
    (r"{{ $x = 1 }}", r#"template: test:1:8: executing "test" at <1>: undefined variable: $x"#),
    (r"{{/* unclosed", r"template: test:1: unclosed comment"),
    (r"{{/* a */ b}}", r"template: test:1: comment ends before closing delimiter"),
    (
        r#"{{ "a" "b" }}"#,
        r#"template: test:1:3: executing "test" at <"a">: can't give argument to non-function "a""#,
    ),
    (
        r"{{call .S}}",
        r#"template: test:1:2: executing "test" at <call .S>: error calling call: non-function of type string"#,
    ),
    (
        r"{{call .Nil}}",
        r#"template: test:1:2: executing "test" at <call .Nil>: error calling call: call of nil"#,
    ),
    (
        r"{{and}}",
        r#"template: test:1:2: executing "test" at <and>: wrong number of args for and: want at least 1 got 0"#,
    ),
    (
        r"{{.M.a.b}}",
        r#"template: test:1:4: executing "test" at <.M.a.b>: can't evaluate field b in type interface {}"#,
    ),
    (r"{{(.S).x}}", r#"template: test:1:3: executing "test" at <.S>: can't evaluate field x in type string"#),
    (
        r"{{with .M}}{{.a.b}}{{end}}",
        r#"template: test:1:15: executing "test" at <.a.b>: can't evaluate field b in type interface {}"#,
    ),
    (
        r"line1
  {{.S}}
 {{.S.x}}",
        r#"template: test:3:5: executing "test" at <.S.x>: can't evaluate field x in type interface {}"#,
    ),
    (
        r#"{{define "D"}}
{{.x.y.z}}{{.S.x}}{{end}}a{{template "D" .}}"#,
        r#"template: test:2:4: executing "D" at <.x.y.z>: nil pointer evaluating interface {}.y"#,
    ),
    (
        r"{{$a := index .L 9}}",
        r#"template: test:1:8: executing "test" at <index .L 9>: error calling index: index out of range: 9"#,
    ),
    (r#"{{block "x"}}{{end}}"#, r"template: test:1: missing value for block clause"),
    (r#"{{template "x" 1 | 2}}"#, r"template: test:1: non executable command in pipeline stage 2"),
    (r"{{if true}}{{else if}}{{end}}", r"template: test:1: missing value for if"),
    (r"{{end | x}}", r#"template: test:1: unexpected "|" in end"#),
    (r"{{.}}{{range}}{{end}}", r"template: test:1: missing value for range"),
    (r"{{ | .S }}", r#"template: test:1: unexpected "|" in command"#),
    (
        r"{{ .S | .S }}",
        r#"template: test:1:8: executing "test" at <.S>: S is not a method but has arguments"#,
    ),
    (r"{{ := 1 }}", r#"template: test:1: unexpected ":=" in command"#),
    (r"{{ : }}", r"template: test:1: expected :="),
    (r#"{{"\z"}}"#, r"template: test:1: invalid syntax"),
    (r"{{`unterminated}}", r"template: test:1: unterminated raw quoted string"),
    (r"{{ 1 . }}", r#"template: test:1:3: executing "test" at <1>: can't give argument to non-function 1"#),
    (r"{{ .S. }}", r"template: test:1: unexpected <.> in operand"),
];
