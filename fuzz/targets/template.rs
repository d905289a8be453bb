//! Any template parses or is refused, and ends when it is executed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reba_template::{Options, Template, Value, prometheus};

fuzz_target!(|text: &str| {
    let functions = prometheus::functions(&prometheus::Context::without_query("http://localhost", 0));
    if let Ok(template) = Template::parse("fuzz", text, &functions) {
        let data = Value::string_map([("a", "1"), ("b", "x")]);
        let _ = template.execute(&data, &functions, &Options::default());
    }
});
