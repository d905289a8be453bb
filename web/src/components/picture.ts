/** A picture of a part of the page, made in the browser: what is drawn, whatever it is drawn with. */

/** Properties that a copy needs, since it stands outside of the page's style sheets. */
const properties = [
  "align-items", "background-color", "background-image", "border", "border-bottom", "border-left", "border-radius", "border-top", "border-collapse", "box-sizing", "color", "column-gap", "display",
  "fill", "fill-opacity", "flex", "flex-direction", "flex-wrap", "font-family", "font-size", "font-variant-numeric", "font-weight", "gap", "grid-column", "grid-row", "grid-template-columns",
  "grid-template-rows", "height", "justify-content", "left", "letter-spacing", "line-height", "list-style", "margin", "max-width", "min-height", "min-width", "opacity", "overflow",
  "overflow-wrap", "padding", "paint-order", "position", "right", "row-gap", "stroke", "stroke-dasharray", "stroke-opacity", "stroke-width", "text-align", "text-anchor", "text-decoration",
  "text-overflow", "text-transform", "top", "bottom", "transform", "vertical-align", "visibility", "white-space", "width", "word-break", "z-index", "dominant-baseline",
];

/** What is for the pointer only. */
const left = ".panel-menu, .panel-tool, .panel-loading, .grip, .corner";

function copy(from: Element): Element | undefined {
  if (from.matches(left)) return undefined;
  if (from instanceof HTMLCanvasElement) {
    const image = document.createElement("img");
    image.src = from.toDataURL();
    style(from, image);
    return image;
  }
  const made = from.cloneNode(false);
  if (!(made instanceof HTMLElement || made instanceof SVGElement)) return undefined;
  // Nothing of the copy may do anything.
  for (const { name } of [...made.attributes]) if (name.startsWith("on") || name === "href" || name === "id") made.removeAttribute(name);
  style(from, made);
  for (const child of from.childNodes) {
    const inner = child instanceof Element ? copy(child) : child.nodeType === Node.TEXT_NODE ? child.cloneNode(false) : undefined;
    if (inner !== undefined) made.appendChild(inner);
  }
  return made;
}

function style(from: Element, to: HTMLElement | SVGElement): void {
  const computed = getComputedStyle(from);
  to.removeAttribute("class");
  to.setAttribute("style", properties.map((p) => `${p}:${computed.getPropertyValue(p)}`).join(";"));
}

/** The element as a PNG, twice as fine as the screen's pixels. */
export async function pictureOf(element: HTMLElement, ground: string): Promise<Blob> {
  const { width, height } = element.getBoundingClientRect();
  const inner = copy(element);
  if (inner === undefined) throw new Error("There is nothing to draw.");
  if (inner instanceof HTMLElement) Object.assign(inner.style, { margin: "0", position: "static", width: `${width}px`, height: `${height}px` });
  const body = new XMLSerializer().serializeToString(inner);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><foreignObject width="100%" height="100%">${body}</foreignObject></svg>`;
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  const fine = 2;
  canvas.width = Math.ceil(width * fine);
  canvas.height = Math.ceil(height * fine);
  const paint = canvas.getContext("2d");
  if (paint === null) throw new Error("This browser draws no pictures.");
  paint.fillStyle = ground;
  paint.fillRect(0, 0, canvas.width, canvas.height);
  paint.scale(fine, fine);
  paint.drawImage(image, 0, 0, width, height);
  return new Promise((done, fail) => canvas.toBlob((blob) => (blob === null ? fail(new Error("The picture could not be made.")) : done(blob)), "image/png"));
}
