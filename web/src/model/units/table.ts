/** The unit ids that dashboards use. A flat table: each says how a number becomes text. */
export interface Shown {
  prefix?: string;
  text: string;
  suffix?: string;
}

/** A ladder of steps: the value is divided by `base` until it fits; `start` is the step at which the id begins. */
export type Unit =
  | { kind: "fixed"; prefix?: string; suffix?: string }
  | { kind: "ladder"; base: number; steps: readonly string[]; start: number; prefix?: string; small?: readonly string[] }
  | { kind: "scaled"; factor: number; suffix: string }
  | { kind: "time"; perUnit: number }
  | { kind: "clock"; perUnit: number; style: "clock" | "hms" | "dhms" | "words" }
  | { kind: "date"; layout: string; sameDay?: string }
  | { kind: "other"; id: "string" | "none" | "hex" | "hex0x" | "sci" | "locale" | "bool" | "bool_yes_no" | "bool_on_off" | "fromNow" | "dateLocal" };

const si = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];
const iec = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const below = ["m", "µ", "n", "p"];

const of = (steps: readonly string[], unit: string) => steps.map((s) => ` ${s}${unit}`);
const binary = (unit: string, start = 0): Unit => ({ kind: "ladder", base: 1024, steps: of(iec, unit), start });
const decimal = (unit: string, start = 0): Unit => ({ kind: "ladder", base: 1000, steps: of(si, unit), start });
/** With milli, micro and so on below one. */
const physical = (unit: string, start = 0): Unit => ({ kind: "ladder", base: 1000, steps: of(si, unit), start, small: of(below, unit) });
const fixed = (suffix: string): Unit => ({ kind: "fixed", suffix: ` ${suffix}` });
const counted = (suffix: string): Unit => ({
  kind: "ladder", base: 1000, start: 0, steps: ["", " K", " Mil", " Bil", " Tri", " Quadr", " Quint", " Sext", " Sept"].map((s) => s + suffix),
});
const rate = (suffix: string): Unit => ({ kind: "ladder", base: 1000, start: 0, steps: ["", "K ", "M ", "B ", "T "].map((s) => ` ${s}${suffix}`) });
const money = (sign: string, after = false): Unit => ({
  kind: "ladder", base: 1000, start: 0,
  steps: ["", "K", "M", "B", "T"].map((s) => (after ? `${s} ${sign}` : s)),
  ...(after ? {} : { prefix: sign }),
});

export const units: Readonly<Record<string, Unit>> = {
  none: { kind: "other", id: "none" },
  string: { kind: "other", id: "string" },
  short: counted(""),
  sishort: { kind: "ladder", base: 1000, steps: si.map((s) => (s === "" ? "" : ` ${s}`)), start: 0, small: below.map((s) => ` ${s}`) },
  percent: { kind: "fixed", suffix: "%" },
  percentunit: { kind: "scaled", factor: 100, suffix: "%" },
  humidity: { kind: "fixed", suffix: " %H" },
  dB: fixed("dB"),
  hex: { kind: "other", id: "hex" },
  hex0x: { kind: "other", id: "hex0x" },
  sci: { kind: "other", id: "sci" },
  locale: { kind: "other", id: "locale" },
  pixel: fixed("px"),
  bool: { kind: "other", id: "bool" },
  bool_yes_no: { kind: "other", id: "bool_yes_no" },
  bool_on_off: { kind: "other", id: "bool_on_off" },

  bytes: binary("B"), decbytes: decimal("B"), bits: binary("b"), decbits: decimal("b"),
  kbytes: binary("B", 1), mbytes: binary("B", 2), gbytes: binary("B", 3), tbytes: binary("B", 4), pbytes: binary("B", 5),
  deckbytes: decimal("B", 1), decmbytes: decimal("B", 2), decgbytes: decimal("B", 3), dectbytes: decimal("B", 4), decpbytes: decimal("B", 5),

  Bps: decimal("B/s"), binBps: binary("B/s"), bps: decimal("b/s"), binbps: binary("b/s"),
  KBs: decimal("B/s", 1), MBs: decimal("B/s", 2), GBs: decimal("B/s", 3), TBs: decimal("B/s", 4),
  KiBs: binary("B/s", 1), MiBs: binary("B/s", 2), GiBs: binary("B/s", 3), TiBs: binary("B/s", 4),
  Kbits: decimal("b/s", 1), Mbits: decimal("b/s", 2), Gbits: decimal("b/s", 3), Tbits: decimal("b/s", 4),
  Kibits: binary("b/s", 1), Mibits: binary("b/s", 2), Gibits: binary("b/s", 3),
  pps: decimal("p/s"),

  ns: { kind: "time", perUnit: 1e-9 }, "µs": { kind: "time", perUnit: 1e-6 }, us: { kind: "time", perUnit: 1e-6 },
  ms: { kind: "time", perUnit: 1e-3 }, s: { kind: "time", perUnit: 1 }, m: { kind: "time", perUnit: 60 },
  h: { kind: "time", perUnit: 3600 }, d: { kind: "time", perUnit: 86_400 },
  dtdurationms: { kind: "clock", perUnit: 1e-3, style: "words" }, dtdurations: { kind: "clock", perUnit: 1, style: "words" },
  dthms: { kind: "clock", perUnit: 1, style: "hms" }, dtdhms: { kind: "clock", perUnit: 1, style: "dhms" },
  clockms: { kind: "clock", perUnit: 1e-3, style: "clock" }, clocks: { kind: "clock", perUnit: 1, style: "clock" },
  timeticks: { kind: "clock", perUnit: 0.01, style: "words" },
  hertz: physical("Hz"), rothz: physical("Hz"), rotrpm: fixed("rpm"),

  cps: rate("c/s"), ops: rate("ops/s"), reqps: rate("req/s"), rps: rate("rd/s"), wps: rate("wr/s"), iops: rate("io/s"),
  eps: rate("evt/s"), mps: rate("msg/s"), recps: rate("rec/s"), rowsps: rate("rows/s"), ebps: rate("err/s"),
  cpm: rate("c/m"), opm: rate("ops/m"), rpm: rate("rd/m"), wpm: rate("wr/m"), reqpm: rate("req/m"), epm: rate("evt/m"), mpm: rate("msg/m"),

  dateTimeAsIso: { kind: "date", layout: "YYYY-MM-DD HH:mm:ss" },
  dateTimeAsIsoNoDateIfToday: { kind: "date", layout: "YYYY-MM-DD HH:mm:ss", sameDay: "HH:mm:ss" },
  dateTimeAsUS: { kind: "date", layout: "MM/DD/YYYY h:mm:ss a" },
  dateTimeAsUSNoDateIfToday: { kind: "date", layout: "MM/DD/YYYY h:mm:ss a", sameDay: "h:mm:ss a" },
  dateTimeAsSystem: { kind: "date", layout: "YYYY-MM-DD HH:mm:ss.SSS" },
  dateTimeAsLocal: { kind: "other", id: "dateLocal" }, dateTimeAsLocalNoDateIfToday: { kind: "other", id: "dateLocal" },
  dateTimeFromNow: { kind: "other", id: "fromNow" },

  currencyUSD: money("$"), currencyEUR: money("€"), currencyGBP: money("£"), currencyJPY: money("¥"), currencyCNY: money("¥"),
  currencyCHF: money("CHF", true), currencyBTC: money("฿"), currencyINR: money("₹"), currencyRUB: money("₽"), currencyUAH: money("₴"),
  currencyBRL: money("R$"), currencyDKK: money("kr", true), currencySEK: money("kr", true), currencyNOK: money("kr", true),
  currencyPLN: money("zł", true), currencyCZK: money("czk"), currencyKRW: money("₩"), currencyTRY: money("₺"), currencyZAR: money("R"),
  currencyRWF: money("RWF", true), currencyKES: money("KSh"), currencyUGX: money("USh"),

  celsius: fixed("°C"), fahrenheit: fixed("°F"), kelvin: fixed("K"),
  watt: physical("W"), kwatt: physical("W", 1), megwatt: physical("W", 2), watth: physical("Wh"), kwatth: physical("Wh", 1),
  voltamp: physical("VA"), volt: physical("V"), mvolt: fixed("mV"), kvolt: physical("V", 1), amp: physical("A"), kamp: physical("A", 1),
  mamp: fixed("mA"), ohm: physical("Ω"), joule: physical("J"), farad: physical("F"), lumens: physical("Lm"), dBm: fixed("dBm"),
  lengthm: physical("m"), lengthkm: physical("m", 1), lengthmm: fixed("mm"), lengthft: fixed("ft"), lengthmi: fixed("mi"),
  massg: physical("g"), masskg: physical("g", 1), masst: fixed("t"), masslb: fixed("lb"),
  pressurebar: physical("bar"), pressurembar: fixed("mbar"), pressurehpa: fixed("hPa"), pressurepsi: fixed("psi"),
  flops: physical("FLOPS"), mflops: physical("FLOPS", 2), gflops: physical("FLOPS", 3), ppm: fixed("ppm"), degree: fixed("°"), radian: fixed("rad"),
  velocityms: fixed("m/s"), velocitykmh: fixed("km/h"), velocitymph: fixed("mph"), velocityknot: fixed("kn"),
  accMS2: fixed("m/sec²"), accG: fixed("g"), conmgm3: fixed("mg/m³"), congm3: fixed("g/m³"), conngm3: fixed("ng/m³"),
  litre: physical("L"), mlitre: fixed("mL"), m3: fixed("m³"), gallons: fixed("gal"), flowlpm: fixed("l/min"), flowcms: fixed("cms"),
};

/** Names that older dashboards wrote. */
export const aliases: Readonly<Record<string, string>> = {
  "percent (0.0-1.0)": "percentunit",
  "percent (0-100)": "percent",
  bytesIEC: "bytes",
  bytesSI: "decbytes",
  Hz: "hertz",
};
