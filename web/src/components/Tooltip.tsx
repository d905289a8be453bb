import { useLayoutEffect, useRef, useState, type ReactNode } from "react";
import { createPortal } from "react-dom";

/** A box beside the pointer that stays inside the window. */
export function HoverBox({ x, y, children }: { x: number; y: number; children: ReactNode }) {
  const ref = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState({ left: -9999, top: -9999 });
  useLayoutEffect(() => {
    const box = ref.current?.getBoundingClientRect();
    if (box === undefined) return;
    const left = x + 16 + box.width > window.innerWidth ? x - 16 - box.width : x + 16;
    const top = Math.min(y + 12, window.innerHeight - box.height - 8);
    setPlace({ left: Math.max(4, left), top: Math.max(4, top) });
  }, [x, y, children]);
  return createPortal(
    <div ref={ref} className="tooltip" style={place} role="presentation">
      {children}
    </div>,
    document.body,
  );
}
