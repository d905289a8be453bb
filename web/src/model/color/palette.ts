import { cssColor, mix } from "./named";

export const classic: readonly string[] = [
  "green", "semi-dark-yellow", "light-blue", "semi-dark-orange", "red", "blue", "purple", "#705DA0", "dark-green",
  "yellow", "#447EBC", "#C15C17", "#890F02", "#0A437C", "#6D1F62", "#584477", "#B7DBAB", "#F4D598", "#70DBED",
  "#F9BA8F", "#F29191", "#82B5D8", "#E5A8E2", "#AEA2E0", "#629E51", "#E5AC0E", "#64B0C8", "#E0752D", "#BF1B00",
  "#0A50A1", "#962D82", "#614D93",
];

export function classicColor(index: number, isDark: boolean): string {
  return cssColor(classic[index % classic.length] ?? "green", isDark);
}

/** The same name has the same colour on every panel. */
export function colorByName(name: string, isDark: boolean): string {
  let hash = 0;
  for (let i = 0; i < name.length; i++) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
  return classicColor(Math.abs(hash) % classic.length, isDark);
}

const gradients: Record<string, readonly string[]> = {
  "continuous-GrYlRd": ["green", "yellow", "red"],
  "continuous-RdYlGr": ["red", "yellow", "green"],
  "continuous-BlYlRd": ["dark-blue", "super-light-yellow", "dark-red"],
  "continuous-YlRd": ["super-light-yellow", "dark-red"],
  "continuous-BlPu": ["blue", "purple"],
  "continuous-YlBl": ["super-light-yellow", "dark-blue"],
  "continuous-blues": ["panel-bg", "dark-blue"],
  "continuous-reds": ["panel-bg", "dark-red"],
  "continuous-greens": ["panel-bg", "dark-green"],
  "continuous-purples": ["panel-bg", "dark-purple"],
};

/** The colour at a share (0 to 1) along a list of colours. */
export function along(stops: readonly string[], share: number): string {
  const x = Math.min(1, Math.max(0, share)) * (stops.length - 1);
  const i = Math.min(Math.floor(x), stops.length - 2);
  return mix(stops[i] ?? "#000", stops[i + 1] ?? stops[i] ?? "#000", x - i);
}

export function continuousColor(mode: string, share: number, isDark: boolean): string | undefined {
  const stops = gradients[mode];
  return stops === undefined ? undefined : along(stops.map((s) => cssColor(s, isDark)), share);
}

/** The schemes of heatmaps, as few stops as show their course. */
const schemes: Record<string, readonly string[]> = {
  Oranges: ["#fff5eb", "#fdd0a2", "#fd8d3c", "#d94801", "#7f2704"],
  Blues: ["#f7fbff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"],
  Greens: ["#f7fcf5", "#c7e9c0", "#74c476", "#238b45", "#00441b"],
  Greys: ["#ffffff", "#d9d9d9", "#969696", "#525252", "#000000"],
  Purples: ["#fcfbfd", "#dadaeb", "#9e9ac8", "#6a51a3", "#3f007d"],
  Reds: ["#fff5f0", "#fcbba1", "#fb6a4a", "#cb181d", "#67000d"],
  Spectral: ["#9e0142", "#f46d43", "#fee08b", "#e6f598", "#66c2a5", "#5e4fa2"],
  RdYlGn: ["#a50026", "#f46d43", "#ffffbf", "#66bd63", "#006837"],
  RdYlBu: ["#a50026", "#f46d43", "#ffffbf", "#74add1", "#313695"],
  Turbo: ["#30123b", "#4686fb", "#1ae4b6", "#a2fc3c", "#faba39", "#e4460a", "#7a0403"],
  Viridis: ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"],
  Magma: ["#000004", "#51127c", "#b73779", "#fc8961", "#fcfdbf"],
  Inferno: ["#000004", "#57106e", "#bc3754", "#f98e09", "#fcffa4"],
  Plasma: ["#0d0887", "#7e03a8", "#cc4778", "#f89540", "#f0f921"],
  Cividis: ["#00224e", "#434e6c", "#7d7c78", "#bcaf6f", "#fee838"],
};

export function schemeStops(name: string): readonly string[] {
  return schemes[name] ?? schemes["Oranges"] ?? ["#fff", "#f60"];
}
