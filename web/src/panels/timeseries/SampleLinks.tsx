import { useEffect, useRef } from "react";
import { createPortal } from "react-dom";

/** Where a sample leads: a few links beside it, until one is taken or something else is touched. */
export function SampleLinks({ x, y, list, onClose }: { x: number; y: number; list: readonly { title: string; href: string; blank: boolean }[]; onClose: () => void }) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    box.current?.querySelector("a")?.focus();
    const away = (event: Event) => {
      if (!(event.target instanceof Node) || box.current?.contains(event.target) !== true) onClose();
    };
    const key = (event: KeyboardEvent) => event.key === "Escape" && onClose();
    document.addEventListener("pointerdown", away);
    document.addEventListener("keydown", key);
    return () => {
      document.removeEventListener("pointerdown", away);
      document.removeEventListener("keydown", key);
    };
  }, [onClose]);
  return createPortal(
    <div ref={box} className="sample-links" style={{ left: Math.min(x, window.innerWidth - 240), top: Math.min(y, window.innerHeight - 40 * list.length - 20) }}>
      {list.map((l, i) => <a key={i} href={l.href} target={l.blank ? "_blank" : undefined} rel="noreferrer">{l.title}</a>)}
    </div>,
    document.body,
  );
}
