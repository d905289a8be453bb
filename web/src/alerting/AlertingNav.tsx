import { Link } from "../components/Link";
import { usePlace } from "../state/location";

const pages = [
  ["/alerting/list", "Rules"],
  ["/alerting/groups", "Alerts"],
  ["/alerting/silences", "Silences"],
  ["/alerting/routes", "Routing"],
] as const;

/** The pages about alerts, below their common head. */
export function AlertingNav() {
  const { path } = usePlace();
  const here = path.startsWith("/alerting/silence") ? "/alerting/silences" : (pages.find(([to]) => path === to)?.[0] ?? "/alerting/list");
  return (
    <nav className="subnav" aria-label="Alerting">
      {pages.map(([to, label]) => (
        <Link key={to} to={to} current={to === here}>{label}</Link>
      ))}
    </nav>
  );
}
