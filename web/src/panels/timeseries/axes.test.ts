import { expect, test } from "vitest";
import { clockTicks, timeLabels } from "./axes";

test("ticks of durations share the unit in which their distance is round", () => {
  expect(clockTicks([3600, 3900, 4200], 300, "s")).toEqual(["60 min", "65 min", "70 min"]);
  expect(clockTicks([0, 1800, 3600], 1800, "s")).toEqual(["0 h", "0.5 h", "1 h"]);
  expect(clockTicks([0, 120_000], 120_000, "ms")).toEqual(["0 min", "2 min"]);
  expect(clockTicks([0, 0.5], 0.5, "s")).toBeUndefined();
  expect(clockTicks([0, 60], 60, "bytes")).toBeUndefined();
});

test("a time axis has as many labels as there is room for, at round times", () => {
  const labels = timeLabels(30_000, 30_000 + 15 * 60_000, 320, "utc");
  expect(labels.map((l) => l.text)).toEqual(["00:05", "00:10", "00:15"]);
  expect(labels[0]?.ms).toBe(300_000);
});
