/** Points on the globe out of rows with coordinates. */
import { colorOf, displayCell, plainText } from "../data/display";
import { numberFields, numberOf, rowCount, type Field, type Frame } from "../data/frame";
import { displayName } from "../data/names";
import { asNumber, asObjects, asString, at, type JsonObject } from "../json";
import { cssColor } from "../color/named";
import { findField } from "../transform/rows";
import type { FormatContext } from "../units/format";

export interface Place {
  lat: number;
  lon: number;
  color: string;
  /** Radius in pixels. */
  size: number;
  about: readonly (readonly [string, string])[];
}

export interface Places {
  places: readonly Place[];
  left: number;
  /** Why there are none. */
  why?: string;
}

/** More are not told apart, and each is an element of the page. */
export const MAX_PLACES = 3000;

const BASE32 = "0123456789bcdefghjkmnpqrstuvwxyz";

/** The middle of a geohash's cell (Niemeyer's public-domain scheme: bits of both axes take turns, five to a letter). */
export function fromGeohash(hash: string): { lat: number; lon: number } | undefined {
  const range = { lon: [-180, 180] as [number, number], lat: [-90, 90] as [number, number] };
  if (hash === "" || hash.length > 12) return undefined;
  let axis: "lon" | "lat" = "lon";
  for (const letter of hash.toLowerCase()) {
    const bits = BASE32.indexOf(letter);
    if (bits < 0) return undefined;
    for (let bit = 4; bit >= 0; bit--) {
      const [low, high] = range[axis];
      const middle = (low + high) / 2;
      range[axis] = (bits >> bit) & 1 ? [middle, high] : [low, middle];
      axis = axis === "lon" ? "lat" : "lon";
    }
  }
  return { lat: (range.lat[0] + range.lat[1]) / 2, lon: (range.lon[0] + range.lon[1]) / 2 };
}

const called = (frame: Frame, pattern: RegExp): Field | undefined => frame.fields.find((f) => pattern.test(f.name) || pattern.test(displayName(f, frame, [frame])));

/** How the place of a row is read, as the layer says, or by what the columns are called. */
function locator(frame: Frame, location: JsonObject): ((row: number) => { lat: number; lon: number } | undefined) | undefined {
  const wanted = (key: string, pattern: RegExp) => (asString(location[key]) !== "" ? findField(frame, asString(location[key]), [frame]) : called(frame, pattern));
  const lat = wanted("latitude", /^lat(itude)?$/i);
  const lon = wanted("longitude", /^(lon|lng|long|longitude)$/i);
  if (location["mode"] !== "geohash" && lat !== undefined && lon !== undefined) {
    const read = (f: Field, row: number) => (typeof f.values[row] === "string" && f.values[row] !== "" ? Number(f.values[row]) : numberOf(f.values[row]));
    return (row) => {
      const [a, b] = [read(lat, row), read(lon, row)];
      return a === null || b === null || !Number.isFinite(a) || !Number.isFinite(b) || Math.abs(a) > 90 || Math.abs(b) > 180 ? undefined : { lat: a, lon: b };
    };
  }
  const hash = wanted("geohash", /^geohash$/i);
  return hash === undefined ? undefined : (row) => fromGeohash(String(hash.values[row] ?? ""));
}

/** The points of the first layer that has some. */
export function buildPlaces(frames: readonly Frame[], options: JsonObject, isDark: boolean, context: FormatContext): Places {
  const layer = asObjects(options["layers"])[0] ?? {};
  const location = at(layer, "location.mode") === "lookup" ? undefined : (at(layer, "location") as JsonObject | undefined) ?? {};
  if (location === undefined) return { places: [], left: 0, why: "The layer looks places up by name, and there is no list of places here: use coordinates or a geohash." };
  for (const frame of frames) {
    const find = locator(frame, location);
    if (find === undefined) continue;
    const value = numberFields(frame).find((f) => !/^(lat|lon|lng|long)/i.test(f.name));
    const pick = (path: string) => findField(frame, asString(at(layer, `config.style.${path}.field`)), [frame]);
    const [sizeField, colorField] = [pick("size"), pick("color") ?? value];
    const [least, most] = [asNumber(at(layer, "config.style.size.min")) ?? 3, asNumber(at(layer, "config.style.size.max")) ?? 15];
    const sizes = (sizeField?.values ?? []).map(numberOf).filter((v): v is number => v !== null);
    const [low, high] = [Math.min(...sizes), Math.max(...sizes)];
    const fixedColor = asString(at(layer, "config.style.color.fixed"), "dark-green");
    const places = Array.from({ length: rowCount(frame) }, (_, row): Place | undefined => {
      const place = find(row);
      if (place === undefined) return undefined;
      const number = colorField === undefined ? null : numberOf(colorField.values[row]);
      const size = sizeField === undefined ? null : numberOf(sizeField.values[row]);
      return {
        ...place,
        color: number === null || colorField === undefined ? cssColor(fixedColor, isDark) : colorOf(colorField, number, 0, colorField.name, isDark),
        size: size === null || !(high > low) ? (asNumber(at(layer, "config.style.size.fixed")) ?? 5) : least + ((size - low) / (high - low)) * (most - least),
        about: frame.fields.map((f) => [displayName(f, frame, frames), plainText(displayCell(f, f.values[row], isDark, context, row))] as const),
      };
    }).filter((p): p is Place => p !== undefined);
    return { places: places.slice(0, MAX_PLACES), left: Math.max(0, places.length - MAX_PLACES) };
  }
  return { places: [], left: 0, why: "No column says where: call them latitude and longitude, or geohash." };
}
