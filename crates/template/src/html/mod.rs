//! Contextual escaping as in Go's `html/template`: what an action prints is made safe for the place where it stands.
//!
//! Go looks at all ways through a template before it runs; here the place is followed while it runs. For every template that Go
//! takes, the outcome is the same: Go refuses those whose branches end in different places.

mod context;
mod escape;
mod value;

pub(crate) use context::Context;
pub(crate) use value::Content;
pub use value::{safe_html, safe_url};

#[cfg(test)]
mod tests {
    use crate::{Functions, MissingKey, Options, Template, Value};

    fn render(source: &str, data: &Value) -> String {
        let mut functions = Functions::new();
        functions.add("safeHtml", &[crate::Param::Text], |a| Ok(super::safe_html(&a[0])));
        functions.add("safeUrl", &[crate::Param::Text], |a| Ok(super::safe_url(&a[0])));
        let t = Template::parse("t", source, &functions).unwrap();
        let options = Options { missing_key: MissingKey::Zero, ..Options::default() };
        t.execute_html(data, &functions, &options).unwrap()
    }

    /// What Go 1.19's `html/template` gave for the same.
    #[test]
    fn every_place_has_its_escaping() {
        let data = Value::string_map([
            ("x", "a<b>&\"'+ c"),
            ("u", "javascript:alert(1)"),
            ("ok", "http://h/p q?a=b&c=d"),
        ]);
        for (source, want) in [
            ("<b>{{.x}}</b>", "<b>a&lt;b&gt;&amp;&#34;&#39;&#43; c</b>"),
            ("<a title=\"{{.x}}\">", "<a title=\"a&lt;b&gt;&amp;&#34;&#39;&#43; c\">"),
            ("<a title={{.x}}>", "<a title=a&lt;b&gt;&amp;&#34;&#39;&#43;&#32;c>"),
            ("<a href=\"{{.u}}\">", "<a href=\"#ZgotmplZ\">"),
            ("<a href='{{.ok}}'>", "<a href='http://h/p%20q?a=b&amp;c=d'>"),
            ("<a href=\"/q?x={{.x}}\">", "<a href=\"/q?x=a%3cb%3e%26%22%27%2b%20c\">"),
            ("<a href=\"/q?x={{.x | urlquery}}\">", "<a href=\"/q?x=a%3Cb%3E%26%22%27%2B&#43;c\">"),
            ("<a href=\"{{.u | safeUrl}}\">", "<a href=\"javascript:alert%281%29\">"),
            ("<b>{{\"<i>\" | safeHtml}}</b>", "<b><i></b>"),
            ("<a title=\"{{\"<i>x&amp;</i>\" | safeHtml}}\">", "<a title=\"x&amp;\">"),
            ("<title>{{.x}}</title>", "<title>a&lt;b&gt;&amp;&#34;&#39;&#43; c</title>"),
            ("<p style=\"color: {{\"red\"}}\">", "<p style=\"color: red\">"),
            ("<p style=\"color: {{.u}}\">", "<p style=\"color: ZgotmplZ\">"),
            (
                "<script>var x = {{.x}};</script>",
                "<script>var x = \"a\\u003cb\\u003e\\u0026\\\"'+ c\";</script>",
            ),
            (
                "<script>var x = '{{.x}}';</script>",
                "<script>var x = 'a\\u003cb\\u003e\\u0026\\u0022\\u0027\\u002b c';</script>",
            ),
            ("a<!-- {{.x}} -->b", "ab"),
            ("1 < 2 {{.x | html}}", "1 &lt; 2 a&lt;b&gt;&amp;&#34;&#39;+ c"),
            (
                "{{define \"l\"}}{{.x}}{{end}}<a href=\"?{{template \"l\" .}}\">{{template \"l\" .}}</a>",
                "<a href=\"?a%3cb%3e%26%22%27%2b%20c\">a&lt;b&gt;&amp;&#34;&#39;&#43; c</a>",
            ),
            ("<b>{{.missing}}</b>", "<b></b>"),
            (
                "<a href=\"{{.ok}}#{{.x}}\">",
                "<a href=\"http://h/p%20q?a=b&amp;c=d#a%3cb%3e%26%22%27%2b%20c\">",
            ),
            ("<a href={{.ok}}>", "<a href=http://h/p%20q?a&#61;b&amp;c&#61;d>"),
            (
                "<a href=\"{{.missing}}/x?y={{.ok}}\">",
                "<a href=\"/x?y=http%3a%2f%2fh%2fp%20q%3fa%3db%26c%3dd\">",
            ),
            ("<td {{if .x}}bgcolor=\"{{.x}}\"{{end}}>", "<td bgcolor=\"a&lt;b&gt;&amp;&#34;&#39;&#43; c\">"),
            ("<p style=\"width: {{len .x}}px\">", "<p style=\"width: 10px\">"),
            (
                "<div onclick=\"f({{.x}})\">",
                "<div onclick=\"f(&#34;a\\u003cb\\u003e\\u0026\\&#34;&#39;&#43; c&#34;)\">",
            ),
            (
                "<textarea>{{.x}} < {{\"<b>\" | safeHtml}}</textarea>",
                "<textarea>a&lt;b&gt;&amp;&#34;&#39;&#43; c &lt; &lt;b&gt;</textarea>",
            ),
            ("<!DOCTYPE html><b>{{.x}}", "<!DOCTYPE html><b>a&lt;b&gt;&amp;&#34;&#39;&#43; c"),
            ("<a href=\"mailto:{{.x}}\">", "<a href=\"mailto:a%3cb%3e&amp;%22%27&#43;%20c\">"),
            ("<img src=\"{{.u}}\">", "<img src=\"#ZgotmplZ\">"),
            ("<style>p { color: {{.x}} }</style>", "<style>p { color: ZgotmplZ }</style>"),
            (
                "<p style=\"background: url('{{.ok}}')\">",
                "<p style=\"background: url('http://h/p%20q?a=b&amp;c=d')\">",
            ),
            ("<a data-href=\"{{.u}}\">", "<a data-href=\"#ZgotmplZ\">"),
            (
                "<input value='{{.x}}' disabled>{{.ok}}",
                "<input value='a&lt;b&gt;&amp;&#34;&#39;&#43; c' disabled>http://h/p q?a=b&amp;c=d",
            ),
            ("{{.x | urlquery}}", "a%3Cb%3E%26%22%27%2B&#43;c"),
            ("<a href=\"{{.ok | urlquery}}\">", "<a href=\"http%3A%2F%2Fh%2Fp&#43;q%3Fa%3Db%26c%3Dd\">"),
            ("<a title=\"{{.x | html}}\">", "<a title=\"a&lt;b&gt;&amp;&#34;&#39;+ c\">"),
            ("<script>var n = {{len .x}};</script>", "<script>var n =  10 ;</script>"),
        ] {
            assert_eq!(render(source, &data), want, "{source}");
        }
    }
}
