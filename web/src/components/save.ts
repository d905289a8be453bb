/** Hands a file to the reader, made here. */
export function save(name: string, type: string, content: string | Blob): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name.replace(/[/\\:]/g, "-");
  link.click();
  URL.revokeObjectURL(url);
}
