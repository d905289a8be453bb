import { ActionIcon, Kbd, Menu, Modal, Tooltip } from "@mantine/core";
import { useState, type ReactNode } from "react";
import { logOut } from "../api/grafana";
import { navigate, usePlace } from "../state/location";
import { setScheme, useScheme } from "../state/scheme";
import { useSession } from "../state/session";
import { activeShortcuts, useShortcuts } from "../state/shortcuts";
import { useStored } from "../state/stored";
import { Icon, type IconName } from "./Icon";
import { Link } from "./Link";

interface Entry {
  to: string;
  label: string;
  icon: IconName;
  key: string;
  here: RegExp;
}

const entries: readonly Entry[] = [
  { to: "/dashboards", label: "Dashboards", icon: "dashboards", key: "g d", here: /^\/($|d\/|dashboards?)/ },
  { to: "/explore", label: "Explore", icon: "explore", key: "g e", here: /^\/(explore|graph)/ },
  { to: "/alerting/list", label: "Alerts", icon: "alerts", key: "g a", here: /^\/alert/ },
  { to: "/status", label: "Status", icon: "status", key: "g s", here: /^\/(status|targets|rules|config|flags|tsdb-status)/ },
];

function Help({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  const list = opened ? activeShortcuts() : [];
  const unique = list.filter((s, i) => list.findIndex((o) => o.keys === s.keys) === i);
  return (
    <Modal opened={opened} onClose={onClose} title="Keyboard shortcuts" size="md">
      <dl className="shortcuts">
        {unique.map((s) => (
          <div key={s.keys}>
            <dt>
              {s.keys.split(" ").map((k) => (
                <Kbd key={k}>{k}</Kbd>
              ))}
            </dt>
            <dd>{s.what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const { path } = usePlace();
  const { user } = useSession();
  const scheme = useScheme();
  const [width, setWidth] = useStored("menu", "wide");
  const [help, setHelp] = useState(false);
  const toggleScheme = () => setScheme(scheme === "dark" ? "light" : "dark");
  const folded = width === "narrow";
  useShortcuts([
    ...entries.map((e) => ({ keys: e.key, what: `Go to ${e.label}`, run: () => navigate(e.to) })),
    { keys: "?", what: "Show these shortcuts", run: () => setHelp(true) },
    { keys: "c t", what: "Change between light and dark", run: toggleScheme },
    { keys: "[", what: "Fold the menu", run: () => setWidth(folded ? "wide" : "narrow") },
  ]);
  return (
    <div className={folded ? "shell folded" : "shell"}>
      <a href="#content" className="skip">
        Skip to the content
      </a>
      <header className="side">
        <Link to="/dashboards" className="brand" title="Reba">
          <img src="icon.svg" alt="" width="28" height="28" />
          <span>Reba</span>
        </Link>
        <nav aria-label="Main">
          {entries.map((e) => (
            <Link key={e.to} to={e.to} className="nav" current={e.here.test(path)} title={folded ? e.label : undefined}>
              <Icon name={e.icon} size={20} />
              <span>{e.label}</span>
            </Link>
          ))}
        </nav>
        <div className="side-foot">
          <Tooltip label={scheme === "dark" ? "Light (c t)" : "Dark (c t)"} position="right">
            <ActionIcon variant="subtle" color="gray" size={34} aria-label={scheme === "dark" ? "Use light colours" : "Use dark colours"} onClick={toggleScheme}>
              <Icon name={scheme === "dark" ? "sun" : "moon"} />
            </ActionIcon>
          </Tooltip>
          <Tooltip label="Shortcuts (?)" position="right">
            <ActionIcon variant="subtle" color="gray" size={34} aria-label="Keyboard shortcuts" onClick={() => setHelp(true)} className="wide-only">
              <Icon name="keyboard" />
            </ActionIcon>
          </Tooltip>
          <Menu position="right-end" withinPortal>
            <Menu.Target>
              <ActionIcon variant="subtle" color="gray" size={34} aria-label={`Account of ${user.name}`}>
                <Icon name="user" />
              </ActionIcon>
            </Menu.Target>
            <Menu.Dropdown>
              <Menu.Label>
                {user.name} · {user.role}
              </Menu.Label>
              <Menu.Item onClick={() => void logOut().then(() => window.location.reload())}>Log out</Menu.Item>
            </Menu.Dropdown>
          </Menu>
          <Tooltip label={folded ? "Unfold ([)" : "Fold ([)"} position="right">
            <ActionIcon variant="subtle" color="gray" size={34} aria-label={folded ? "Unfold the menu" : "Fold the menu"} onClick={() => setWidth(folded ? "wide" : "narrow")} className="wide-only">
              <Icon name={folded ? "right" : "left"} />
            </ActionIcon>
          </Tooltip>
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
      <Help opened={help} onClose={() => setHelp(false)} />
    </div>
  );
}

/** The head of a page: its name, and what can be done with all of it. */
export function PageHead({ title, children }: { title: ReactNode; children?: ReactNode }) {
  return (
    <div className="page-head">
      <h1>{title}</h1>
      <div className="page-actions">{children}</div>
    </div>
  );
}
