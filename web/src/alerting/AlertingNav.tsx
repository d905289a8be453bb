import { Link } from "../components/Link";
import { useSource } from "../state/session";
import { usePlace } from "../state/location";

const pages = [
  ["/alerting/list", "Rules"],
  ["/alerting/groups", "Alerts"],
  ["/alerting/silences", "Silences"],
  ["/alerting/routes", "Routing"],
  ["/alerting/notifications", "Receivers"],
] as const;
const demo = ["/alerting/demo", "Demo"] as const;

/** The pages about alerts, below their common head. */
export function AlertingNav() {
  const { path } = usePlace();
  const isDemo = useSource("reba-demo-inbox") !== undefined;
  const here = path.startsWith("/alerting/silence") ? "/alerting/silences" : ([...pages, demo].find(([to]) => path === to)?.[0] ?? "/alerting/list");
  return (
    <nav className="subnav" aria-label="Alerting">
      {[...pages, ...(isDemo ? [demo] : [])].map(([to, label]) => (
        <Link key={to} to={to} current={to === here}>{label}</Link>
      ))}
    </nav>
  );
}
