import type { MouseEvent, ReactNode } from "react";
import { hrefOf, navigate } from "../state/location";

interface Props {
  to: string;
  params?: URLSearchParams;
  className?: string;
  title?: string;
  current?: boolean;
  children: ReactNode;
}

/** A link inside the app: a true address, followed without loading the page anew. */
export function Link({ to, params, className, title, current, children }: Props) {
  const follow = (event: MouseEvent) => {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to, params);
  };
  return (
    <a href={hrefOf(to, params)} onClick={follow} className={className} title={title} aria-current={current === true ? "page" : undefined}>
      {children}
    </a>
  );
}
