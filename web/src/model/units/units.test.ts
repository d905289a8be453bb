import { describe, expect, it } from "vitest";
import { formatValue } from "./format";

const cases: readonly (readonly [number, string, string, number?])[] = [
  [0, "short", "0"], [999, "short", "999"], [1234, "short", "1.23 K"], [1_500_000, "short", "1.5 Mil"], [-2_000_000_000, "short", "-2 Bil"],
  [0.01234, "none", "0.0123"], [1234.5678, "none", "1235"], [12, "none", "12.00", 2],
  [42.123, "percent", "42.1%"], [0.4213, "percentunit", "42.1%"], [1, "percentunit", "100%"],
  [1024, "bytes", "1 KiB"], [1536, "bytes", "1.5 KiB"], [2_000_000_000, "decbytes", "2 GB"], [512, "mbytes", "512 MiB"], [2048, "mbytes", "2 GiB"], [0.5, "mbytes", "512 KiB"],
  [1500, "Bps", "1.5 kB/s"], [2048, "binBps", "2 KiB/s"], [1e6, "bps", "1 Mb/s"],
  [0.25, "s", "250 ms"], [90, "s", "1.5 min"], [7200, "s", "2 hours"], [3600, "s", "1 hour"], [0.0000025, "s", "2.5 µs"], [1500, "ms", "1.5 s"], [0, "ms", "0 ms"],
  [3661, "dthms", "01:01:01"], [90_061, "dtdhms", "1 d 01:01:01"], [3661, "clocks", "01h:01m:01s"], [90_061, "dtdurations", "1 day, 1 hour, 1 minute"],
  [12.3, "reqps", "12.3 req/s"], [12_300, "reqps", "12.3 K req/s"], [5, "ops", "5 ops/s"],
  [1500, "currencyUSD", "$1.5K"], [1500, "currencyRWF", "1.5K RWF"], [3.14, "suffix: pts", "3.14 pts"], [3, "prefix:#", "#3"], [1500, "si:V", "1.5 kV"],
  [21.5, "celsius", "21.5 °C"], [0.002, "watt", "2 mW"], [1500, "kwatt", "1.5 MW"], [255, "hex", "FF"], [255, "hex0x", "0xFF"], [1, "bool_yes_no", "Yes"],
  [1234.5, "currency:financial:€", "€1,234.50"], [7, "furlongs", "7 furlongs"], [5_000, "count:evt", "5 K evt"],
  [NaN, "short", "NaN"], [Infinity, "bytes", "∞"], [999.96, "decbytes", "1 kB", 0], [1e30, "bytes", "827181 YiB"],
];

describe("units", () => {
  it.each([...cases].map(([v, u, t, d]) => ({ v, u, t, d })))("writes $v of $u as $t", ({ v: value, u: unit, t: text, d: decimals }) => {
    expect(formatValue(value, unit, decimals, { zone: "utc", now: 0 })).toBe(text);
  });

  it("writes dates, shorter when they are of today", () => {
    const noon = Date.UTC(2026, 10, 23, 12);
    const context = { zone: "utc", now: noon + 60_000 };
    expect(formatValue(noon, "dateTimeAsIso", undefined, context)).toBe("2026-11-23 12:00:00");
    expect(formatValue(noon, "dateTimeAsIsoNoDateIfToday", undefined, context)).toBe("12:00:00");
    expect(formatValue(noon, "dateTimeFromNow", undefined, context)).toBe("1 minute ago");
    expect(formatValue(noon, "time:YYYY", undefined, context)).toBe("2026");
  });

  it("never throws, whatever the number and the decimals", () => {
    for (const unit of ["short", "bytes", "s", "dthms", "percent", "si:kV", "unknown", ""]) {
      for (const value of [0, -0, 1e-300, 1e300, -1e18, Number.MIN_VALUE, NaN, -Infinity]) {
        for (const decimals of [undefined, 0, 50, -3]) expect(typeof formatValue(value, unit, decimals)).toBe("string");
      }
    }
  });
});
