import { useMediaQuery } from "@mantine/hooks";
import { useState } from "react";
import { Icon } from "../components/Icon";
import { narrow } from "../model/dashboard/layout";
import type { Section } from "../model/dashboard/types";
import { interpolate, type Scope } from "../model/variables/interpolate";
import { setParams, usePlace } from "../state/location";
import { useShortcuts } from "../state/shortcuts";
import { PanelBox } from "./PanelBox";

function Row({ section, scope, folded, onFold }: { section: Section; scope: Scope; folded: boolean; onFold: () => void }) {
  return (
    <button type="button" className="row-head" aria-expanded={!folded} onClick={onFold}>
      <Icon name={folded ? "right" : "down"} size={16} />
      {interpolate(section.title ?? "", { ...scope, own: section.scope }, "text")}
      {folded && <span className="muted">({section.panels.length} panels)</span>}
    </button>
  );
}

/** The rows and panels of a dashboard, or one panel alone. */
export function Sections({ sections, scope }: { sections: readonly Section[]; scope: Scope }) {
  const { params } = usePlace();
  const viewed = params.get("viewPanel");
  const phone = useMediaQuery("(max-width: 720px)") === true;
  const [folded, setFolded] = useState<Readonly<Record<string, boolean>>>({});
  const one = viewed === null ? undefined : sections.flatMap((s) => s.panels).find((p) => p.key === viewed || `panel-${p.key}` === viewed || String(p.id) === viewed);
  useShortcuts(viewed === null ? [] : [{ keys: "Esc", what: "Back from the panel to the dashboard", run: () => setParams({ viewPanel: undefined }) }]);
  if (one !== undefined) return <div className="grid"><PanelBox key={one.key} panel={one} viewed /></div>;
  return sections.map((section) => {
    const closed = folded[section.key] ?? section.collapsed;
    return (
      <section key={section.key}>
        {section.title !== undefined && <Row section={section} scope={scope} folded={closed} onFold={() => setFolded((f) => ({ ...f, [section.key]: !closed }))} />}
        {!closed && (
          <div className="grid">
            {(phone ? narrow(section.panels) : section.panels).map((panel) => (
              <PanelBox key={panel.key} panel={panel} viewed={false} />
            ))}
          </div>
        )}
      </section>
    );
  });
}
