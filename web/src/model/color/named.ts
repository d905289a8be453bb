/** Grafana's colour names, for both themes. */
const dark: Record<string, string> = {};
const shadesOfDark: Record<string, readonly [string, string, string, string, string]> = {
  red: ["#FFA6B0", "#FF7383", "#F2495C", "#E02F44", "#C4162A"],
  orange: ["#FFCB7D", "#FFB357", "#FF9830", "#FF780A", "#FA6400"],
  yellow: ["#FFF899", "#FFEE52", "#FADE2A", "#F2CC0C", "#E0B400"],
  green: ["#C8F2C2", "#96D98D", "#73BF69", "#56A64B", "#37872D"],
  blue: ["#C0D8FF", "#8AB8FF", "#5794F2", "#3274D9", "#1F60C4"],
  purple: ["#DEB6F2", "#CA95E5", "#B877D9", "#A352CC", "#8F3BB8"],
};
const names = ["super-light-", "light-", "", "semi-dark-", "dark-"];
const light: Record<string, string> = {};
for (const [hue, shades] of Object.entries(shadesOfDark)) {
  names.forEach((prefix, i) => {
    dark[prefix + hue] = shades[i] ?? "";
    // On white the same name is one shade darker, so that it keeps its contrast.
    light[prefix + hue] = shades[Math.min(i + 1, 4)] ?? "";
  });
}

/** Any colour of a dashboard as CSS: a Grafana name, `text`, `panel-bg`, hex, `rgb()`, a CSS name. */
export function cssColor(name: string, isDark: boolean): string {
  const named = (isDark ? dark : light)[name];
  if (named !== undefined) return named;
  if (name === "text") return isDark ? "#d5d9e0" : "#24292e";
  if (name === "panel-bg") return isDark ? "#181b1f" : "#ffffff";
  return name;
}

/** Red, green, blue from 0 to 255; undefined for what is neither hex nor `rgb()`. */
export function parseRgb(color: string): readonly [number, number, number] | undefined {
  const hex = /^#([0-9a-f]{3,8})$/i.exec(color)?.[1];
  if (hex !== undefined) {
    const full = hex.length < 6 ? [...hex].map((c) => c + c).join("") : hex;
    return [0, 2, 4].map((i) => parseInt(full.slice(i, i + 2), 16)) as [number, number, number];
  }
  const rgb = /^rgba?\(\s*([\d.]+)[ ,]+([\d.]+)[ ,]+([\d.]+)/i.exec(color);
  return rgb === null ? undefined : [Number(rgb[1]), Number(rgb[2]), Number(rgb[3])];
}

export function withAlpha(color: string, alpha: number): string {
  const rgb = parseRgb(color);
  if (rgb === undefined) return color;
  return `rgba(${rgb.join(", ")}, ${alpha})`;
}

/** Relative luminance as WCAG defines it, from 0 (black) to 1 (white). */
function luminance(rgb: readonly [number, number, number]): number {
  const [r = 0, g = 0, b = 0] = rgb.map((c) => {
    const s = c / 255;
    return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever reads better on the colour. */
export function textOn(background: string): string {
  const rgb = parseRgb(background);
  if (rgb === undefined) return "#ffffff";
  return luminance(rgb) > 0.36 ? "#111217" : "#ffffff";
}

/** The contrast that large text needs (WCAG 2.1, 1.4.3). */
const LARGE_TEXT = 3;

/** The colour as large text on a panel's ground: darkened or lightened until it can be read, else as it is. */
export function legible(color: string, isDark: boolean): string {
  const ground = luminance(isDark ? [0x16, 0x19, 0x1f] : [255, 255, 255]);
  for (let share = 0; share <= 1; share += 0.08) {
    const tried = share === 0 ? color : mix(color, isDark ? "#ffffff" : "#000000", share);
    const rgb = parseRgb(tried);
    if (rgb === undefined) return color;
    const own = luminance(rgb);
    if ((Math.max(own, ground) + 0.05) / (Math.min(own, ground) + 0.05) >= LARGE_TEXT) return tried;
  }
  return color;
}

export function mix(a: string, b: string, share: number): string {
  const left = parseRgb(a);
  const right = parseRgb(b);
  if (left === undefined || right === undefined) return a;
  const channel = (i: number) => Math.round((left[i] ?? 0) + ((right[i] ?? 0) - (left[i] ?? 0)) * share);
  return `rgb(${channel(0)}, ${channel(1)}, ${channel(2)})`;
}
