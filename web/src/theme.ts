import { createTheme, type MantineColorsTuple } from "@mantine/core";

/** The greys of the dark side, a little blue, from text to the darkest ground. */
const dark: MantineColorsTuple = ["#d5d9e0", "#b6bcc7", "#8d95a3", "#667080", "#3d4451", "#2b303a", "#20242c", "#181b21", "#121418", "#0c0e11"];
const teal: MantineColorsTuple = ["#e6fbf7", "#ccf3ec", "#99e6d9", "#5fd6c3", "#33c7b0", "#17b09a", "#0f9483", "#0f766e", "#115e59", "#134e4a"];

export const theme = createTheme({
  colors: { dark, teal },
  primaryColor: "teal",
  primaryShade: { light: 7, dark: 7 },
  defaultRadius: "md",
  fontFamily: 'Inter, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif',
  fontFamilyMonospace: '"JetBrains Mono", ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace',
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  components: {
    Tooltip: { defaultProps: { openDelay: 400, withArrow: true, fz: "xs" } },
    Modal: { defaultProps: { centered: true } },
  },
});
