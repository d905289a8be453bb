/** Labels, each as a small box. */
export function Chips({ labels, without = [] }: { labels: Readonly<Record<string, string>>; without?: readonly string[] }) {
  return (
    <span className="chips">
      {Object.entries(labels)
        .filter(([k]) => !without.includes(k))
        .map(([k, v]) => (
          <span key={k} className="chip">
            {k}={v}
          </span>
        ))}
    </span>
  );
}
