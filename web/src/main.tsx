import "@mantine/core/styles.css";
import "./app.css";
import { MantineProvider } from "@mantine/core";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { useScheme } from "./state/scheme";
import { theme } from "./theme";

function Root() {
  return (
    <MantineProvider theme={theme} forceColorScheme={useScheme()}>
      <App />
    </MantineProvider>
  );
}

const root = document.getElementById("app");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <Root />
    </StrictMode>,
  );
}
