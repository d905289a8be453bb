import { Button, Loader } from "@mantine/core";
import type { ReactNode } from "react";
import { Icon } from "./Icon";

export function ErrorNote({ title, text, onRetry }: { title: string; text: string; onRetry?: () => void }) {
  return (
    <div className="note note-error" role="alert">
      <Icon name="warning" />
      <div>
        <strong>{title}</strong>
        <p>{text}</p>
        {onRetry !== undefined && (
          <Button size="compact-sm" variant="default" onClick={onRetry}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <strong>{title}</strong>
      {children !== undefined && <p>{children}</p>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div className="empty" role="status" aria-label={`Loading ${what}`}>
      <Loader size="sm" />
    </div>
  );
}
