import { ActionIcon, Kbd, Menu, Modal, Tooltip } from "@mantine/core";
import { lazy, Suspense, useMemo, useState, type ReactNode } from "react";
import { logOut } from "../api/grafana";
import { navigate, usePlace } from "../state/location";
import { setScheme, useScheme } from "../state/scheme";
import { useSession } from "../state/session";
import { activeShortcuts, useShortcuts } from "../state/shortcuts";
import { useStored } from "../state/stored";
import { Icon, type IconName } from "./Icon";
import { Link } from "./Link";
import type { Command } from "./Palette";

const Palette = lazy(() => import("./Palette").then((m) => ({ default: m.Palette })));

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
  const [finding, setFinding] = useState(false);
  const commands = useMemo((): readonly Command[] => {
    const page = (title: string, to: string, icon: IconName, keys?: string): Command => ({ title, group: "Pages", icon, ...(keys === undefined ? {} : { keys }), run: () => navigate(to) });
    return [
      ...entries.map((e) => page(e.label, e.to, e.icon, e.key)),
      page("Silences", "/alerting/silences", "alerts"), page("New silence", "/alerting/silence/new", "plus"), page("Alert groups", "/alerting/groups", "alerts"), page("Alert routing", "/alerting/routes", "alerts"),
      page("Targets", "/status?tab=targets", "status"), page("Store and cardinality", "/status?tab=tsdb", "status"),
      ...(user.role === "Viewer" ? [] : [page("New dashboard", "/dashboard/new", "plus"), page("Import a dashboard", "/dashboard/import", "upload")]),
      ...(user.role === "Admin" ? [page("Users", "/admin/users", "user"), page("Service accounts", "/admin/serviceaccounts", "user"), page("Data sources", "/connections/datasources", "settings")] : []),
      page("Your account", "/profile", "user"),
      { title: "Change between light and dark", group: "Do", icon: "moon", keys: "c t", run: () => setScheme(document.documentElement.getAttribute("data-mantine-color-scheme") === "light" ? "dark" : "light") },
      { title: "Keyboard shortcuts", group: "Do", icon: "keyboard", keys: "?", run: () => setHelp(true) },
      { title: "Log out", group: "Do", icon: "user", run: () => void logOut().then(() => window.location.reload()) },
    ];
  }, [user.role]);
  useShortcuts([
    { keys: "Ctrl+k", what: "Go to or do anything", run: () => setFinding(true) },
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
        <button type="button" className="find" onClick={() => setFinding(true)} aria-label="Go to or do anything (Ctrl+K)">
          <Icon name="search" size={17} />
          <span>Search</span>
          <kbd>Ctrl K</kbd>
        </button>
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
              <Menu.Item leftSection={<Icon name="user" size={16} />} onClick={() => navigate("/profile")}>Your account</Menu.Item>
              {user.role === "Admin" && <Menu.Item leftSection={<Icon name="settings" size={16} />} onClick={() => navigate("/admin/users")}>Administration</Menu.Item>}
              <Menu.Divider />
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
      {finding && (
        <Suspense fallback={null}>
          <Palette commands={commands} onClose={() => setFinding(false)} />
        </Suspense>
      )}
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
