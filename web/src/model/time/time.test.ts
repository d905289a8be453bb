import { describe, expect, it } from "vitest";
import { formatDuration, humanDuration, parseDuration } from "./duration";
import { formatLayout } from "./format";
import { describeRange } from "./quick";
import { panelRange, parseTime, resolveRange, shift, zoomOut } from "./range";
import { fromWall, offsetAt, wallOf } from "./zone";

const now = Date.UTC(2026, 10, 23, 11, 15, 33, 250);
const at = (text: string, up = false, zone = "utc") => {
  const ms = parseTime(text, now, up, zone);
  return ms === undefined ? undefined : new Date(ms).toISOString();
};

describe("times as dashboards write them", () => {
  it("adds and subtracts units in a chain", () => {
    expect(at("now")).toBe("2026-11-23T11:15:33.250Z");
    expect(at("now-1d-2h")).toBe("2026-11-22T09:15:33.250Z");
    expect(at("now+1w")).toBe("2026-11-30T11:15:33.250Z");
    expect(at("now-3M")).toBe("2026-08-23T11:15:33.250Z");
    expect(at("now-1Q")).toBe("2026-08-23T11:15:33.250Z");
  });

  it("rounds down for the start and up for the end", () => {
    expect(at("now/d")).toBe("2026-11-23T00:00:00.000Z");
    expect(at("now/d", true)).toBe("2026-11-23T23:59:59.999Z");
    expect(at("now-1w/w")).toBe("2026-11-16T00:00:00.000Z");
    expect(at("now/Q")).toBe("2026-10-01T00:00:00.000Z");
    expect(at("now/y", true)).toBe("2026-12-31T23:59:59.999Z");
  });

  it("keeps the last day of a shorter month", () => {
    const ms = parseTime("now-1M", Date.UTC(2026, 2, 31, 12), false, "utc") ?? 0;
    expect(new Date(ms).toISOString()).toBe("2026-02-28T12:00:00.000Z");
  });

  it("rounds to the day of the zone, not of UTC", () => {
    expect(at("now/d", false, "Africa/Kigali")).toBe("2026-11-22T22:00:00.000Z");
  });

  it("reads absolute times", () => {
    expect(at("1700000000000")).toBe("2023-11-14T22:13:20.000Z");
    expect(at("2026-01-02 03:04:05")).toBe("2026-01-02T03:04:05.000Z");
    expect(at("20260102T030405")).toBe("2026-01-02T03:04:05.000Z");
    expect(at("2026-01-02T03:04:05.678Z")).toBe("2026-01-02T03:04:05.678Z");
    expect(at("2026-01-02T03:04:05-05:30")).toBe("2026-01-02T08:34:05.000Z");
    expect(at("2026-01-02", true)).toBe("2026-01-02T23:59:59.999Z");
  });

  it("refuses what is no time", () => {
    for (const text of ["", "yesterday", "now-", "now-5", "now/x", "2026-13-01", "nowhere"]) expect(at(text)).toBeUndefined();
  });

  it("is the inverse of itself in every hour of a year with summer time", () => {
    for (let ms = Date.UTC(2026, 0, 1); ms < Date.UTC(2027, 0, 1); ms += 3_600_000 * 7) {
      for (const zone of ["Europe/Berlin", "America/New_York", "Asia/Kathmandu"]) {
        const back = fromWall(wallOf(ms, zone), zone);
        // The hour that the clocks show twice has two answers, an hour apart.
        expect([0, 3_600_000, -3_600_000]).toContain(back - ms);
      }
    }
    expect(offsetAt(now, "Asia/Kathmandu")).toBe(20_700_000);
  });

  it("resolves ranges in the right order, whatever is written", () => {
    expect(resolveRange({ from: "now", to: "now-1h" }, now, "utc")).toEqual({ from: now - 3_600_000, to: now });
    expect(resolveRange({ from: "rubbish", to: "now" }, now, "utc").from).toBe(now - 3_600_000);
  });

  it("lets a panel have a range of its own", () => {
    const day = 86_400_000;
    expect(panelRange({ from: "now-6h", to: "now" }, now, "utc", "1h")).toEqual({ from: now - 3_600_000, to: now });
    expect(panelRange({ from: "now-6h", to: "now" }, now, "utc", undefined, "1d")).toEqual({ from: now - 6 * 3_600_000 - day, to: now - day });
  });

  it("zooms and shifts", () => {
    expect(zoomOut({ from: 1000, to: 3000 })).toEqual({ from: "0", to: "4000" });
    expect(shift({ from: 1000, to: 3000 }, -1)).toEqual({ from: "0", to: "2000" });
  });

  it("says a range in words", () => {
    expect(describeRange({ from: "now-1h", to: "now" }, "utc")).toBe("Last 1 hour");
    expect(describeRange({ from: "now-7m", to: "now" }, "utc")).toBe("Last 7m");
    expect(describeRange({ from: "1700000000000", to: "now" }, "utc")).toBe("2023-11-14 22:13:20 to now");
  });
});

describe("durations and layouts", () => {
  it("reads and writes durations", () => {
    expect(parseDuration("1h30m")).toBe(5_400_000);
    expect(parseDuration(">10s")).toBe(10_000);
    expect(parseDuration("15")).toBe(15_000);
    expect(parseDuration("soon")).toBeUndefined();
    expect(formatDuration(90_000)).toBe("90s");
    expect(formatDuration(3_600_000)).toBe("1h");
    expect(humanDuration(93_784_000)).toBe("1d 2h");
  });

  it("writes dates in the letters of dashboards", () => {
    expect(formatLayout(now, "YYYY-MM-DD HH:mm:ss.SSS", "utc")).toBe("2026-11-23 11:15:33.250");
    expect(formatLayout(now, "ddd D MMM h:mm a [at] Z", "utc")).toBe("Mon 23 Nov 11:15 am at Z");
  });
});
